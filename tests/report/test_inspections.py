"""Inspections drawn in the report's style."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import torch

from preceptor.catalogue import get
from preceptor.catalogue.inspections import Inspection
from preceptor.errors import DataError
from preceptor.report.inspections import drawing


def test_lines_become_a_drawing_that_follows_the_page():
    seen = get("learning-curve", {"train_loss": [1.0, 0.5, 0.3], "val_loss": [1.0, 0.7, 0.6]})
    drawn = drawing(seen, "curve")
    assert drawn.title == "Learning curve"
    assert "var(--train)" in drawn.svg
    assert "var(--val)" in drawn.svg
    assert seen.finding in drawn.alt
    assert ("verdict", seen["verdict"]) in drawn.table.rows


@pytest.mark.parametrize(
    "seen",
    [
        get("contour", lambda p: (p * p).sum(), points=8),
        get("computational-graph", lambda x, y: x * y + x, {"x": 2, "y": 3}),
        get("condition-number", torch.diag(torch.tensor([1.0, 10.0]))),
        get("embedding", torch.eye(6), labels=torch.tensor([0, 0, 0, 1, 1, 1])),
        get("gradient-check", lambda x: (x * x).sum(), torch.ones(2)),
        get("weights", torch.nn.Sequential(torch.nn.Linear(3, 2))),
    ],
    ids=lambda seen: seen.title,
)
def test_every_picture_is_a_sound_svg(seen: Inspection):
    root = ElementTree.fromstring(drawing(seen, "key").svg)
    ids = {element.get("id") for element in root.iter()} - {None}
    used = {element.get("href", "")[1:] for element in root.iter() if element.get("href", "#")[0] == "#"}
    assert used - {""} <= ids
    assert "NaN" not in drawing(seen).svg


def test_images_are_embedded():
    drawn = drawing(get("first-layer-filters", torch.nn.Sequential(torch.nn.Conv2d(1, 6, 5))))
    assert 'href="data:image/png;base64,' in drawn.svg
    assert "#ata:" not in drawn.svg


def test_numbers_alone_are_refused():
    with pytest.raises(DataError, match="no picture"):
        drawing(Inspection("A title", "a finding", {"n": 1}))
