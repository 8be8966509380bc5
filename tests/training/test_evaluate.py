"""Measuring: every example counts the same, and the model is left as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from preceptor.data.batches import TensorBatches
from preceptor.errors import DataError
from preceptor.training import Problem
from preceptor.training.evaluate import evaluate, evaluation, outputs

MakeProblem = Callable[..., Problem]
Examples = tuple[Tensor, Tensor]


def in_order(examples: Examples, size: int) -> TensorBatches:
    return TensorBatches(*examples, batch_size=size, shuffle=False)


@pytest.mark.parametrize("size", [1, 8, 58, 59, 100])
def test_the_size_of_batches_does_not_matter(
    make_problem: MakeProblem, examples: Examples, size: int
) -> None:
    problem = make_problem(dtype=torch.float64)
    x, y = examples[0].double(), examples[1]
    with torch.no_grad():
        output = problem.model.eval()(x)
    measured = evaluate(problem, in_order((x, y), size))
    assert measured["loss"] == pytest.approx(cross_entropy(output, y).item(), rel=1e-12)
    assert measured["accuracy"] == pytest.approx((output.argmax(1) == y).double().mean().item())
    assert list(measured) == ["loss", "accuracy", "macro_f1"]


def test_outputs_come_in_order_with_their_targets(make_problem: MakeProblem, examples: Examples) -> None:
    problem = make_problem()
    output, target = outputs(problem, in_order(examples, 7))
    assert torch.equal(target, examples[1])
    assert output.shape == (59, 3)
    with torch.no_grad():
        assert torch.allclose(output, problem.model.eval()(examples[0]))


def test_outputs_in_half_precision_become_float32(make_problem: MakeProblem, examples: Examples) -> None:
    assert outputs(make_problem(precision="bf16"), in_order(examples, 7))[0].dtype == torch.float32


def test_every_module_keeps_its_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    model[2].train(False)
    model[2][1].train()
    before = [module.training for module in model.modules()]
    with evaluation(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()


def test_modes_come_back_after_an_exception() -> None:
    model = nn.Dropout()

    def fail() -> None:
        with evaluation(model):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert model.training


def test_statistics_of_batches_do_not_move(make_problem: MakeProblem, examples: Examples) -> None:
    problem = make_problem(lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3)))
    before = {k: v.clone() for k, v in problem.model.state_dict().items()}
    evaluate(problem, in_order(examples, 8))
    assert all(torch.equal(v, before[k]) for k, v in problem.model.state_dict().items())
    assert problem.model.training


@pytest.mark.parametrize("measure", [evaluate, outputs])
def test_an_empty_pass_is_named(make_problem: MakeProblem, measure: Callable[..., object]) -> None:
    class Nothing:
        def epoch(self) -> list[object]:
            return []

    with pytest.raises(DataError, match="nothing to measure"):
        measure(make_problem(), Nothing())
