"""The learning-rate test: what is chosen from losses, what is refused, and that nothing is left changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import ConfigError, DataError, UnknownName
from preceptor.training.population.rate_choice import choose_rate, smoothed
from preceptor.training.population.rate_test import RateTest

RATES = tuple(float(10 ** (k / 4)) for k in range(-16, 5))
X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + X[:, 1] > 0).long()


def valley(best: float, noise: float = 0.0, seeds: int = 4, width: float = 1.0) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(0)
    x = np.log10(np.array(RATES)) - math.log10(best)
    return (
        0.2
        + 0.8 * np.minimum(1.0, (x / width) ** 2)[:, None]
        + noise * generator.normal(size=(len(x), seeds))
    )


@pytest.mark.parametrize("best", [1e-3, 1e-2, 0.1])
def test_a_valley_is_found(best: float) -> None:
    choice = choose_rate(RATES, valley(best, noise=0.01), start=1.0)
    assert choice.lr == pytest.approx(best, rel=0.5)
    assert choice.low is not None
    assert choice.high is not None
    assert choice.low <= best <= choice.high
    assert choice.high / choice.low < 30
    assert (choice.reason, choice.edge) == ("", 0)


def test_what_diverges_with_one_seed_is_no_rate() -> None:
    losses = valley(0.1)
    losses[12:, 1] = np.nan  # from 0.1 on
    choice = choose_rate(RATES, losses, start=1.0)
    assert choice.lr is not None
    assert choice.lr < 0.1


def test_unclear_cases_say_why() -> None:
    every = np.full((len(RATES), 3), np.nan)
    assert "diverges at every rate" in choose_rate(RATES, every, 1.0).reason
    flat = np.full((len(RATES), 3), 0.98)
    assert "no rate lowers the loss" in choose_rate(RATES, flat, 1.0).reason
    wide = choose_rate(RATES, valley(1e-2, width=30.0), start=1.0)
    assert wide.lr is None
    assert "about the same" in wide.reason
    assert choose_rate(RATES, valley(1e-4), start=1.0).edge == -1
    assert choose_rate(RATES, valley(10.0), start=1.0).edge == 1


def test_smoothing_keeps_a_parabola() -> None:
    x = np.linspace(-2, 2, 17)
    np.testing.assert_allclose(smoothed(x, 3 * x**2 - x + 1, x), 3 * x**2 - x + 1, atol=1e-9)
    np.testing.assert_allclose(smoothed(x[:1], x[:1], x[:1]), x[:1])


@pytest.mark.slow
def test_the_rate_of_a_quadratic() -> None:
    """Gradient descent on least squares is fastest at 2 / (λ₁ + λₙ) of the Hessian (2/N) XᵀX."""
    generator = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(64, 3, generator=generator))
    x = q * torch.tensor([1.0, 0.8, 0.6]) * 8
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]])
    eigenvalues = torch.linalg.eigvalsh(2 / len(x) * x.T @ x)
    best = float(2 / (eigenvalues[0] + eigenvalues[-1]))
    found = preceptor.lr_test(
        lambda: nn.Linear(3, 1, bias=False), (x, y), optimizer="gradient-descent", iterations=6,
        settings={"data.val": 0.0, "data.test": 0.0}, seeds=3,
    )  # fmt: skip
    assert found.lr is not None
    assert best / 2 < found.lr < float(2 / eigenvalues[-1])  # beyond which it diverges
    assert found.monitor == "train_loss"
    dropped = preceptor.drop_test(
        lambda: nn.Linear(3, 1, bias=False), (x, y), optimizer="gradient-descent", iterations=100,
        rates=(10.0, 1.0, 1e-4), settings={"data.val": 0.0, "data.test": 0.0}, seeds=2,
    )  # fmt: skip
    assert dropped.chosen is not None
    assert (dropped.chosen.lr, dropped.chosen.weight_decay) == (1.0, 0.0)
    words = {(one.lr, one.word) for one in dropped.tried}
    assert words == {(10.0, "diverges"), (1.0, "drops"), (1e-4, "no drop")}


@pytest.mark.slow
def test_weights_and_generators_are_left_as_they_were() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    before, state = [p.detach().clone() for p in net.parameters()], torch.get_rng_state()
    for test in (preceptor.lr_test, preceptor.drop_test):
        test(net, (X, Y), seeds=1, iterations=4)
        assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        assert net.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_random_labels_are_refused() -> None:
    noise = torch.randint(2, (60,), generator=torch.Generator().manual_seed(1))
    found = preceptor.lr_test("mlp", (X, noise), seeds=2, iterations=10)
    assert found.lr is None
    assert "no rate" in str(found)
    assert found.choice.reason


@pytest.mark.slow
def test_what_is_said_and_drawn(tmp_path: Path) -> None:
    found = preceptor.lr_test("mlp", (X, Y), rates=[1e-4, 1e-3, 1e-2, 1e-1, 1.0], seeds=2, iterations=30)
    assert isinstance(found, RateTest)
    assert [row[0] for row in found.table()] == ["1.00e-04", "1.00e-03", "1.00e-02", "1.00e-01", "1.00e+00"]
    assert found.losses.shape == (5, 2)
    assert found.start > found.losses[np.isfinite(found.losses)].min()
    found.inspection().save(tmp_path / "lr.svg")
    assert "learning rate" in (tmp_path / "lr.svg").read_text()
    assert found.short == ((), ())


def test_what_is_not_usable() -> None:
    with pytest.raises(ConfigError, match="rates"):
        preceptor.lr_test("mlp", (X, Y), rates=[0.1, 0.2])
    with pytest.raises(ConfigError, match="rates"):
        preceptor.lr_test("mlp", (X, Y), rates=[0.1, 0.2, -1.0])
    with pytest.raises(ConfigError, match="seeds"):
        preceptor.lr_test("mlp", (X, Y), seeds=0)
    with pytest.raises(UnknownName, match="adamm"):
        preceptor.lr_test("mlp", (X, Y), optimizer="adamm", rates=[0.1, 0.2, 0.3])
    with pytest.raises(DataError):
        preceptor.lr_test("mlp")


def test_the_iterations_are_those_asked_for(population: Any) -> None:
    from preceptor.training.population.short_runs import Passes

    passes = Passes(population.experiment(), (X, Y), None, "batched", lambda text: None)
    steps = -(-passes.examples // passes.batch)
    for iterations in (1, 3, steps, steps + 1, 3 * steps):
        members = passes.train([{"seed": 0}, {"seed": 1}], iterations)
        assert {member.steps for member in members} == {iterations}


@pytest.mark.slow
def test_from_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from preceptor.cli import main

    picture = tmp_path / "lr.svg"
    common = ["lr", "iris", "--optimizer", "sgd", "--seeds", "1", "--iterations", "12"]
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *common,
                "--rate",
                "1e-3",
                "--rate",
                "1e-2",
                "--rate",
                "1e-1",
                "--rate",
                "1e9",
                "--out",
                str(picture),
            ]
        )
    assert ended.value.code in (0, 1)
    said = capsys.readouterr().out
    assert "diverges with 1 of 1 seeds" in said
    assert picture.exists()
    with pytest.raises(SystemExit) as ended:
        main(["lr", "iris", "--drop", "--seeds", "1"])
    assert ended.value.code == 0
    assert "← chosen" in capsys.readouterr().out
