"""Names beside points that lie close together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from preceptor.catalogue._labels import name_points


def test_names_of_points_in_one_place_do_not_cover_each_other() -> None:
    figure = Figure(figsize=(6, 4), dpi=100)
    axes = figure.add_subplot()
    x, y = np.array([1.0, 1.0, 1.0, 1.001, 2.0]), np.array([1.0, 1.0, 1.0, 1.001, 2.0])
    axes.scatter(x, y)
    name_points(axes, ["vgg-16", "vgg-16-bn", "vgg-19", "vgg-19-bn", "alexnet"], x, y)
    figure.draw_without_rendering()
    assert len(axes.texts) == 5
    boxes = [text.get_bbox_patch() or text.get_window_extent() for text in axes.texts]
    for a, b in combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b.padded(-1))
