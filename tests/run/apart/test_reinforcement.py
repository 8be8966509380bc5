"""Learners of rewards: equations, what they learn, runs that are kept, loaded and gone on with."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.reinforcement import play
from preceptor.catalogue.reinforcement.reinforce import returns
from preceptor.cli import app
from preceptor.errors import ConfigError, DataError, UnknownName


def test_the_chain_pays_at_its_right_end_alone():
    world, chance = get("chain", length=3), torch.Generator()
    for action, reward in ((1, 1.0), (0, 0.0)):
        world.reset(chance)
        first = world.step(action, chance)
        last = world.step(action, chance)
        assert (first.reward, first.end, last.reward, last.end) == (0.0, False, reward, True)


def test_the_best_return_of_a_grid_is_that_of_its_shortest_way():
    world, chance = get("grid-world", size=3), torch.Generator()
    assert world.best == pytest.approx(1 - 0.01 * 6)
    best = -math.inf
    for path in itertools.product(range(4), repeat=6):
        world.reset(chance)
        total = 0.0
        for action in path:
            step = world.step(action, chance)
            total += step.reward
            if step.end:
                best = max(best, total)
                break
    assert best == pytest.approx(world.best)


def test_the_cart_moves_by_the_equations_of_lagrange():
    """Solve the two coupled equations of motion for both accelerations, and compare one tick."""
    world = get("cart-pole")
    rng = np.random.default_rng(0)
    for action in (0, 1):
        state = rng.normal(0, 0.1, 4)
        world.state = tuple(state)
        _, v, a, w = state
        f, m, cart, half, g = (10.0 if action else -10.0), 0.1, 1.0, 0.5, 9.8
        # (M + m) ẍ + m l θ̈ cos θ = F + m l θ̇² sin θ;   ẍ cos θ + (4/3) l θ̈ = g sin θ
        left = np.array([[cart + m, m * half * math.cos(a)], [math.cos(a), 4 / 3 * half]])
        right = np.array([f + m * half * w**2 * math.sin(a), g * math.sin(a)])
        pull, spin = np.linalg.solve(left, right)
        world.step(action, torch.Generator())
        np.testing.assert_allclose(world.state, state + 0.02 * np.array([v, pull, w, spin]), rtol=1e-12)


def test_an_episode_can_be_played_again():
    world, learner = get("grid-world", slip=0.5), get("q-learning", (25,), 4)
    totals = [play(learner, world, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert totals[0] == totals[1]


def test_a_table_learns_the_values_of_bellman_s_equation():
    world, learner = get("chain", length=3), get("q-learning", (3,), 2, discount=0.9, epsilon=1.0)
    chance = torch.Generator().manual_seed(0)
    for _ in range(600):
        learner.episode(world, chance)
    expected = [[0.0, 0.81], [0.729, 0.9], [0.81, 1.0]]
    np.testing.assert_allclose(learner.table.numpy(), expected, atol=2e-3)


def test_the_step_of_reinforce_is_the_gradient_of_its_objective():
    torch.manual_seed(0)
    learner = get("reinforce", (3,), 2, hidden=(), entropy=0.0)
    seen, done, reached = torch.randn(6, 3), torch.tensor([0, 1, 1, 0, 1, 0]), torch.arange(6.0)
    weight = learner.policy[0].weight
    p = learner.policy(seen).softmax(1).detach()
    value = learner.baseline(seen)[:, 0].detach()
    advantage = reached - value
    advantage = (advantage - advantage.mean()) / advantage.std(correction=0)
    marks = torch.eye(2)[done]
    expected = -((advantage[:, None] * (marks - p)).T @ seen) / 6  # ∇ log softmax is one-hot minus p
    learner.learn(seen, done, reached)
    torch.testing.assert_close(weight.grad, expected)


def test_returns_are_sums_of_what_comes():
    torch.testing.assert_close(returns([1.0, 2.0, 4.0], 0.5), torch.tensor([3.0, 4.0, 4.0]))


@pytest.mark.parametrize("model", ["q-learning", "reinforce", "dqn"])
def test_a_learner_comes_from_chance_to_the_best(model: str):
    settings = {"training.epochs": 5 if model == "q-learning" else 8, "model.seeds": 2}
    run = preceptor.train(model, "chain", task="reinforcement", settings=settings, out=False)
    assert 0.2 < run.by_chance < 0.8
    assert run.history[-1, "val_return"] >= 0.95 * run.world.best
    assert run.play(5).tolist() == [1.0] * 5
    assert run.predict(torch.eye(5)).tolist() == [1] * 5


@pytest.mark.slow
def test_reinforce_balances_the_pole():
    run = preceptor.train(data="cart-pole", task="reinforcement", settings={"training.epochs": 20}, out=False)
    assert run.experiment.model.name == "reinforce"
    assert run.evaluate().metrics["return"] >= 0.95 * run.world.best


@pytest.mark.parametrize("model", ["q-learning", "reinforce", "dqn"])
def test_a_run_goes_on_exactly_where_it_was(model: str, tmp_path: Path):
    small = {"training.batch_size": 7, "model.seeds": 2}
    whole = preceptor.train(
        model, "chain", task="reinforcement", epochs=4, settings=small, out=tmp_path / "a"
    )
    preceptor.train(model, "chain", task="reinforcement", epochs=2, settings=small, out=tmp_path / "b")
    on = preceptor.train(resume=tmp_path / "b", epochs=4)
    for a, b in zip(whole.history, on.history, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    seen = torch.eye(5)
    for one, other in zip(whole.learners, preceptor.load(tmp_path / "b").learners, strict=True):
        assert all(torch.equal(one.values(row), other.values(row)) for row in seen)


def test_the_command_line_learns_evaluates_and_goes_on(tmp_path: Path):
    run, call = str(tmp_path / "r"), CliRunner().invoke
    shown = call(
        app, ["train", "grid-world, size=3", "--task", "reinforcement", "--epochs", "2", "--out", run]
    )
    assert shown.exit_code == 0, shown.output
    assert "the best that can be done 0.94" in shown.output
    assert "return 0.940" in call(app, ["evaluate", run]).output
    assert call(app, ["train", "--resume", run, "--epochs", "3"]).exit_code == 0
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "Learning curve, with the 95 % interval over learners" in page
    assert "Random actions return" in page


def test_what_a_learner_has_not_is_refused():
    def made(data: object = "chain", **settings: object) -> object:
        given = {key.replace("__", "."): value for key, value in settings.items()}
        return preceptor.train(data=data, task="reinforcement", settings=given, out=False)

    with pytest.raises(ConfigError, match=r"no setting 'training\.patience'"):
        made(training__patience=3)
    with pytest.raises(ConfigError, match="seeds is not usable"):
        made(model__seeds=0)
    with pytest.raises(ConfigError, match="no option 'slipp'"):
        made("grid-world, slipp=0.1")
    with pytest.raises(UnknownName, match="grid-wold"):
        made("grid-wold")
    with pytest.raises(DataError, match="nothing to act in"):
        made(None)
    assert (
        made(model__name="mlp", training__epochs=1, training__batch_size=1).experiment.model.name
        == "reinforce"
    )
