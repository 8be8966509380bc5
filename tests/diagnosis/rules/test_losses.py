"""What enters a loss: every planted fault is named first, with its evidence."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis.diagnose import diagnose
from preceptor.diagnosis.rule import RULES

from ._layers_planted import PLANTED
from ._loss_runs import FAMILIES, Program, found, inputs, labels, learn, mlp, watched

CASES = [(cause, program) for cause, programs in PLANTED.items() for program in programs]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("cause", "program"), CASES, ids=[program.__name__ for _, program in CASES])
def test_a_planted_fault_is_named_first(cause: str, program: Program) -> None:
    failed: list[str] = []
    everything = diagnose(watched(program), complain=failed.append)
    assert failed == []
    mine = {family.__name__ for family in FAMILIES}
    causes = {name for rule in RULES.values() if rule.find.__module__ in mine for name in rule.causes}
    named = [f.cause for f in everything if f.severity != "info" and f.cause in causes]
    assert cause in named[:2]  # labels that are stretched are two faults at once


def test_the_floor_of_a_second_softmax_is_told() -> None:
    net, x = mlp(3, 8, 10, out=nn.Softmax(dim=1)), inputs()
    finding = found(lambda: learn(lambda: functional.cross_entropy(net(x), labels(10)), net))[
        "probabilities-as-logits"
    ]
    assert finding.severity == "critical"
    assert finding.exact
    assert "1.46 with 10 classes" in finding.effect
    assert finding.where.startswith("test_losses.py:")
    assert finding.evidence["rows sum to"].startswith("1 ± ")
    assert finding.layers == ("3",)


def test_exact_faults_are_found_while_the_run_goes_on() -> None:
    net, x = mlp(3, 8, 4), inputs()
    early = found(lambda: learn(lambda: functional.nll_loss(net(x), labels(4)), net, steps=2), over=False)
    assert early["logits-as-probabilities"].exact
    assert "no lower bound" in early["logits-as-probabilities"].effect


def test_without_a_graph_rows_that_sum_to_one_tell() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs()
    seen = watched(lambda: learn(lambda: functional.cross_entropy(net(x), labels(4)), net))
    seen.graphs.clear()
    finding = next(f for f in diagnose(seen) if f.cause == "probabilities-as-logits")
    assert not finding.exact
    assert finding.confidence > 0.9


def test_without_a_graph_shapes_tell() -> None:
    net, x = mlp(3, 8, 1), inputs()
    seen = watched(lambda: learn(lambda: _warned(net(x), x[:, 0]), net))
    seen.graphs.clear()
    assert "broadcast-in-loss" in {f.cause for f in diagnose(seen)}


def _warned(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    with pytest.warns(UserWarning, match="target size"):
        return functional.mse_loss(prediction, target)
