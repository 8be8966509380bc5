"""Damage that lies on the disk, and steps that go wrong: cut and flipped files, NaN batches, no memory."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from _faults_world import (
    Outcome,
    World,
    code_of,
    difference,
    fork,
    judged,
    numbers,
    searched,
    train,
    values,
    watched,
)
from preceptor.observation.observed import Observed
from preceptor.training import Checkpoints, RunFolder
from preceptor.training.callbacks import Callback
from preceptor.training.state import State

_LEFT_OUT = {"report.html", "lock", "progress.json"}  # read by nobody, or of no importance


def damage(path: Path, luck: random.Random) -> str:
    """Flip a bit, cut the file short, or fill a block with zeros; return what was done."""
    data = bytearray(path.read_bytes())
    before, kind = bytes(data), luck.choice(("flip", "flip", "flip", "cut", "zeros"))
    while bytes(data) == before:
        at = luck.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << luck.randrange(8)
        elif kind == "cut":
            del data[at:]
        else:
            data[at : at + 64] = bytes(len(data[at : at + 64]))
    path.unlink()  # a link to it, as checkpoints have, keeps what it holds
    path.write_bytes(data)
    return f"{path.name}: {kind} at {at} of {len(before)}"


def files_of(folder: Path, *kinds: str) -> list[Path]:
    """Return the files of a folder that can be damaged."""
    found = sorted(
        p for p in folder.rglob("*") if p.is_file() and p.stat().st_size and p.name not in _LEFT_OUT
    )
    return [p for p in found if not kinds or p.suffix in kinds or p.name in kinds]


def stopped_half_way(world: World) -> Path:
    """Return a run that was killed in its middle."""

    class Kill(Callback):
        """Kills the process."""

        def on_batch_end(self, state: State) -> None:
            """Do it."""
            if state.step == 33:
                os.kill(os.getpid(), signal.SIGKILL)

    def make() -> Path:
        if not Path("half").exists():
            code_of(fork(lambda: train("half", callbacks=[Kill()])))
        return Path("half")

    return Path(world.once("half", make))


def damaged_unfinished(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Damage a file of a run that was killed, and let it go on."""
    shutil.copytree(stopped_half_way(world), folder)
    files = files_of(folder)
    path = folder / "state" / "checkpoint.safetensors" if index % 2 else luck.choice(files)
    told, lost = damage(path, luck), 0
    if path.name == "checkpoint.safetensors":
        lost = Checkpoints(stopped_half_way(world) / "state" / path.name).load()["step"]
        lost -= Checkpoints(folder / "state" / "previous.safetensors").load()["step"]
    try:
        train(resume=folder)
        found = difference(numbers(folder), numbers("whole"))
    except Exception as error:  # noqa: BLE001
        return judged(error, path.name)
    return Outcome("corrupted" if found else "survived", lost, f"{told} {found}")


def everything(folder: Path) -> Any:
    """Return all that can be read of a run that has ended, and what it predicts."""
    run = preceptor.load(folder)
    assert run.folder is not None
    manifest, checkpoints = run.folder.manifest, Checkpoints(run.folder.state)
    step = checkpoints.load()["step"]
    return {
        **numbers(folder),
        "manifest": manifest,
        "experiment": run.experiment.to_toml(),
        "predicted": run.predict("data.csv").tolist(),
        "findings": run.folder.findings,
        "audit": None if run.audit is None else run.audit.to_plain(),
        "reference": None if run.reference is None else _plain(run.reference.to_tensors()),
        "step": "of the checkpoint before it" if checkpoints.notes else step,
    }


def _plain(value: Any) -> str:
    tensors, texts = value
    return json.dumps([{k: v.tolist() for k, v in sorted(tensors.items())}, sorted(texts.items())])


def same(a: Any, b: Any) -> bool:
    """Say whether two runs hold the same."""
    return not difference(a, b) and all(
        str(a[key]) == str(b[key]) or str(a[key]).startswith("of the checkpoint before it")
        for key in a
        if key not in ("best", "last", "history")
    )


def damaged_finished(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Damage a file of a run that has ended, and read all of it."""
    shutil.copytree("whole", folder)
    reference = world.once("everything", lambda: everything(Path("whole")))
    files = [p for p in files_of(folder) if p.name != "previous.safetensors" and "record" not in p.parts]
    path = files[index % len(files)]
    told = damage(path, luck)
    try:
        found = everything(folder)
    except Exception as error:  # noqa: BLE001
        return judged(error, path.name)
    return Outcome("survived" if same(found, reference) else "corrupted", 0, told)


def damaged_record(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Damage a file of a record, and read it."""
    older = world.once("older", watched)
    older.save(folder)

    def content(seen: Observed) -> str:
        series = [
            [one.name, one.subject, *(column.tolist() for column in one.columns())] for one in seen.record
        ]
        told = [seen.record.facts, seen.record.tables, seen.steps, seen.notes, seen.protocol.to_plain()]
        return repr([series, told, sorted(seen.graphs)])

    reference = world.once("record", lambda: content(Observed.load(folder)))
    files = files_of(folder)
    path = files[index % len(files)]
    told = damage(path, luck)
    try:
        found = content(Observed.load(folder))
    except Exception as error:  # noqa: BLE001
        return judged(error, path.name, folder.name)
    return Outcome("survived" if found == reference else "corrupted", 0, told)


def damaged_search(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Damage the plan or the journal of a search that is half done, and go on with it."""
    reference = world.once("search", lambda: values(searched("search")))

    def make() -> Path:
        place = Path("search-half")
        if not place.exists():
            searched(place, tell=Stop())
        return place

    class Stop:
        """Leaves the search after two trials."""

        def __call__(self, trial: Any) -> None:
            """Do it."""
            if trial.number == 1:
                raise KeyboardInterrupt

    try:
        half = Path(world.once("search half", make))
    except KeyboardInterrupt:
        half = Path(world.once("search half", lambda: Path("search-half")))
    shutil.copytree(half, folder)
    path = folder / ("search.json" if index % 3 == 0 else "journal.jsonl")
    told = damage(path, luck)
    try:
        found = values(searched(folder))
    except Exception as error:  # noqa: BLE001
        return judged(error, path.name)
    return Outcome("survived" if found == reference else "corrupted", 0, told)


def damaged_data(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Damage the file that a run learns from, in its middle, and let it go on."""
    shutil.copytree(stopped_half_way(world), folder)
    sound = Path("data.csv").read_bytes()
    told = damage(Path("data.csv"), luck)
    try:
        train(resume=folder)
        found = difference(numbers(folder), numbers("whole"))
    except Exception as error:  # noqa: BLE001
        return judged(error, "data", " in line ")
    finally:
        Path("data.csv").write_bytes(sound)
    return Outcome("corrupted" if found else "survived", 0, f"{told} {found}")


class Poisoned(TensorDataset):
    """Examples of which one, from a moment on, is not a number."""

    armed = False

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)
        return (x * torch.nan if self.armed and index == 7 else x), y


def nan_batch(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let a batch be NaN from a random step on: the run ends as diverged, with the best weights so far."""
    torch.manual_seed(0)
    examples = Poisoned(torch.randn(64, 3), torch.arange(64) % 3)
    val = DataLoader(TensorDataset(torch.randn(32, 3), torch.arange(32) % 3), batch_size=16)
    at = luck.randrange(1, 40)

    class Arm(Callback):
        """Poisons the data at a step."""

        def on_batch_end(self, state: State) -> None:
            """Do it."""
            examples.armed = state.step >= at

    def run(out: Path | bool, *callbacks: Callback) -> Any:
        examples.armed = False
        loader = DataLoader(examples, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(1))
        return preceptor.train(
            lambda: nn.Linear(3, 3), loader, val=val, epochs=8, seed=2, out=out, callbacks=callbacks,
            settings={"training.watch": False, "training.train_examples": 0}, test=0,
        )  # fmt: skip

    try:
        made = run(folder, Arm())
        whole = world.once(f"poisoned {len(made.history)}", lambda: run(False).history.without("seconds"))
        loaded = preceptor.load(folder, model=nn.Linear(3, 3))
        fits = made.status == loaded.status == "diverged"
        fits &= made.history.without("seconds") == whole[: len(made.history)]
        if made.best_epoch is not None:
            fits &= all(bool(torch.isfinite(value).all()) for value in loaded.model.state_dict().values())
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    return Outcome(
        "survived" if fits else "corrupted", 0, f"step {at}: {made.status}, {len(made.history)} epochs"
    )


class Hungry(nn.Module):
    """A network that runs out of memory on more than some examples at a time, from a call on."""

    def __init__(self, most: int, calls: int, backward: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
        self.most, self.calls, self.backward = most, calls, backward

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, or run out of memory, here or in the backward pass."""
        y: Tensor = self.layers(x)
        self.calls -= self.training
        if self.training and self.calls < 0 and len(x) > self.most:
            if not self.backward:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            y.register_hook(_no_memory)
        return y


def _no_memory(gradient: Tensor) -> Tensor:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: not enough memory")


def too_little_memory(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let steps run out of memory: they are taken in parts, the numbers are the same but for rounding."""
    given: dict[str, Any] = {
        "settings": {"training.watch": False},
        "target": "kind",
        "batch_size": 8,
        "epochs": 4,
    }
    most = luck.choice((1, 2, 3, 4, 5, 7))

    def run(out: Path | bool, *how: Any) -> Any:
        return preceptor.train(lambda: Hungry(*how), "data.csv", out=out, **given)

    try:
        made = run(folder, most, luck.randrange(24), index % 2 == 0)
        whole = world.once("fed", lambda: run(False, 8, 0, False))
        pairs = zip(made.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
        apart = max(float((a - b).abs().max()) for a, b in pairs)
        told = any("in parts of" in note for note in RunFolder(folder).manifest["notes"])
        told &= made.history[-1].get("micro_batch", 9) <= max(most, 1)
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    return Outcome(
        "survived" if told and apart < 1e-5 else "corrupted", 0, f"apart by {apart:.1e}, told {told}"
    )


Fault = Callable[[World, int, random.Random, Path], Outcome]
