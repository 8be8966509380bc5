"""The part of a report that is about an ensemble: its tables, its curves, what is escaped."""

from __future__ import annotations

import math

from preceptor.report import Summary, render
from preceptor.report.ensemble import EnsembleSummary, MemberSummary, correlation_table, curves, members_table


def summary(count: int = 3) -> EnsembleSummary:
    members = tuple(
        MemberSummary(
            f"member-{i + 1}", "optimizer <b>sgd</b>", "finished", i + 1, 1 / count,
            {"loss": 0.5 + i / 10, "accuracy": 0.8}, [(1, 0.9), (2, 0.5 + i / 10)],
        )
        for i in range(count)
    )  # fmt: skip
    correlation = [
        [1.0 if i == j else math.nan if j == 2 else 0.25 for j in range(count)] for i in range(count)
    ]
    return EnsembleSummary(
        "the mean", members, "val", {"loss": 0.4, "accuracy": 0.9}, ("Gain <i>large</i>.",), correlation
    )


def page(ensemble: EnsembleSummary) -> str:
    return render(Summary("two", None, "T", "P", "E", "finished", [], None, "val_loss", ensemble=ensemble))


def test_members_their_mean_and_the_ensemble_stand_below_each_other() -> None:
    table = members_table(summary())
    assert table.head[-2:] == ("loss", "accuracy")
    assert [row[0] for row in table.rows] == [
        "member-1",
        "member-2",
        "member-3",
        "mean of the members",
        "ensemble",
    ]
    assert [row[-2] for row in table.rows[-2:]] == ["0.600", "0.400"]


def test_correlations_that_are_not_defined_are_dashes() -> None:
    table = correlation_table(summary())
    assert table is not None
    assert table.rows[0] == ("member-1", "1.00", "0.25", "–")
    assert correlation_table(summary(1)) is None


def test_each_member_has_a_curve() -> None:
    drawn = curves(summary())
    assert drawn is not None
    assert drawn.table.head == ("epoch", "member-1", "member-2", "member-3")


def test_a_page_shows_and_escapes_it() -> None:
    text = page(summary())
    assert 'id="members"' in text
    assert "<b>sgd" not in text
    assert "<i>large" not in text
    assert "No epoch was finished" not in text
    assert 'id="members"' not in render(Summary("one", None, "T", "P", "E", "finished", [], None, "val_loss"))


def test_many_members_stay_readable() -> None:
    text = page(summary(60))
    assert "The first 40 of 60 members." in text
    assert len(text) < 500_000
