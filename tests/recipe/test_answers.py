"""The level of chance and the lowest loss, found from the loss alone, against what is known of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.recipe import _trees as trees
from preceptor.recipe._answers import best_answer, last_unit
from preceptor.recipe._classes import Classes, class_axis

Y = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
NUMBERS = torch.tensor([5.0, 7.0, 7.0, 11.0, 20.0])[:, None]
SHARES = torch.tensor([0.5, 0.3, 0.2])
ENTROPY = float(-(SHARES * SHARES.log()).sum())


def constant(loss: Any, like: Tensor, y: Tensor) -> float:
    return best_answer(loss, like, y, shared=True).loss


def test_a_constant_answer_has_the_entropy_of_classes() -> None:
    assert constant(functional.cross_entropy, torch.zeros(10, 3), Y) == pytest.approx(ENTROPY, abs=1e-4)
    alike = torch.arange(40) % 10
    assert constant(functional.cross_entropy, torch.zeros(40, 10), alike) == pytest.approx(
        math.log(10), abs=1e-4
    )


def test_a_constant_answer_has_the_variance_of_numbers() -> None:
    assert constant(functional.mse_loss, torch.zeros(5, 1), NUMBERS) == pytest.approx(28.8, rel=1e-4)
    assert constant(functional.l1_loss, torch.zeros(5, 1), NUMBERS) == pytest.approx(3.8, rel=2e-2)
    far = NUMBERS * 1000 + 1e6
    assert constant(functional.mse_loss, torch.zeros(5, 1), far) == pytest.approx(28.8e6, rel=1e-3)


def test_a_constant_answer_has_the_entropy_of_yes_and_no() -> None:
    y = torch.tensor([1.0, 0.0, 0.0, 0.0])
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    loss = functional.binary_cross_entropy_with_logits
    assert constant(loss, torch.zeros(4), y) == pytest.approx(expected, abs=1e-4)


def test_smoothing_leaves_a_floor() -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    q = torch.tensor([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
    assert best_answer(loss, torch.zeros(10, 3), Y).loss == pytest.approx(
        float(-(q * q.log()).sum()), abs=1e-3
    )


def test_one_answer_for_all_places_of_a_text() -> None:
    y = torch.tensor([[0, 1, 1], [1, 1, 0]])
    shape = best_answer(
        lambda z, t: functional.cross_entropy(z.flatten(0, 1), t.flatten()),
        torch.zeros(2, 3, 2),
        y,
        shared=True,
    )
    p = torch.tensor([1 / 3, 2 / 3])
    assert shape.loss == pytest.approx(float(-(p * p.log()).sum()), abs=1e-4)
    assert torch.equal(shape.outputs[0, 0], shape.outputs[1, 2])


def test_units_bound_what_can_be_reached() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Softmax(1))
    output = model(torch.zeros(10, 2))
    unit = last_unit(output)
    # Of probabilities taken for logits: ln(e + K − 1) − 1.
    held = best_answer(functional.cross_entropy, output, Y, unit).loss
    assert held == pytest.approx(math.log(math.e + 2) - 1, abs=1e-3)
    assert best_answer(functional.cross_entropy, output, Y).loss < 0.01


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.Softmax(1), "softmax"),
        (nn.LogSoftmax(-1), "log_softmax"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Tanh(), "tanh"),
        (nn.ReLU(), "relu"),
        (nn.Sequential(nn.Sigmoid(), nn.Flatten(), nn.Unflatten(1, (3, 1))), "sigmoid"),
        (nn.Identity(), None),
        (nn.GELU(), None),
    ],
)
def test_last_units(layer: nn.Module, name: str | None) -> None:
    unit = last_unit(layer(nn.Linear(2, 3)(torch.zeros(4, 2))))
    assert (unit.name if unit else None) == name


@pytest.mark.parametrize("loss", [functional.nll_loss, lambda z, y: -functional.cross_entropy(z, y)])
def test_losses_without_a_lowest_value(loss: Callable[..., Tensor]) -> None:
    assert best_answer(loss, torch.zeros(10, 3), Y).loss == -math.inf


def test_outputs_that_a_loss_does_not_take_are_not_known() -> None:
    def of_positive(z: Tensor, y: Tensor) -> Tensor:
        if bool((z <= 0).any()):
            raise ValueError("a logarithm of nothing")
        return (z.log() - y).square().mean()

    found = best_answer(of_positive, torch.zeros(5, 1), NUMBERS)
    assert math.isnan(found.loss)
    assert not found.known


@pytest.mark.parametrize(
    ("output", "target", "axis"),
    [
        ((5, 3), (5,), 1),
        ((5, 3), (5, 1), 1),
        ((5, 7, 3), (5, 7), 2),
        ((5, 3, 8, 8), (5, 8, 8), 1),
        ((5, 1), (5, 2), None),
    ],
)
def test_the_axis_of_classes(output: tuple[int, ...], target: tuple[int, ...], axis: int | None) -> None:
    assert class_axis(torch.zeros(output), torch.zeros(target, dtype=torch.long)) == axis


def test_right_answers_are_counted() -> None:
    classes = Classes.of(torch.zeros(3, 2), torch.tensor([0, 1, 1]), None)
    assert classes is not None
    assert classes.right(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1, 1])) == (
        2,
        3,
    )
    assert classes.right(torch.zeros(2, 2), torch.tensor([0, -100])) == (1, 1)
    yes = Classes.of(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), None)
    assert yes is not None
    assert yes.right(torch.tensor([[0.3], [0.2]]), torch.tensor([[1.0], [0.0]])) == (1, 2)
    assert Classes.of(torch.zeros(2, 1), torch.tensor([[1.5], [0.0]]), None) is None


def test_batches_of_any_form() -> None:
    tree = {"ids": torch.arange(6).reshape(3, 2), "mask": (torch.ones(3), "kept")}
    assert trees.size(tree) == 3
    some = trees.rows(tree, torch.tensor([2, 0]))
    assert some["ids"].tolist() == [[4, 5], [0, 1]]
    assert some["mask"][1] == "kept"
    both = trees.joined([tree, tree])
    assert (both["ids"].shape, len(both["mask"][0])) == ((6, 2), 6)
    assert trees.volume(tree) == 6 * 8 + 3 * 4
    with pytest.raises(ValueError, match="several shapes"):
        trees.joined([torch.zeros(2, 3), torch.zeros(2, 4)])
    with pytest.raises(ValueError, match="another form"):
        trees.joined([(torch.zeros(2),), torch.zeros(2)])
