"""The loss of the best constant prediction, from calls and from losses written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.observation.watch import Watch

Loss = Callable[[Tensor, Tensor], Tensor]


def _case(loss: Loss, target: Tensor, outputs: int = 1, last: nn.Module | None = None) -> Case:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, outputs), last or nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch("full") as watch:
        for _ in range(4):
            optimizer.zero_grad()
            loss(model(torch.randn(len(target), 4)), target).backward()
            optimizer.step()
    return Case(watch.observed)


CLASSES = torch.tensor([0, 0, 1, 2] * 8)
YES = torch.tensor([[1.0], [0.0], [0.0], [0.0]] * 8)
NUMBERS = torch.linspace(-2, 4, 32)[:, None]
_ENTROPY = 0.5 * math.log(2) + 0.5 * math.log(4)
_OF_YES = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
_SPREAD = float(NUMBERS.std(correction=0))


@pytest.mark.parametrize(
    ("loss", "target", "outputs", "expected"),
    [
        (lambda x, y: functional.cross_entropy(x, y), CLASSES, 3, _ENTROPY),
        (lambda x, y: functional.cross_entropy(x, y, reduction="sum"), CLASSES, 3, 32 * _ENTROPY),
        (lambda x, y: functional.nll_loss(functional.log_softmax(x, 1), y), CLASSES, 3, _ENTROPY),
        (lambda x, y: functional.binary_cross_entropy_with_logits(x, y), YES, 1, _OF_YES),
        (lambda x, y: functional.mse_loss(x, y), NUMBERS, 1, _SPREAD**2),
        (lambda x, y: functional.l1_loss(x, y), NUMBERS, 1, _SPREAD),
        (lambda x, y: functional.l1_loss(x, y), YES, 1, 0.25),
        (lambda x, y: functional.smooth_l1_loss(x, y), NUMBERS, 1, min(_SPREAD, _SPREAD**2 / 2)),
        (lambda x, y: ((x - y) ** 2).mean(), NUMBERS, 1, _SPREAD**2),
        (lambda x, y: (y - x).square().mean(), NUMBERS, 1, _SPREAD**2),
        (lambda x, y: (x - y).abs().mean(), NUMBERS, 1, _SPREAD),
        (lambda x, y: -torch.log_softmax(x, 1).gather(1, y[:, None]).mean(), CLASSES, 3, math.log(3)),
    ],
)
def test_known_losses(loss: Loss, target: Tensor, outputs: int, expected: float) -> None:
    found = _case(loss, target, outputs).chance
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_hand_written_yes_or_no() -> None:
    def loss(p: Tensor, y: Tensor) -> Tensor:
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()

    assert _case(loss, YES, 1, nn.Sigmoid()).chance == pytest.approx(_OF_YES, rel=1e-4)


def test_label_smoothing_raises_it() -> None:
    plain = _case(lambda x, y: functional.cross_entropy(x, y), CLASSES, 3).chance
    smooth = _case(lambda x, y: functional.cross_entropy(x, y, label_smoothing=0.2), CLASSES, 3).chance
    assert plain is not None
    assert smooth is not None
    assert plain < smooth < math.log(3)


@pytest.mark.parametrize(
    ("loss", "target", "outputs"),
    [
        (lambda x, y: functional.cross_entropy(x, y, weight=torch.tensor([1.0, 2.0, 3.0])), CLASSES, 3),
        (lambda x, y: functional.mse_loss(x, y) + 100.0, NUMBERS, 1),
        (lambda x, y: ((x - y) ** 2).sum(), NUMBERS, 1),
        (lambda x, y: (x * y).mean(), NUMBERS, 1),
        (lambda x, y: functional.mse_loss(x, y), torch.ones(8, 1), 1),
        (lambda x, y: functional.cosine_embedding_loss(x, x + 1, y), torch.ones(8), 3),
    ],
)
def test_what_cannot_be_known(loss: Loss, target: Tensor, outputs: int) -> None:
    assert _case(loss, target, outputs).chance is None


def test_an_empty_case() -> None:
    from preceptor.observation.observed import Observed
    from preceptor.observation.protocol import Protocol
    from preceptor.observation.record import Record

    case = Case(Observed(Record(), Protocol()))
    assert case.chance is None
    assert case.explained is None


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_single_samples(weighted: bool) -> None:
    target = torch.arange(32) % 4

    def loss(output: Tensor, target: Tensor) -> Tensor:
        each = functional.cross_entropy(output, target, reduction="none")
        return (each * torch.linspace(0, 2, 32)).mean() if weighted else each.sum() / len(each)

    case = _case(loss, target, outputs=4)
    assert case.chance == (None if weighted else pytest.approx(math.log(4)))
