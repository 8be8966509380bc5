"""When checkpoints are due, and what becomes of those that were half written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from preceptor.errors import CheckpointError
from preceptor.training import Callback, Checkpoints, Problem, State, checkpoints, fit
from preceptor.training.storage import load_tree, save_tree

MakeProblem = Callable[..., Problem]


def test_due_by_steps() -> None:
    keeper = Checkpoints(Path("c"), seconds=None, steps=3)
    assert [step for step in range(1, 10) if keeper.due(step)] == [3, 6, 9]


def test_due_by_seconds_since_the_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = [100.0]
    monkeypatch.setattr(checkpoints, "monotonic", lambda: now[0])
    keeper = Checkpoints(tmp_path / "c", seconds=10)
    now[0] = 109.9
    assert not keeper.due(1)
    now[0] = 110.0
    assert keeper.due(2)
    keeper.save({"step": 2})
    assert not keeper.due(3)
    now[0] = 120.0
    assert keeper.due(4)


def test_never_due() -> None:
    assert not any(Checkpoints(Path("c"), seconds=None).due(step) for step in range(100))


def test_a_training_writes_at_its_begin_when_due_and_at_its_end(
    make_problem: MakeProblem, tmp_path: Path
) -> None:
    written: list[int] = []

    class Noting(Checkpoints):
        def save(self, snapshot: dict[str, object]) -> None:
            super().save(snapshot)
            written.append(self.load()["step"])

    fit(make_problem(batch_size=10), epochs=2, checkpoints=Noting(tmp_path / "c", seconds=None, steps=4))
    assert written == [0, 4, 8, 10]


def seeded_fit(problem: Problem, **settings: Any) -> State:
    torch.manual_seed(1)
    return fit(problem, **settings)


def test_a_resume_that_has_nothing_to_do_writes_nothing(make_problem: MakeProblem, tmp_path: Path) -> None:
    """What it would write is not where the training stands: nothing has been drawn since."""
    keeper = Checkpoints(tmp_path / "c")
    whole = seeded_fit(make_problem(), epochs=4)
    seeded_fit(make_problem(), epochs=2, checkpoints=keeper)
    before = (tmp_path / "c").read_bytes()
    fit(make_problem(), epochs=2, checkpoints=keeper, resume=keeper.load())
    assert (tmp_path / "c").read_bytes() == before
    resumed = fit(make_problem(), epochs=4, checkpoints=keeper, resume=keeper.load())
    assert resumed.history.without("seconds") == whole.history.without("seconds")


@pytest.mark.parametrize(
    ("event", "epoch"), [("on_train_begin", 0), ("on_epoch_begin", 0), ("on_epoch_begin", 1)]
)
@pytest.mark.parametrize("loaded", [False, True])
def test_a_stop_before_the_first_step_of_an_epoch_loses_no_order(
    make_problem: MakeProblem, examples: Any, tmp_path: Path, event: str, epoch: int, loaded: bool
) -> None:
    """Such as Ctrl-C while the workers of a DataLoader start."""

    def problem() -> Problem:
        loader = DataLoader(TensorDataset(*examples), batch_size=8, shuffle=True)
        return make_problem(loader=loader if loaded else None)

    def stop(_: Callback, state: State) -> None:
        state.stop = "interrupted" if state.epoch == epoch else None

    keeper = Checkpoints(tmp_path / "c")
    whole = seeded_fit(problem(), epochs=3)
    stopper = type("Stopper", (Callback,), {event: stop})()
    assert seeded_fit(problem(), epochs=3, checkpoints=keeper, callbacks=[stopper]).epoch == epoch
    torch.manual_seed(2)
    resumed = fit(problem(), epochs=3, resume=keeper.load())
    assert resumed.history.without("seconds") == whole.history.without("seconds")


def test_leftovers_of_a_process_that_was_killed_are_removed(tmp_path: Path) -> None:
    keeper = Checkpoints(tmp_path / "c.safetensors")
    keeper.save({"step": 1})
    (tmp_path / ".c.safetensors.123.tmp").write_bytes(b"half")
    (tmp_path / "other.tmp").write_bytes(b"not ours")
    assert keeper.load() == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.safetensors", "other.tmp"]


def test_a_missing_or_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read"):
        Checkpoints(tmp_path / "absent").load()
    (tmp_path / "c").write_bytes(b"\x00" * 40)
    with pytest.raises(CheckpointError, match="cannot read"):
        Checkpoints(tmp_path / "c").load()


def test_the_one_before_is_read_where_the_latest_is_damaged(tmp_path: Path) -> None:
    keeper = Checkpoints(tmp_path / "c.safetensors")
    for step in (1, 2, 3):
        keeper.save({"step": step, "w": torch.full((50,), float(step))})
    data = bytearray(keeper.path.read_bytes())
    data[-7] ^= 4  # one bit of one weight
    keeper.path.unlink()
    keeper.path.write_bytes(data)
    after = Checkpoints(keeper.path)
    assert after.load()["step"] == 2
    told = r"cannot read \S*c.safetensors \(ValueError: its content has changed.*before it, \S+, of step 2"
    assert re.match(told, after.notes[0])
    after.save({"step": 4})
    assert Checkpoints(keeper.path).load()["step"] == 4
    assert load_tree(after.previous)["step"] == 2  # not the damaged one
    after.path.unlink()
    assert after.exist
    after.previous.write_bytes(b"")
    with pytest.raises(CheckpointError, match="No such file"):
        after.load()


def test_every_flipped_bit_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_tree(path, {"step": 3, "w": torch.arange(3.0), "none": None, "pair": (1, "a")})
    sound = path.read_bytes()
    for at in range(0, 8 * len(sound), 29):
        data = bytearray(sound)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
        try:
            tree = load_tree(path)
        except CheckpointError:
            continue
        assert b'"crc32"' not in data  # its own name: nothing else has changed
        assert repr(tree) == repr({"step": 3, "w": torch.arange(3.0), "none": None, "pair": (1, "a")})
