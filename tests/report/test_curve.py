"""Curves in a terminal, and on the pages of the catalogue."""

from __future__ import annotations

import math

import pytest

from preceptor.catalogue import entry, find
from preceptor.cli._curve import curve_of
from preceptor.report.curve import draw_curve


def test_a_line_goes_from_corner_to_corner():
    lines = draw_curve([0, 1], [0, 1], width=4, height=2).splitlines()
    assert lines[-1].split() == ["0", "1"]
    assert len(lines) == 3


def test_a_gap_is_left_where_nothing_is_finite():
    assert draw_curve([0, 1], [math.nan, math.inf]) == ""
    drawn = draw_curve([0, 1, 2, 3], [0, 0, math.nan, 0], width=8, height=1)
    assert drawn.splitlines()[0].startswith("0")


def test_a_constant_is_drawn():
    assert len(draw_curve([0, 1, 2], [5, 5, 5]).splitlines()) == 10


@pytest.mark.parametrize(
    "e", [e for k in ("activation", "loss", "schedule") for e in find(kind=k)], ids=lambda e: e.name
)
def test_every_activation_loss_and_schedule_has_a_curve(e):
    drawn = curve_of(e)
    assert bool(drawn) != (
        e.name in ("maxout", "plateau", "controller", "ctc", "linear-chain-crf", "tree-crf")
    )


def test_other_kinds_have_none():
    assert curve_of(entry("adam", "optimizer")) == ""
