"""A run's own report with what a watch saw of it: findings, the user's lines, trials, layers over time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup

from preceptor.diagnosis.finding import Finding
from preceptor.observation.record import Record
from preceptor.report import Summary, render
from preceptor.report._canvas import page, style
from preceptor.report._plot import Trace, packed
from preceptor.report._source import excerpt
from preceptor.report._words import Words
from preceptor.report.summary import Parent, Setting, Watched

HOSTILE = "'><script>alert(1)</script>"


def summary(**changes: object) -> Summary:
    return Summary("run", None, "T", "P", "E", "finished", [], None, "val_loss", **changes)  # type: ignore[arg-type]


def record() -> Record:
    made = Record()
    for step in range(20):
        made.add_many("grad_norm", step, ["a.weight"], [2.0])
        made.add_many("weight_norm", step, ["a.weight"], [1.0 + step])
        made.add_many("inactive_units", step, ["a"], [0.25])
    return made


def test_findings_come_first_with_lines_and_trials(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(f"a = 1\nloss = f(x)  # {HOSTILE}\nb = 2\n", encoding="utf-8")
    trial = {"improved": True, "text": "lr 1 → 0.1: loss …", "measure": "loss", "baseline": 2.0,
             "changed": 0.5, "interval": [0.5, float("inf")], "pairs": 3, "steps": 80}  # fmt: skip
    verification = {**trial, "others": [{**trial, "improved": False, "text": "momentum 0 → 0.9: loss …"}]}
    found = (Finding("learning-rate-too-high", "critical", "the loss swings", where="train.py:2",
                     verification=verification),)  # fmt: skip
    text = render(summary(watched=Watched(record(), {}, found, lambda _: program)))
    assert text.index('class="judged critical"') < text.index('class="verdict"') < text.index('id="findings"')
    assert re.search(r"<b><span[^>]*>   2 ▸</span> loss = f\(x\)", text)
    assert "<script>alert" not in text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text[text.index("Tried") : text.index("Twins of")])
    assert cells[:3] == ["helps", "loss", "2.00"]
    assert "no clear gain" in cells
    assert 'id="word-cause-learning-rate-too-high"' in text
    assert 'data-values="2,,' in text
    assert 'data-values="25.0 %,' in text


def test_a_healthy_run_says_so_once() -> None:
    text = render(summary(watched=Watched(Record(), {}, ())))
    assert text.count("Nothing wrong was found.") == 1
    assert 'class="judged well"' in text
    assert 'class="judged' not in render(summary(watched=Watched(Record())))


def test_what_changed_against_the_parent_is_shown() -> None:
    parent = Parent(
        "runs/a", ("lr 1 → 0.1",), (("optimizer.lr", 1.0, 0.1),), (("val_loss", 2.5, None),), ("note",)
    )
    text = render(summary(parent=parent))
    section = text[text.index('id="parent"') : text.index('id="settings"')]
    for told in ("runs/a", "lr 1 → 0.1", ">optimizer.lr</th>", ">2.500</td>", ">–</td>", "note"):
        assert told in section
    assert "No setting differs." in render(summary(parent=Parent("runs/a")))


@pytest.mark.parametrize("where", ["train.py:9", "train.py:0", "train.py:x", "train.py", "", ":1"])
def test_lines_that_cannot_be_shown_are_none(tmp_path: Path, where: str) -> None:
    file = tmp_path / "train.py"
    file.write_text("one = 1\n", encoding="utf-8")
    assert excerpt(where, lambda _: file) is None


def test_a_file_that_is_gone_or_no_text_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    assert excerpt("train.py:1", lambda _: None) is None
    assert excerpt("train.py:1", lambda _: file) is None
    file.write_bytes(b"\xff\xfe\x00")
    assert excerpt("train.py:1", lambda _: file) is None


def test_a_plot_is_an_attribute_whatever_it_holds() -> None:
    values = np.array([1.0, np.nan, 3.123456789])
    with style():
        _, axes = page(460, 250, left=60, right=76, bottom=32, top=18)
        axes.set_xlim(0, 2)
        axes.set_ylim(1, 4)
        plot = packed(axes, [Trace(HOSTILE, "train", np.arange(3.0), values)], unit="<epoch>")
    assert isinstance(plot, Markup)
    assert not set("'<") & set(plot)
    plain = json.loads(plot.unescape())
    assert plain["box"] == [60, 18, 384, 218]
    assert plain["lines"][0]["y"] == [1, None, 3.1235]
    assert plain["lines"][0]["n"] == HOSTILE


def test_terms_lead_to_what_they_mean() -> None:
    words = Words()
    assert words.link("Test accuracy") == '<a class="word" href="#word-metric-accuracy">Test accuracy</a>'
    assert words.link("<my column>") == "<my column>"
    assert words.setting("optimizer.name", "adam").startswith('<a class="word" href="#word-optimizer-adam"')
    assert words.setting("optimizer.lr", "adam") == "adam"
    text = render(summary(settings=(Setting("optimizer.name", "sgd", "adam", True),)))
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'class="word" href="#([^"]+)"', text)) <= ids
    assert 'id="word-optimizer-sgd"' in text
