"""`reinforce`: from an environment to learners that act in it, several at once for the sake of intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from preceptor.catalogue import entry
from preceptor.catalogue.reinforcement import Environment, play
from preceptor.errors import ConfigError, DataError, StorageError, nearest
from preceptor.run.apart.episode_run import (
    EpisodeRun,
    begin_episodes,
    holds_episodes,
    load_episodes,
    make_world,
    mean_interval,
    new_run,
)
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder

__all__ = ["is_reinforcement", "reinforce"]

Listener = Callable[[EpisodeRun], None]

_SETTINGS = ("task", "name", "seed", "data.source", "model.name", "optimizer.lr", "training.epochs",
             "training.batch_size")  # fmt: skip
_NETWORKS = (
    "mlp",
    "multilayer-perceptron",
    "auto",
)  # what a learner has inside, where one is named in its place
_EPOCHS, _EPISODES, _MEASURED, _SEEDS = 20, 20, 20, 3
_OF_CHANCE = 10_000  # added to the seeds of episodes that are played at random


def is_reinforcement(task: Any, experiment: Experiment | None, resume: Any = None) -> bool:
    """Return whether a learner of rewards is asked for, or a run of such is to go on.

    Example:
        >>> is_reinforcement("reinforcement", None), is_reinforcement(None, Experiment())
        (True, False)
    """
    if isinstance(resume, str | Path) and (Path(resume) / "manifest.json").exists():
        return holds_episodes(RunFolder(resume))
    asked = task if task is not None else experiment.task if experiment else None
    return asked in ("reinforcement", "reinforcement-learning")


def reinforce(
    data: Any,
    chosen: Mapping[str, Any] | None = None,
    *,
    experiment: Experiment | None = None,
    out: Path | str | bool | None = None,
    resume: Path | str | None = None,
    on_start: Listener | None = None,
    on_epoch: Listener | None = None,
) -> EpisodeRun:
    """Train learners in an environment, alike but for their seeds, and write a run folder.

    Arguments:
        data: the environment's name, with options if any: ``"grid-world, size=7"``.
        chosen: settings by dotted key: ``model.name`` is the learner (``"q-learning"`` where states are
            finitely many, else ``"reinforce"``), ``model.seeds`` how many there are (3),
            ``training.batch_size`` the episodes of an epoch (20).
        experiment: settings to start from.
        out: the run's folder; default: the next ``runs/<environment>-<n>``; False: nothing is written.
        resume: the folder of a run to go on with, exactly where it was after its last epoch.
        on_start: called before the first episode.
        on_epoch: called after each epoch.

    Raises:
        UnknownName: no such environment, or no such learner.
        ConfigError: a setting that learners of rewards have not.
        DataError: no environment.

    Example:
        >>> run = reinforce("chain", {"training.epochs": 3}, out=False)
        >>> run.history[-1, "val_return"], run.act([0, 0, 1, 0, 0])
        (1.0, 1)
    """
    with ExitStack() as held:
        if resume is not None:
            held.enter_context(RunFolder(resume).held("training"))
        run = _begun(data, dict(chosen or {}), experiment, out, resume)
        if resume is None and run.folder is not None:
            held.enter_context(run.folder.held("training"))
        if on_start is not None:
            on_start(run)
        return _played(run, on_epoch)


def _begun(
    data: Any,
    chosen: dict[str, Any],
    experiment: Experiment | None,
    out: Path | str | bool | None,
    resume: Path | str | None,
) -> EpisodeRun:
    """Return a new run, or one that goes on, in its folder."""
    if resume is not None:
        run = load_episodes(resume, begun=True)
        more = chosen.get("training.epochs", run.experiment.training.epochs)
        run.experiment = run.experiment.changed({"training.epochs": more})
    else:
        settings = _settings(data, chosen, experiment)
        run = new_run(settings)
        given = sorted({*chosen, *(experiment.chosen() if experiment else ())})
        run.folder = None if out is False else begin_episodes(run, given, out)
    if not len(run.history):
        run.by_chance = _by_chance(run.world)
    return run


def _played(run: EpisodeRun, on_epoch: Listener | None) -> EpisodeRun:
    """Let the learners play until the epochs are run."""
    run.status = "running"
    try:
        while len(run.history) < run.experiment.training.epochs:
            _epoch(run)
            run.keep()
            if on_epoch is not None:
                on_epoch(run)
        run.status = "finished"
    except KeyboardInterrupt:
        run.status = "interrupted"  # what was learned until the last epoch is kept
        if run.folder:
            run.folder.update_manifest(status=run.status)
        return run
    except BaseException:
        if run.folder:
            with suppress(StorageError):
                run.folder.update_manifest(status="failed")
        raise
    run.keep()
    return run


def _epoch(run: EpisodeRun) -> None:
    """Let each learner play episodes to learn from, then measure it on episodes of its own."""
    started, world, epoch = perf_counter(), run.world, len(run.history) + 1
    learned, measured = [], []
    for at, (learner, chance) in enumerate(zip(run.learners, run.chances, strict=True)):
        own = [learner.episode(world, chance) for _ in range(int(run.experiment.training.batch_size))]
        learned.append(float(np.mean(own)))
        fresh = torch.Generator().manual_seed(run.experiment.seed + 1000 * epoch + at)
        measured.append(float(np.mean([play(learner, world, fresh) for _ in range(_MEASURED)])))
    run.each = measured
    mean, low, high = mean_interval(measured)
    run.history.rows.append(
        {
            "epoch": epoch,
            "train_return": float(np.mean(learned)),
            "val_return": mean,
            "return_low": low,
            "return_high": high,
            "seconds": perf_counter() - started,
        }
    )


def _by_chance(world: Environment) -> float:
    """Return the mean return of random actions."""
    totals = []
    for episode in range(_MEASURED):
        chance = torch.Generator().manual_seed(_OF_CHANCE + episode)
        world.reset(chance)
        total = 0.0
        for _ in range(world.limit):
            step = world.step(int(torch.randint(world.actions, (), generator=chance)), chance)
            total += step.reward
            if step.end:
                break
        totals.append(total)
    return float(np.mean(totals))


def _settings(data: Any, chosen: dict[str, Any], experiment: Experiment | None) -> Experiment:
    """Return settings with all defaults of a learner, and refuse those that it has not."""
    base = {k: v for k, v in experiment.flat().items() if k in experiment.chosen()} if experiment else {}
    given = {k: v for k, v in {**base, **chosen}.items() if v is not None}
    source = str(data) if isinstance(data, str | Path) else given.get("data.source")
    if source in (None, "arrays"):
        raise DataError(
            "there is nothing to act in",
            expected="an environment: " + ", ".join(e.name for e in _environments()),
            received=repr(data)[:60],
        )
    world = make_world(str(source))
    name = given.pop("model.name", given.pop("model", "auto"))
    if name in _NETWORKS:
        name = "q-learning" if name == "auto" and world.finite else "reinforce"
    found = entry(str(name), "learner")
    if "optimizer.lr" in given:
        given["model.lr"] = given.pop("optimizer.lr")
    own = {key.partition(".")[2]: given.pop(key) for key in list(given) if key.startswith("model.")}
    seeds = own.pop("seeds", _SEEDS)
    _refuse(given, found.defaults, seeds)
    episodes = given.get("training.batch_size", "auto")
    decided = {
        "task": "reinforcement",
        "name": given.get("name") or str(source).partition(",")[0],
        "seed": given.get("seed", 0),
        "data.source": str(source),
        "model": {"name": found.name, **found.options(**own), "seeds": seeds},
        "training.epochs": given.get("training.epochs", _EPOCHS),
        "training.batch_size": _EPISODES if episodes == "auto" else episodes,
    }
    return Experiment.of(decided)


def _environments() -> list[Any]:
    from preceptor.catalogue import find

    return find(kind="environment")


def _refuse(given: Mapping[str, Any], options: Mapping[str, Any], seeds: Any) -> None:
    usual = Experiment().flat()
    known = [*_SETTINGS, "model.seeds", *(f"model.{key}" for key in options)]
    strange = [k for k, v in given.items() if k not in known and usual.get(k) != v]
    if strange:
        close = nearest(strange[0], known, 1)
        raise ConfigError(
            f"learners of rewards have no setting {strange[0]!r}",
            expected=", ".join(known),
            received=strange[0],
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
        raise ConfigError("seeds is not usable", expected="a number of learners ≥ 1", received=repr(seeds))
