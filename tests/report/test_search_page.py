"""A search's page: everything that was tried, nothing that runs, and no number that is not there."""

from __future__ import annotations

import math
import re

import numpy as np

from preceptor.report.search import Axis, Bar, SearchPage, Tried, render

AXES = (
    Axis("optimizer.lr", "log:1e-05..0.1", log=True),
    Axis("model.activation", "relu|tanh", values=("relu", "tanh")),
)


def page(trials: int = 12, **changes: object) -> SearchPage:
    generator = np.random.default_rng(0)
    tried = []
    for k in range(trials):
        rate = float(10 ** generator.uniform(-5, -1))
        activation = ("relu", "tanh")[k % 2]
        settings: dict[str, object] = {"optimizer.lr": rate, "model.activation": activation}
        tried.append(Tried(k, settings, abs(math.log10(rate) + 3), "changed", "", 5, 1.0, "finished"))
    known: dict[str, object] = {
        "name": "digits",
        "folder": "searches/digits-1",
        "verdict": ("trial 3 wins.",),
        "objective": "val_loss",
        "mode": "min",
        "axes": AXES,
        "tried": tuple(tried),
        "best": 3 if trials > 3 else None,
        "bars": (Bar("optimizer.lr", 0.9, 0.8, 0.95),),
        "plan": (("method", "random"),),
    }
    return SearchPage(**{**known, **changes})  # type: ignore[arg-type]


def test_all_sections_are_there() -> None:
    text = render(page(finalists=(("3", "0.1", "0.2", "0.1 … 0.3", "–"),), advice=("look beyond it",)))
    for figure in ("progress", "parallel", "scatter-0", "scatter-1", "time", "importance"):
        assert f'id="figure-{figure}"' in text
    assert "look beyond it" in text
    assert "trained anew" in text
    assert text.count("<script") == 1
    assert "http" not in re.sub(r"xmlns[^ ]*|http-equiv|const SVG = .*", "", text)
    assert render(page()) == render(page())


def test_a_search_without_results() -> None:
    lost = tuple(Tried(k, {}, None, status="failed") for k in range(3))
    text = render(page(tried=lost, best=None, bars=()))
    assert "Fewer than two trials left a number to draw." in text
    assert "3 failed" in text
    assert 'id="figure-' not in text


def test_one_trial_and_trials_by_hand() -> None:
    assert 'id="figure-' not in render(page(trials=1, bars=()))
    by_hand = render(page(trials=4, axes=(), bars=()))
    assert "optimizer.lr" in by_hand  # what was changed has its columns


def test_what_a_user_wrote_is_escaped() -> None:
    noted = Tried(0, {"optimizer.lr": 0.1}, 0.5, "<b>", "<script>alert(1)</script>", 1, 1.0, "finished")
    text = render(page(name="<i>x</i>", tried=(noted,), bars=(Bar("<u>", 0.5, 0.4, 0.6),), best=None))
    assert text.count("<script>") == 1
    assert "<i>x" not in text
    assert "<u>" not in text
    assert "&lt;script&gt;" in text


def test_outliers_do_not_flatten_the_picture() -> None:
    tried = [
        *page().tried,
        Tried(12, {"optimizer.lr": 0.09, "model.activation": "relu"}, 1e9, status="finished"),
    ]
    assert 'id="figure-scatter-0"' in render(page(tried=tuple(tried)))
