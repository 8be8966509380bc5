"""The drawn graph shows the numbers of the textbook example, and stays well-formed for real networks."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.observation.capture import capture
from preceptor.observation.draw import to_svg
from preceptor.observation.graph import Graph


@pytest.fixture
def textbook() -> Graph:
    x, y, z = (torch.tensor(v, requires_grad=True) for v in (1.0, -3.0, 4.0))
    with capture(names={"x": x, "y": y, "z": z}) as captured:
        ((x + y) * z).backward()
    return captured.graph


def network() -> Graph:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    with capture(net) as captured:
        functional.cross_entropy(net(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    return captured.graph


def test_text_shows_values_and_gradients(textbook: Graph) -> None:
    lines = [re.sub(r" +", " ", line) for line in textbook.to_text().splitlines()]
    assert lines == [
        "x parameter () 1 gradient 4",
        "y parameter () -3 gradient 4",
        "%2 x + y () -2 gradient 4",
        "z parameter () 4 gradient -2",
        "%4 %2 · z () -8 gradient 1",
    ]


def test_svg_is_well_formed_and_shows_them_too(textbook: Graph) -> None:
    svg = textbook.to_svg()
    texts = [
        element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")
    ]
    assert "() -8" in texts
    assert [text for text in texts if text.startswith("∂")].count("∂ 4") == 3
    assert "∂ -2" in texts


def test_boxes_do_not_overlap() -> None:
    root = ElementTree.fromstring(network().to_svg())
    boxes = [
        tuple(float(element.attrib[key]) for key in ("x", "y", "width", "height"))
        for element in root.iter()
        if element.tag.endswith("rect")
    ]
    assert len(boxes) >= 8
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, _, _ in boxes[i + 1 :]:
            assert abs(x - a) >= w or abs(y - b) >= h


def test_a_large_graph_is_drawn_by_module() -> None:
    svg = to_svg(network(), limit=3)
    assert svg.count("<rect") < network().to_svg().count("<rect")
    assert ElementTree.fromstring(svg) is not None


def test_dot_names_every_operator_and_edge(textbook: Graph) -> None:
    dot = textbook.to_dot()
    assert dot.count("shape=ellipse") == 3
    assert dot.count(" -> ") == 4
    assert dot.startswith("digraph")
    assert dot.rstrip().endswith("}")
