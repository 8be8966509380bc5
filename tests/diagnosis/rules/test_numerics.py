"""Where numbers stop being finite, as it is told."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.rules import numerics
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record

from ._layers_planted import exponential_that_overflows, logarithm_of_zero, root_of_zero
from ._loss_runs import N, alarms, found, inputs, labels, learn, mlp, watched
from ._losses_planted import logarithm_of_scores_picked

CAUSE = "numeric-instability"


def test_the_first_operator_and_its_line_are_told() -> None:
    finding = found(logarithm_of_zero, over=False)[CAUSE]
    assert finding.exact
    assert finding.evidence["operator"] == "log"
    assert finding.evidence["smallest and largest input"][0] == 0
    assert finding.steps == (0,)
    assert finding.where.startswith("_layers_planted.py:")
    assert found(exponential_that_overflows)[CAUSE].evidence["operator"] == "exp"


def test_a_gradient_that_breaks_though_the_loss_does_not() -> None:
    finding = found(root_of_zero, over=False)[CAUSE]
    assert finding.evidence["operator"] == "sqrt"
    assert "gradient" in finding.title


def test_of_raw_scores_the_scores_are_the_cause() -> None:
    assert CAUSE not in found(logarithm_of_scores_picked)


def test_masks_of_infinity_are_fine() -> None:
    net, x, mask = mlp(3, 8, 4), inputs(), torch.tensor([0.0, 0, 0, -float("inf")])
    step = lambda: functional.cross_entropy(net(x) + mask, labels(3))  # noqa: E731
    assert alarms(lambda: learn(step, net)) == set()


def test_data_that_are_not_finite_are_no_operator_s_fault() -> None:
    net, x = mlp(3, 8, 1), inputs()
    x[0, 0] = float("nan")
    assert CAUSE not in found(lambda: learn(lambda: functional.mse_loss(net(x), torch.rand(N, 1)), net))


def test_an_operator_at_its_edge_is_named_where_the_loss_breaks_later() -> None:
    net, x, calls = mlp(3, 8, 2), inputs(), []

    def step() -> torch.Tensor:
        calls.append(1)
        size = (net(x) ** 2).sum(1) * (1e-9 if len(calls) < 9 else 0)
        size = torch.cat([size[:1] * 0 + 1e-30, size[1:] + 1])
        return torch.sqrt(size - (1e-29 if len(calls) > 8 else 0)).mean() + functional.mse_loss(
            net(x), x[:, :2]
        )

    finding = found(lambda: learn(step, net, steps=16))[CAUSE]
    assert not finding.exact
    assert finding.evidence["operator"] == "sqrt"


def curve(losses: list[float], norms: list[float], kind: str = "SGD", lr: float = 0.1) -> Observed:
    """A run of which only numbers are known."""
    record = Record()
    record.facts["optimizers"] = [{"number": 0, "class": kind, "groups": [{"lr": lr, "parameters": 1}]}]
    for step, loss in enumerate(losses):
        record.add("loss", step, loss, "train")
        record.add("lr", step, lr, "0.0")
    for step, norm in enumerate(norms):
        record.add("total_grad_norm", step, norm)
    return Observed(record, Protocol(), steps={"train": len(losses)})


def likeliest(*run: Any, **options: Any) -> set[str]:
    return {finding.cause for finding in numerics.lost_between_looks(Case(curve(*run, **options)))}


CALM = [1.0 - step / 100 for step in range(40)]
LOST = [float("nan")] * 20


def test_what_led_to_a_loss_that_is_not_finite_says_what_is_likeliest() -> None:
    assert likeliest(CALM + LOST, [1.0] * 40) == {"invalid-values-in-data"}
    assert likeliest([*CALM, 5.0, 80.0, *LOST], [1.0] * 40) == {"learning-rate-too-high"}
    assert likeliest(CALM + LOST, [*[1.0] * 39, 50.0]) == {"learning-rate-too-high"}
    assert likeliest(CALM + LOST, [1.0] * 40, lr=5.0) == {"learning-rate-too-high"}
    assert likeliest(CALM + LOST, [], kind="LBFGS", lr=1.0) == {"learning-rate-too-high"}


def test_a_loss_that_is_finite_again_or_never_was_is_left_alone() -> None:
    assert likeliest(CALM + LOST + CALM, [1.0]) == set()
    assert likeliest(LOST, []) == set()
    assert likeliest(CALM, []) == set()


def test_an_operator_with_an_edge_is_likelier_than_data() -> None:
    net, x, calls = mlp(3, 8, 1), inputs(), []

    def step() -> torch.Tensor:
        calls.append(None)
        late = float("nan") if len(calls) > 10 else 1.0
        return ((net(x).abs() + 1).log() * late).mean()

    told = numerics.lost_between_looks(Case(watched(lambda: learn(step, net, steps=16))))
    assert {finding.cause for finding in told} == {CAUSE}
