"""What a notebook shows: runs, findings, graphs, as HTML that is escaped and loads nothing."""

from __future__ import annotations

from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch

import preceptor
from preceptor.diagnosis.finding import Finding, Findings
from preceptor.diagnosis.notebook import findings_html
from preceptor.diagnosis.show import counts
from preceptor.observation.capture import capture
from preceptor.observation.draw import to_html
from preceptor.run.shown.brief import notebook_html


class Nesting(HTMLParser):
    """Says whether what is opened is closed, in order; and what is loaded or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.bad: list[str] = []
        self.feed(page)
        self.bad += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("br", "img"):
            self.open.append(tag)
        names = {name: value or "" for name, value in attrs}
        if tag == "script" or any(n.startswith("on") for n in names) or "http" in names.get("href", ""):
            self.bad.append(f"{tag} {names}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed already."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.bad.append(f"/{tag}")


@pytest.fixture(scope="module")
def run() -> preceptor.Run:
    return preceptor.train(data="iris", epochs=3, out=False, name="<i>flowers")


def test_a_run(run: preceptor.Run) -> None:
    page = run._repr_html_()
    assert Nesting(page).bad == []
    assert "&lt;i&gt;flowers" in page
    assert page.count("<svg") == 2  # loss, accuracy
    assert f"<b>{counts(run.findings)}</b>" in page
    assert run.test().n > 0
    assert "Test accuracy" in run._repr_html_()


def test_several_runs(run: preceptor.Run) -> None:
    together = SimpleNamespace(members=[run, run])
    page = notebook_html(together)  # type: ignore[arg-type]
    assert Nesting(page).bad == []
    assert page.count("<svg") == 4
    assert "&lt;Run &lt;i&gt;flowers: finished" in page


def test_findings() -> None:
    bad = Finding("overfitting", "warning", "<b>It rises", {"lowest": 0.2}, where="a&b.py:3")
    page = Findings([bad, Finding("memory-growth", "info", "It grows.")])._repr_html_()
    assert Nesting(page).bad == []
    assert "&lt;b&gt;It rises" in page
    assert "a&amp;b.py:3" in page
    assert "1 warning; remark: memory-growth" in page
    assert "lowest 0.2" in page
    assert bad._repr_html_().count("<details>") == 1
    assert "… and 70 more" in findings_html([bad] * 100)


def test_a_graph() -> None:
    x, w = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    with capture(names={"<x>": x, "w": w}) as captured:
        (x * w).backward()
    page = captured.graph._repr_html_()
    assert Nesting(page).bad == []
    assert "&lt;x&gt;" in page
    assert "<x>" not in page
    assert "… and 2 more lines" in to_html(captured.graph, lines=1)


def test_a_watch() -> None:
    with preceptor.watch() as watch:
        pass
    assert watch._repr_html_() == findings_html([])
