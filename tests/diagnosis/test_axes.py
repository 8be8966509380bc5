"""Axes: which reshapes cut across them, and where an axis goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis._axes import contracted, follow, moved_axis, torn
from preceptor.diagnosis.structure import Structure
from preceptor.observation.capture import capture

HARMLESS = [
    ((64, 24, 8), (1536, 8)),
    ((64, 24, 8), (64, 24, 2, 4)),
    ((64, 24, 8), (64, 4, 48)),
    ((60, 1, 28, 28), (60, 784)),
    ((12, 6, 3, 10), (72, 3, 10)),
    ((72, 32, 1), (12, 192, 1)),
    ((1, 5, 7), (5, 7)),
    ((3000, 3), (150, 20, 3)),
    ((0, 3), (3, 0)),
    ((4, 4), (4, 4)),
]
CUTTING = [
    ((64, 24, 1), (24, 64, 1)),
    ((24, 64, 32), (64, 768)),
    ((3, 3000), (150, 20, 3)),
    ((8, 16, 16, 3), (8, 3, 16, 16)),
    ((32, 12, 8), (32, 2, 12, 4)),
    ((7, 12), (6, 14)),
]


@pytest.mark.parametrize(("before", "after"), HARMLESS)
def test_splitting_and_merging_in_order_is_harmless(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert moved_axis(before, after) is None
    assert not torn(before, after)


@pytest.mark.parametrize(("before", "after"), CUTTING)
def test_what_should_have_been_a_transposition_is_seen(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    assert moved_axis(before, after) is not None or torn(before, after)


def test_an_axis_is_followed_to_the_product_that_sums_over_it() -> None:
    layer, values = nn.Linear(5, 5), torch.randn(2, 5, 7)
    with capture(layer) as captured:
        weights = functional.softmax(layer(torch.randn(2, 3, 5)), -1)
        turned = functional.dropout(weights, 0.1).transpose(1, 2).permute(0, 2, 1)
        (turned @ values).sum().backward()
    structure = Structure(captured.graph)
    (softmax,) = structure.graph.find("softmax")
    for axis, sums in ((2, True), (1, False)):
        ((reader, value, place),) = follow(structure, softmax.outputs[0], axis)
        assert reader.op == "matmul"
        assert (contracted(reader, value) == place) is sums


def test_the_letters_of_einsum_tell_what_is_summed() -> None:
    layer, values = nn.Linear(5, 5), torch.randn(2, 5, 7)
    with capture(layer) as captured:
        torch.einsum("bqk,bkd->bqd", layer(torch.randn(2, 3, 5)), values).sum().backward()
    (node,) = captured.graph.find("einsum")
    assert contracted(node, node.inputs[0]) == 2
    assert contracted(node, node.inputs[1]) == 1
