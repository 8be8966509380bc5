"""The Python face of a diagnosis: a watch, a folder, learning curves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import DataError, UnknownName


def climb(watch: preceptor.Watch, steps: int = 40) -> None:
    """Train with the sign turned, and an optimizer that is built anew at every step."""
    torch.manual_seed(0)
    net, x, y = nn.Linear(4, 3), torch.randn(64, 4), torch.randint(3, (64,))
    for _ in range(steps):
        optimizer = torch.optim.Adam(net.parameters())
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def seen() -> preceptor.Watch:
    with preceptor.watch(level="full") as watch:
        climb(watch)
    return watch


def causes(findings) -> list[str]:
    return [finding.cause for finding in findings]


@pytest.mark.slow
def test_a_watch(seen: preceptor.Watch) -> None:
    assert "optimizer-state-lost" in causes(seen.findings())
    assert (
        causes(preceptor.diagnose(seen))
        == causes(seen.findings())
        == causes(preceptor.diagnose(seen.observed))
    )
    assert "optimizer-state-lost" not in causes(seen.findings(ignore=["optimizer-state-lost"]))


def test_a_watch_that_runs() -> None:
    with preceptor.watch(level="full") as watch:
        climb(watch)
        assert "optimizer-state-lost" in causes(watch.findings())
    assert watch.steps.train == 40
    assert watch.notes == []


def test_what_was_kept(seen: preceptor.Watch, tmp_path: Path) -> None:
    seen.observed.save(tmp_path / "record")
    expected = causes(seen.findings())
    assert (
        causes(preceptor.diagnose(tmp_path))
        == causes(preceptor.diagnose(str(tmp_path / "record")))
        == expected
    )


def test_a_report_begins_with_the_findings(seen: preceptor.Watch, tmp_path: Path) -> None:
    page = seen.report(tmp_path / "a.html").read_text()
    assert page.index("optimizer-state-lost") < page.index('id="curves"')


def test_curves(tmp_path: Path) -> None:
    notes: list[str] = []
    rows = [(e, 2 * 0.8**e + 0.1, 2 * 0.8**e + 0.105) for e in range(60)]
    (tmp_path / "history.csv").write_text(
        "epoch,loss,val_loss\n" + "".join(f"{e},{a},{b}\n" for e, a, b in rows)
    )
    assert preceptor.diagnose(tmp_path, note=notes.append) == []
    assert notes[0].startswith("ideal: ")
    assert preceptor.diagnose(tmp_path / "history.csv") == []


def test_what_cannot_be_judged(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="there is nothing to judge"):
            preceptor.diagnose(place)
    with pytest.raises(UnknownName, match="did you mean 'overfitting'"):
        preceptor.diagnose(tmp_path, ignore=["overfiting"])
