"""What rules may ask of a graph."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.errors import ConfigError
from preceptor.observation.capture import capture
from preceptor.observation.graph import Graph, Statistics


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        self.unused = nn.Linear(2, 2)
        self.cut = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).softmax(1) + self.cut(x).detach()


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    net = Net()
    x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
    with capture(names={"x": x, "y": y}) as captured:
        out = net(x)
        accuracy = (out.argmax(1) == y).float().mean()
        functional.cross_entropy(out, y).backward()
    assert accuracy.shape == ()
    return captured.graph


def test_the_slice_leaves_out_what_the_loss_does_not_need(graph: Graph) -> None:
    assert [n.op for n in graph.slice()] == [
        "linear", "relu", "linear", "softmax", "linear", "detach", "add", "cross_entropy",
    ]  # fmt: skip
    assert [n.op for n in graph][-4:-1] == ["eq", "float", "mean"]


def test_parameters_inputs_and_modules_have_names(graph: Graph) -> None:
    assert [v.name for v in graph.parameters][:2] == ["body.0.weight", "body.0.bias"]
    assert [v.name for v in graph.inputs] == ["x", "y"]
    assert [(n.module, n.module_type) for n in graph.find("relu")] == [("body.1", "ReLU")]
    assert all(node.where.startswith("test_graph.py:") for node in graph)


def test_queries_follow_the_edges(graph: Graph) -> None:
    (softmax,), (entropy,), (relu,) = graph.find("softmax"), graph.find("cross_entropy"), graph.find("relu")
    assert [n.op for n in graph.path(softmax, entropy)] == ["softmax", "add", "cross_entropy"]
    assert graph.path(entropy, softmax) == []
    assert [n.op for n in graph.between(relu, softmax)] == ["relu", "linear", "softmax"]
    assert graph.between(softmax, relu) == []
    assert [n.op for n in graph.producers(softmax)] == ["linear"]
    assert [n.op for n in graph.consumers(softmax)] == ["add"]
    assert [n.op for n in graph.consumers(graph.inputs[0])] == ["linear", "linear"]
    assert [n.op for n in graph.find("*soft*|relu", module="body*")] == ["relu"]


def test_parameters_that_no_gradient_reaches_are_found(graph: Graph) -> None:
    assert graph.parameters_without_gradient() == ["unused.weight", "unused.bias", "cut.weight", "cut.bias"]


def test_values_and_gradients_are_measured(graph: Graph) -> None:
    softmax = graph.find("softmax")[0].outputs[0]
    assert isinstance(softmax.statistics, Statistics)
    assert softmax.statistics.mean == pytest.approx(1 / 3)
    assert softmax.statistics.finite
    assert softmax.gradient is not None
    assert softmax.gradient.mean == pytest.approx(0, abs=1e-7)


def test_not_finite_values_are_said() -> None:
    w = torch.zeros(3, requires_grad=True)
    with capture() as captured:
        (w / w).sum().backward()
    statistics = captured.graph.find("*div*")[0].outputs[0].statistics
    assert statistics is not None
    assert not statistics.finite
    assert captured.graph.replayable


def test_a_change_in_place_is_what_later_readers_depend_on() -> None:
    w = torch.ones(2, 3, requires_grad=True)
    with capture() as captured:
        h = w * 2
        h[0].add_(1.0)
        h.sum().backward()
    graph = captured.graph
    assert [n.op for n in graph.slice()] == ["mul", "getitem", "add_", "sum"]
    assert graph.find("add_")[0].mutates


def test_a_graph_without_a_loss_says_so() -> None:
    with capture() as captured:
        torch.ones(3)
    assert captured.graph.broken_by.startswith("no loss")
    with pytest.raises(ConfigError, match="no loss"):
        captured.graph.slice()
    assert captured.graph.parameters_without_gradient() == []
