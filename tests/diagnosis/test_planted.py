"""Faults planted into healthy programs are named, and the healthy programs raise no alarm.

One program and one seed a cause; `benchmarks/diagnosis.py` measures them all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _planted import HEALTHY, NOT_PLANTED, PLANTS
from _planted_problem import Problem, run
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.diagnose import diagnose
from preceptor.diagnosis.finding import Finding

# The program that a cause is planted in where it is not the plain MLP.
HOSTS = {
    "bad-labels": "mlp, two classes",
    "broadcast-in-loss": "regression",
    "capacity-too-low": "autoencoder",
    "class-imbalance": "mlp, noisy",
    "clip-before-unscale": "mlp, half",
    "clipping-too-tight": "regression, sgd",
    "data-not-shuffled": "mlp, sgd",
    "invalid-values-in-data": "regression",
    "loss-reduction": "regression, sgd",
    "loss-scale-collapse": "mlp, half",
    "missing-gradient-clipping": "rnn, long",
    "numeric-instability": "mlp, two classes",
    "overfitting": "mlp, noisy",
    "state-not-detached": "mlp, memory",
    "unscaled-inputs": "regression",
    "unscaled-targets": "regression",
    "unsuitable-hidden-activation": "mlp, deep",
    "unsuitable-output-activation": "regression",
    "updates-lost-to-rounding": "mlp, sgd",
}

QUICK = {"missing-zero-grad", "broadcast-in-loss", "unscaled-targets", "missing-backward"}
FAMILIES = ["mlp", "cnn", "rnn", "transformer", "autoencoder", "regression"]


def judged(problem: Problem) -> list[Finding]:
    seen, _ = run(problem, seed=0)
    assert seen is not None
    failed: list[str] = []
    found = diagnose(seen, complain=failed.append)
    assert failed == []
    return found


def test_every_cause_is_planted_or_excused() -> None:
    assert {plant.cause for plant in PLANTS} | set(NOT_PLANTED) == set(CAUSES)
    assert not {plant.cause for plant in PLANTS} & set(NOT_PLANTED)


def test_every_cause_is_planted_in_three_families() -> None:
    families = {cause: {p.family for p in PLANTS if p.cause == cause} for cause in CAUSES}
    assert [cause for cause in families if len(families[cause]) < 3 and cause not in NOT_PLANTED] == []


def test_names_tell_programs_and_plants_apart() -> None:
    assert len({host.name for host in HEALTHY}) == len(HEALTHY)
    assert len({(p.cause, p.host.name, p.what) for p in PLANTS}) == len(PLANTS)


@pytest.mark.parametrize(
    "name", [pytest.param(f, marks=() if f == "regression" else pytest.mark.slow) for f in FAMILIES]
)
def test_healthy_programs_raise_no_alarm(name: str) -> None:
    found = judged(next(host for host in HEALTHY if host.name == name))
    assert [(f.cause, f.title) for f in found if f.severity != "info"] == []


def _causes() -> list[object]:
    causes = dict.fromkeys(plant.cause for plant in PLANTS)
    return [pytest.param(cause, marks=() if cause in QUICK else pytest.mark.slow) for cause in causes]


@pytest.mark.parametrize("cause", _causes())
def test_what_is_planted_is_named(cause: str) -> None:
    host = HOSTS.get(cause, "mlp")
    plant = next(p for p in PLANTS if (p.cause, p.host.name) == (cause, host))
    found = judged(plant.problem)
    assert cause in [finding.cause for finding in found], [(f.cause, f.title) for f in found]
