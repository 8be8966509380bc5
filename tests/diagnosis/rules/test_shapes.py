"""Shapes that stretch each other, as they are told."""

from __future__ import annotations

import pytest

from ._loss_runs import N, found
from ._losses_planted import column_against_row, labels_times_log_probabilities


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_both_shapes_and_the_table_they_make_are_told() -> None:
    finding = found(column_against_row, over=False)["broadcast-in-loss"]
    assert finding.exact
    assert finding.severity == "critical"
    assert finding.evidence["elements of the result"] == N * N
    assert finding.title.startswith(f"shapes ({N}, 1) and ({N},)")
    assert finding.where.startswith("_losses_planted.py:")


def test_labels_stretched_over_classes_are_two_faults() -> None:
    both = found(labels_times_log_probabilities)
    assert both["broadcast-in-loss"].evidence["labels"] == [N, 1]
    assert both["loss-mismatch"].evidence["type"] == "int64"
