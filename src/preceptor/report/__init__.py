"""What a person reads of a run: the offline HTML report and the records that it is made from."""

from __future__ import annotations

from preceptor.report.html import render, write
from preceptor.report.summary import (
    DataSummary,
    Feature,
    Layer,
    ModelSummary,
    Predictions,
    Setting,
    Summary,
    TestLook,
    Timing,
    worst,
)

__all__ = [
    "DataSummary",
    "Feature",
    "Layer",
    "ModelSummary",
    "Predictions",
    "Setting",
    "Summary",
    "TestLook",
    "Timing",
    "render",
    "worst",
    "write",
]
