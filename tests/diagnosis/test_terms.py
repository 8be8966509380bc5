"""Losses read from a recorded step: their terms, what made the predictions, and what the targets are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis._aims import compared
from preceptor.diagnosis._layers import layers
from preceptor.diagnosis._options import axes_of, named, normalised_axis, numbers
from preceptor.diagnosis._origins import Range, in_model, origin, reach
from preceptor.diagnosis._terms import terms
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.structure import Structure
from preceptor.observation.capture import capture
from preceptor.observation.graph import Node
from preceptor.observation.watch import Watch

N, C = 6, 3
Loss = Callable[[Tensor], Tensor]


def recorded(loss: Loss, *, outputs: int = C) -> Structure:
    torch.manual_seed(0)
    net, x = nn.Linear(4, outputs), torch.randn(N, 4)
    with capture(net) as captured:
        loss(net(x)).backward()
    return Structure(captured.graph)


Y = torch.arange(N) % C
HOT = functional.one_hot(Y, C).float()
YES = (torch.arange(N) % 2).float()[:, None]
AIM = torch.linspace(-1, 1, N * C).reshape(N, C)


def binary(p: Tensor) -> Tensor:
    return -(YES * torch.log(p + 1e-8) + (1 - YES) * torch.log(1 - p + 1e-8)).mean()


PICKED = Y[:, None]
FORMS: list[tuple[str, Loss, str, str]] = [
    ("call", lambda s: functional.cross_entropy(s, Y), "cross-entropy", "cross_entropy"),
    ("module", lambda s: nn.MSELoss()(s, AIM), "squared error", "mse_loss"),
    ("unreduced", lambda s: _none(s).sum() / N, "squared error", "mse_loss"),
    ("power", lambda s: ((s - AIM) ** 2).mean(), "squared error", ""),
    ("square", lambda s: (AIM - s).square().sum(1).mean(), "squared error", ""),
    ("product with itself", lambda s: (d := s - AIM).mul(d).mean(), "squared error", ""),
    ("root", lambda s: torch.sqrt(functional.mse_loss(s, AIM)), "squared error", "mse_loss"),
    ("magnitude", lambda s: (s - AIM).abs().mean(), "absolute error", ""),
    ("picked", lambda s: -torch.log_softmax(s, 1)[torch.arange(N), Y].mean(), "likelihood", ""),
    ("gathered", lambda s: -s.softmax(1).log().gather(1, PICKED).mean(), "likelihood", ""),
    ("gathered before", lambda s: -s.softmax(1).gather(1, PICKED).log().mean(), "likelihood", ""),
    ("one-hot", lambda s: -(HOT * torch.log(s.softmax(1) + 1e-9)).sum(1).mean(), "likelihood", ""),
    ("both halves", lambda s: binary(torch.sigmoid(s[:, :1])), "binary cross-entropy", ""),
    ("logsigmoid", lambda s: _stable(s[:, :1]), "binary cross-entropy of logits", ""),
    ("hinge", lambda s: functional.relu(1 - (2 * YES - 1) * s[:, :1]).mean(), "margin", ""),
]


def _none(s: Tensor) -> Tensor:
    return functional.mse_loss(s, AIM, reduction="none")


def _stable(s: Tensor) -> Tensor:
    return -(YES * functional.logsigmoid(s)).mean()


@pytest.mark.parametrize(
    ("loss", "form", "function"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS]
)
def test_the_form_of_a_loss_is_read(loss: Loss, form: str, function: str) -> None:
    found = terms(recorded(loss))
    assert {(term.form, term.function) for term in found} == {(form, function)}
    assert all(term.target is not None for term in found)
    assert found[0].where.startswith("test_terms.py:")


@pytest.mark.parametrize(
    "loss",
    [
        lambda s: s.mean(),
        lambda s: (s[:, 0] - s[:, 1]).pow(2).mean(),
        lambda s: s.pow(2).mean(),
        lambda s: (functional.softmax(s, 1) * functional.log_softmax(s, 1)).sum(1).mean(),
        lambda s: functional.pairwise_distance(s, s + 1).mean(),
    ],
    ids=["a critic", "a distance", "a penalty", "an entropy", "a pair"],
)
def test_what_compares_with_no_target_is_no_term(loss: Loss) -> None:
    assert terms(recorded(loss)) == []


def test_a_term_knows_how_it_was_met() -> None:
    (picked,) = terms(recorded(lambda s: -torch.log_softmax(s, 1)[torch.arange(N), Y].mean()))
    assert picked.picked
    assert picked.target is not None
    assert picked.target.shape == (N,)
    assert picked.name == "a likelihood written by hand"
    (half,) = terms(recorded(lambda s: -(YES * torch.log(torch.sigmoid(s[:, :1]))).mean()))
    assert not half.complete


ORIGINS: list[tuple[str, Callable[[Tensor], Tensor], list[str]]] = [
    ("a layer", lambda s: s, ["affine"]),
    ("softmax", lambda s: s.softmax(1).clamp(1e-7, 1), ["softmax", "affine"]),
    ("softmax by hand", lambda s: s.exp() / s.exp().sum(1, keepdim=True), ["softmax", "affine"]),
    ("shares", lambda s: (r := s.relu()) / r.sum(1, keepdim=True), ["share", "relu", "affine"]),
    ("unit sum", lambda s: functional.normalize(s.sigmoid(), p=1, dim=1), ["share", "sigmoid", "affine"]),
    ("log of a sigmoid", lambda s: functional.logsigmoid(s), ["log", "sigmoid", "affine"]),
    ("log-softmax by hand", lambda s: s - torch.logsumexp(s, 1, keepdim=True), ["log_softmax"]),
    ("squashed twice", lambda s: s.sigmoid().view(-1, C).softmax(-1), ["softmax", "sigmoid", "affine"]),
    ("a sum", lambda s: s.sigmoid() + s, ["add"]),
]


@pytest.mark.parametrize(("make", "kinds"), [row[1:] for row in ORIGINS], ids=[row[0] for row in ORIGINS])
def test_what_made_a_value_is_read(make: Callable[[Tensor], Tensor], kinds: list[str]) -> None:
    structure = recorded(lambda s: ((make(s) - AIM) ** 2).mean())
    found, seen = origin(structure, terms(structure)[0].prediction), []
    while found is not None:
        seen.append(found.kind)
        found = found.under  # type: ignore[assignment]
    assert seen == kinds


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda s: s.sigmoid(), 0, 1),
        (lambda s: 3 * s.tanh() - 1, -4, 2),
        (lambda s: 1 - s.relu() / 2, -float("inf"), 1),
        (lambda s: s.clamp(-2, 2), -2, 2),
        (lambda s: s.clamp(min=0), 0, float("inf")),
        (lambda s: s * s.sigmoid(), -float("inf"), float("inf")),
        (lambda s: s, -float("inf"), float("inf")),
    ],
)
def test_the_range_of_a_value_is_worked_out(
    make: Callable[[Tensor], Tensor], low: float, high: float
) -> None:
    structure = recorded(lambda s: ((make(s) - AIM) ** 2).mean())
    bounds, node = reach(structure, terms(structure)[0].prediction)
    assert (bounds.low, bounds.high) == (low, high)
    assert (node is not None) == bounds.bounded


def test_ranges_are_told_in_words() -> None:
    assert Range(0.0, 1.0).words == "0 … 1"
    assert Range(0.0).words == "0 and more"
    assert Range(high=0.0).words == "0 and less"


def aimed(target: Tensor, loss: Callable[[Tensor, Tensor], Tensor] = functional.mse_loss) -> Case:
    torch.manual_seed(0)
    net, x = nn.Linear(4, target.shape[1] if target.dim() > 1 else 1), torch.randn(len(target), 4)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    with Watch() as watch:
        for _ in range(3):
            out = net(x)
            loss(out if target.dim() > 1 else out.squeeze(1), target).backward()
            sgd.step()
    return Case(watch.observed)


def test_targets_are_known_by_their_moments() -> None:
    hot, tags = compared(aimed(HOT))[0].aim, compared(aimed((AIM > 0).float()))[0].aim
    assert hot is not None
    assert tags is not None
    assert (hot.binary, hot.one_hot, hot.constant) == (True, True, False)
    assert (tags.binary, tags.one_hot) == (True, False)
    soft, ones = compared(aimed(AIM.abs()))[0].aim, compared(aimed(torch.ones(N, 1)))[0].aim
    assert soft is not None
    assert ones is not None
    assert not soft.binary
    assert ones.constant


def test_labels_that_were_converted_are_known() -> None:
    case = aimed(Y, lambda s, y: functional.mse_loss(s, y.float()))
    aim = compared(case)[0].aim
    assert aim is not None
    assert aim.counted
    assert not aim.integer


def test_layers_have_widths_whatever_their_kind() -> None:
    net = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    weight = torch.randn(3, 5, requires_grad=True)
    with capture(net) as captured:
        (weight.T @ (net(torch.randn(N, 2, 4, 4)) @ weight).T[:3]).square().mean().backward()
    conv, dense, by_hand, *_ = layers(Structure(captured.graph))
    assert (conv.fan_in, conv.rows, conv.grouped) == (9, 6, True)
    assert (dense.fan_in, dense.rows, dense.name) == (24, 3, "3")
    assert (by_hand.fan_in, by_hand.rows) == (3, 5)


def test_code_of_the_model_is_told_from_code_of_the_loss() -> None:
    structure = recorded(lambda s: nn.MSELoss()(s.exp(), AIM))
    by_op = {node.op: in_model(structure, node) for node in structure.nodes}
    assert by_op == {"linear": True, "exp": False, "mse_loss": False}


@pytest.mark.parametrize(
    ("options", "shape", "axis"),
    [
        ("dim=-1", (4, 5), 1),
        ("0", (4, 5), 0),
        ("_stacklevel=3", (4, 5), 1),
        ("", (4, 5, 6), 0),
        ("", (4,), 0),
    ],
)
def test_the_axis_of_a_softmax(options: str, shape: tuple[int, ...], axis: int) -> None:
    structure = recorded(lambda s: s.mean())
    value = structure.graph.values[0]
    value.shape = shape
    assert normalised_axis(Node(0, "softmax", "", "", "", (value,), options=options)) == axis


def test_options_are_read_back() -> None:
    node = Node(0, "sum", "", "", "", (), options="(1, 2), keepdim=True")
    assert named(node) == {"0": "(1, 2)", "keepdim": "True"}
    assert axes_of(node, 4) == (1, 2)
    assert numbers(Node(0, "mul", "", "", "", (), options="-0.5, alpha=2")) == [-0.5]
    assert axes_of(Node(0, "sum", "", "", ""[:0], ()), 3) == ()
