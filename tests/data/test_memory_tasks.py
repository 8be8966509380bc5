"""Sequences that ask for memory: what they hold, and that they can be learned from by name."""

from __future__ import annotations

import pytest
import torch

import preceptor
from preceptor.data.memory_tasks import adding_problem, copy_task
from preceptor.errors import ConfigError


def test_the_adding_problem_marks_one_number_in_each_half():
    x, y = adding_problem(500, length=11, seed=1)
    numbers, marks = x.unbind(-1)
    assert ((marks[:, :5].sum(1) == 1) & (marks[:, 5:].sum(1) == 1)).all()
    torch.testing.assert_close(y[:, 0], (numbers * marks).sum(1))
    assert (y - 1).square().mean().item() == pytest.approx(1 / 6, abs=0.02)
    assert all(marks[:, t].any() for t in range(11))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_copy_task_asks_for_what_it_showed(reverse: bool):
    x, y = copy_task(100, length=4, delay=3, symbols=5, reverse=reverse, seed=1)
    assert x.shape == y.shape == (100, 11)
    shown = x[:, :4].flip(1) if reverse else x[:, :4]
    assert torch.equal(shown, y[:, 7:])
    assert (x[:, :4] >= 1).all()
    assert (x[:, :4] <= 5).all()
    assert (x[:, 6] == 6).all()
    assert (x[:, [4, 5, 7, 8, 9, 10]] == 0).all()
    assert (y[:, :7] == 0).all()


def test_draws_are_fixed_by_the_seed_and_leave_torch_s_generator_alone():
    before = torch.get_rng_state()
    for draw in (adding_problem, copy_task):
        assert torch.equal(draw(5, seed=3)[0], draw(5, seed=3)[0])
        assert not torch.equal(draw(5, seed=3)[0], draw(5, seed=4)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_and_seeds_are_checked():
    with pytest.raises(ConfigError, match="length"):
        adding_problem(5, length=1)
    with pytest.raises(ConfigError, match="symbols"):
        copy_task(5, symbols=0)
    with pytest.raises(ConfigError, match="seed"):
        copy_task(5, seed="one")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "transformer", "tcn"])
def test_networks_for_sequences_are_trained_by_name(name: str, tmp_path):
    x, y = adding_problem(64, length=6)
    run = preceptor.train(
        name,
        (x.numpy(), y.numpy()),
        task="regression",
        settings={"model.hidden": 8},
        epochs=1,
        out=tmp_path / "run",
    )
    assert torch.isfinite(torch.tensor(run.history[-1, "val_loss"]))
    torch.testing.assert_close(preceptor.load(tmp_path / "run").predict(x), run.predict(x))
