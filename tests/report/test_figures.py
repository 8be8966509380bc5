"""Figures: what is drawn, what is said of it, and that it takes its colours from the page."""

from __future__ import annotations

import dataclasses
import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.report import Predictions, Summary, Timing
from preceptor.report._canvas import TOKENS
from preceptor.report._format import envelope, evenly, number, short
from preceptor.report._matrix import class_table, confusion_pairs
from preceptor.report._scores import confusion, scores
from preceptor.report.figures import draw


def run(history, best=None, **more):
    return Summary("run", None, "T", "P", "E", "finished", history, best, "val_loss", **more)


def classified(target, predicted, classes=(), **more):
    target, predicted = np.asarray(target), np.asarray(predicted)
    n = len(target)
    return Predictions("classification", "val", target, predicted, np.zeros(n), np.arange(n), classes, **more)


def regressed(target, predicted, **more):
    target, predicted = np.asarray(target, float), np.asarray(predicted, float)
    n = len(target)
    return Predictions(
        "regression", "val", target, predicted, np.arange(n, dtype=float), np.arange(n), **more
    )


@pytest.fixture(scope="module")
def drawings(digits, diabetes):
    return [*draw(digits), *draw(diabetes)]


def test_every_section_has_its_figures(digits, diabetes):
    assert [d.title for d in draw(digits)] == [
        "Loss", "Accuracy", "Macro F1", "Learning rate", "Confusion matrix", "Where the time went"
    ]  # fmt: skip
    assert [d.title for d in draw(diabetes).predictions] == ["Predicted against actual", "Residuals"]


def test_each_has_a_text_alternative_and_a_full_table(drawings):
    for d in drawings:
        root = ET.fromstring(d.svg)
        assert root.tag == "svg"
        assert root.get("role") == "img"
        assert root.get("aria-label") == d.alt
        assert len(d.alt) > 40
        assert d.table.rows
        assert {len(row) for row in d.table.rows} == {len(d.table.head)}


def test_every_colour_is_a_variable_of_the_page(drawings):
    for d in drawings:
        assert not re.search(r"#[0-9a-fA-F]{6}\b", d.svg)
        assert not re.search(r"\brgb|\bblack\b|\bwhite\b", d.svg)
        variables = set(re.findall(r"var\(--([a-z]+)\)", d.svg))
        assert variables
        assert variables <= set(TOKENS)


def test_ids_are_unique_over_all_figures_of_a_page(digits):
    ids = [i for d in draw(digits) for i in re.findall(r' id="([^"]+)"', d.svg)]
    references = [i for d in draw(digits) for i in re.findall(r'(?:href="|url\()#([^")]+)', d.svg)]
    assert len(ids) == len(set(ids))
    assert set(references) <= set(ids)


def test_no_style_sheet_metadata_or_date_is_left(drawings):
    for d in drawings:
        assert not re.search(r"<style|<metadata|<!|<\?|http|matplotlib", d.svg)


def test_the_best_epoch_is_marked_in_figure_and_table(digits):
    loss = draw(digits).curves[0]
    assert f">best {digits.best_epoch}<" in loss.svg
    assert [row[0] for row in loss.table.rows if "best" in row[0]] == [f"{digits.best_epoch} (best)"]


def test_the_loss_figure_names_its_lines(digits):
    loss = draw(digits).curves[0]
    assert loss.table.head == ("epoch", "train_loss_running", "train_loss", "val_loss")
    for name in ("running", "train", "validation"):
        assert f">{name}</text>" in loss.svg


def test_what_is_not_finite_is_a_gap_in_curve_and_table():
    values = [0.9, math.nan, 0.7, None, math.inf, 0.4, 1e300]
    history = [{"epoch": i + 1, "train_loss": v} for i, v in enumerate(values)]
    loss = draw(run(history)).curves[0]
    assert [row[1] for row in loss.table.rows] == ["0.9000", "–", "0.7000", "–", "–", "0.4000", "–"]
    assert "(4 of 7)" in loss.caption
    dots = re.findall(r"<use ", loss.svg)
    assert len(dots) >= 3


def test_one_epoch_is_a_dot():
    loss = draw(run([{"epoch": 1, "train_loss": 0.5, "val_loss": 0.6}], best=1)).curves[0]
    assert "train is 0.5000 at epoch 1" in loss.alt
    assert "<use " in loss.svg


def test_a_run_without_validation_says_so():
    loss = draw(run([{"epoch": e, "train_loss": 1 / e} for e in (1, 2, 3)])).curves[0]
    assert "Nothing was measured on a validation part." in loss.caption


def test_a_history_without_numbers_has_no_figure():
    assert list(draw(run([]))) == []
    assert list(draw(run([{"epoch": 1, "train_loss": math.nan}]))) == []


def test_a_long_history_is_thinned_and_says_so():
    history = [{"epoch": e, "train_loss": 1 / e, "val_loss": 2.0 + (e == 5001)} for e in range(1, 10_001)]
    loss = draw(run(history, best=7777)).curves[0]
    assert len(loss.svg) < 20_000
    assert len(loss.table.rows) <= 61
    assert "10,000 epochs" in loss.table.note
    assert any("7,777 (best)" in row[0] for row in loss.table.rows)
    assert "highest 3.000 at epoch 5,001" in loss.alt


@pytest.mark.parametrize(
    "values", [[3.0] * 4, [0.0] * 4, [1e-300, 1e-200, 1e-10, 1.0], [-5.0, 1e49, 3.0, 2.0]]
)
def test_extreme_ranges_can_be_drawn(values):
    history = [{"epoch": i, "train_loss": v, "lr": v} for i, v in enumerate(values)]
    assert [d.title for d in draw(run(history)).curves] == ["Loss", "Learning rate"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=3)), min_size=1, max_size=12))
def test_any_history_can_be_drawn(values):
    history = [{"epoch": i + 1, "train_loss": v, "val_loss": v} for i, v in enumerate(values)]
    for d in draw(run(history, best=1)).curves:
        assert ET.fromstring(d.svg).get("viewBox")


def test_names_with_markup_or_mathematics_are_drawn_as_they_are():
    hostile = ("<script>", "$\\frac{", "a & b", "\x00\ufffe", "猫😀")
    figures = draw(run([], predictions=classified([0, 1, 2, 3, 4], [0, 1, 2, 4, 3], hostile)))
    svg = figures.predictions[0].svg
    assert "<script" not in svg
    shown = {text.text for text in ET.fromstring(svg).iter("text")}
    assert {"<script>", "$\\frac{", "a & b", "��", "猫😀"} <= shown


def test_confusion_counts_agree_with_scikit_learn(digits):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    p = digits.predictions
    assert (confusion(p, 10) == confusion_matrix(p.target, p.predicted)).all()
    ours = scores(p, 10)
    theirs = precision_recall_fscore_support(p.target, p.predicted)
    for mine, reference in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-12)


def test_a_class_that_never_occurs_has_no_score():
    table = class_table(classified([0, 0], [0, 1], ("a", "b", "c")))
    assert table.rows[1] == ("b", "0", "0.000", "–", "0.000")
    assert table.rows[2] == ("c", "0", "–", "–", "–")


def test_many_classes_are_tabled_not_drawn():
    target = np.arange(5000) % 1000
    p = classified(target, np.where(target % 7 == 0, (target + 1) % 1000, target))
    assert draw(run([], predictions=p)).predictions == ()
    table = class_table(p)
    assert len(table.rows) == 31
    assert "of 1,000 classes" in table.note
    assert len(confusion_pairs(p).rows) == 10


def test_no_confusion_no_table():
    assert confusion_pairs(classified([0, 1], [0, 1])) is None


@pytest.mark.parametrize("make", [classified, regressed])
def test_no_predictions_no_figure(make):
    assert draw(run([], predictions=make([], []))).predictions == ()


def test_residuals_are_counted_once_each():
    rng = np.random.default_rng(0)
    target = rng.normal(size=2000)
    scatter, histogram = draw(
        run([], predictions=regressed(target, target + rng.normal(size=2000)))
    ).predictions
    assert sum(int(row[1].replace(",", "")) for row in histogram.table.rows) == 2000
    assert scatter.svg.count("<use ") < 650
    assert "of 2,000 dots" in scatter.caption


@pytest.mark.parametrize(
    "predicted", [[1.0, 2.0, 3.0], [1e9 + 1, 1e9 + 2, 1e9 + 3], [math.nan, 2.0, math.inf]]
)
def test_perfect_shifted_and_broken_regressions_can_be_drawn(predicted):
    figures = draw(run([], predictions=regressed([1.0, 2.0, 3.0], predicted))).predictions
    assert [d.key for d in figures] == ["against-actual", "residuals"]


def test_several_outputs_are_drawn_together():
    p = regressed([[1.0, 2.0], [3.0, 4.0]], [[1.5, 2.0], [3.0, 4.0]])
    assert len(draw(run([], predictions=p)).predictions[0].table.rows) == 4


def test_shares_of_time_name_every_part(digits):
    time = draw(digits).timing[0]
    assert [row[0] for row in time.table.rows] == list(digits.timing.shares)
    assert "backward 36.0 %" in time.alt


@pytest.mark.parametrize("shares", [{}, {"data": math.nan}, {"data": 0.0}])
def test_no_shares_no_figure(shares):
    timing = Timing(shares, None, None, None, 1.0, 1, None)
    assert draw(run([], timing=timing)).timing == ()


def test_figures_ignore_the_users_own_matplotlib_settings(digits):
    import matplotlib as mpl

    expected = [d.svg for d in draw(digits)]
    with mpl.rc_context({"font.size": 30, "text.usetex": False, "axes.grid": False, "lines.linewidth": 9}):
        before = dict(mpl.rcParams)
        assert [d.svg for d in draw(digits)] == expected
        assert dict(mpl.rcParams) == before


def test_a_figure_does_not_depend_on_the_others(digits):
    alone = dataclasses.replace(digits, predictions=None, timing=None)
    assert draw(alone).curves == draw(digits).curves


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(math.nan)), max_size=2000), st.integers(1, 50))
def test_a_thinned_curve_keeps_its_extremes(values, buckets):
    array = np.array(values, dtype=float)
    kept = envelope(array, buckets)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(2, 3 * buckets + 2)
    if not np.isnan(array).all():
        assert np.nanmax(array[kept]) == np.nanmax(array)
        assert np.nanmin(array[kept]) == np.nanmin(array)
    assert np.isnan(array[kept]).any() == np.isnan(array).any()


@given(st.integers(0, 10_000), st.integers(2, 100))
def test_rows_are_spread_from_first_to_last(n, limit):
    picked = evenly(n, limit, keep=(n // 3,))
    assert len(picked) <= limit + 1
    assert picked == sorted(set(picked))
    if n:
        assert (picked[0], picked[-1]) == (0, n - 1)
        assert n // 3 in picked


@given(st.floats(-1e300, 1e300))
def test_a_written_number_keeps_its_first_three_digits(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=1e-3)


def test_shortened_names_stay_apart():
    assert len({short(f"class name {k}") for k in range(30)}) == 30
