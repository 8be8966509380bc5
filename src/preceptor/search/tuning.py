"""`tune`: from data, a space and a budget to a finished search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preceptor import catalogue
from preceptor.catalogue.procedures import staged_search
from preceptor.errors import ConfigError, DataError, UnknownName
from preceptor.run import Run
from preceptor.search._given import looked_at, sort_out
from preceptor.search._work import Given
from preceptor.search.budget import Budget
from preceptor.search.plan import Plan
from preceptor.search.search import Search, Tell
from preceptor.search.space import Space, setting_of
from preceptor.training.experiment import Experiment

__all__ = ["LAST", "planned", "tune"]

LAST = ("optimizer.lr", "training.batch_size")
"""What is tuned after everything else: both at once, for a larger batch allows a higher rate."""

_BATCHES = "32|64|128|256"


def tune(
    model: Any = None,
    data: Any = None,
    *,
    space: Mapping[str, Any] | Sequence[str] = (),
    method: str = "random",
    trials: int | None = None,
    budget: str | None = None,
    metric: str = "auto",
    staged: bool | Sequence[Sequence[str]] = False,
    finalists: int = 3,
    repeats: int = 3,
    eta: int = 3,
    seed: int = 0,
    workers: int = 1,
    on: str = "local",
    together: int = 0,
    storage: str | None = None,
    name: str | None = None,
    out: Path | str | None = None,
    tell: Tell | None = None,
    experiment: Experiment | None = None,
    **training: Any,
) -> Search:
    """Search hyperparameters: train with many settings, judge on validation, and say what the best are worth.

    The test set is not looked at. The best trials are trained again with other seeds, and a winner that
    cannot be told from the next is called so.

    Arguments:
        model: as in `preceptor.train`.
        data: as in `preceptor.train`.
        space: values by setting: ``{"lr": "log:1e-5..1e-1", "model.hidden": [64, 128]}``.
        method: ``"random"``, ``"grid"``, ``"halving"`` or a sampler of Optuna, such as ``"optuna:tpe"``.
        trials: how many settings are tried; default: 20, 27 for halving, all of a grid.
        budget: instead, or besides: ``"30min"``, ``"50000steps"``.
        metric: what decides, such as ``"accuracy"``; default: what decides which epoch is best, ``val_loss``.
        staged: tune learning rate and batch size last, together, all else before; or the keys of each stage.
        finalists: how many of the best are trained again.
        repeats: with how many new seeds; 0: not at all.
        eta: of halving: one in eta goes on.
        seed: of the proposals.
        workers: trials at a time, each in a process of its own.
        on: ``"local"``, or a Ray cluster: ``"ray://head:10001"``.
        together: how many trials one process trains in common steps, where they share an architecture; those
            have no run folders.
        storage: the address of a database for Optuna's trials, which several machines may share.
        name: of the search; default: the data's.
        out: its folder; one that holds this very search is gone on with. Default: ``searches/<name>-<n>``.
        tell: hears of each trial that has ended.
        experiment: settings to start from.
        training: further arguments of `preceptor.train`.

    Raises:
        PreceptorError: something does not fit; it is found before the first trial.

    Example:
        >>> import tempfile
        >>> search = tune("mlp", "iris", space={"lr": "log:1e-3..1e-1"}, trials=3, epochs=5, repeats=0,
        ...               out=tempfile.mkdtemp())
        >>> len(search.trials), search.best.value < 1.1
        (3, True)
    """
    search = planned(
        model,
        data,
        space=space,
        method=method,
        trials=trials,
        budget=budget,
        metric=metric,
        staged=staged,
        finalists=finalists,
        repeats=repeats,
        eta=eta,
        seed=seed,
        storage=storage,
        name=name,
        out=out,
        experiment=experiment,
        **training,
    )
    return search.run(workers=workers, on=on, together=together, tell=tell)


def planned(
    model: Any = None,
    data: Any = None,
    *,
    space: Mapping[str, Any] | Sequence[str] = (),
    trials: int | None = None,
    budget: str | None = None,
    metric: str = "auto",
    staged: bool | Sequence[Sequence[str]] = False,
    name: str | None = None,
    out: Path | str | None = None,
    experiment: Experiment | None = None,
    method: str = "random",
    finalists: int = 3,
    repeats: int = 3,
    eta: int = 3,
    seed: int = 0,
    storage: str | None = None,
    **training: Any,
) -> Search:
    """Check what is to be searched against the data, and return the search before its first trial.

    Its folder is made, or the one that holds this very search is opened. Arguments as of `tune`.
    """
    chosen, given = sort_out(model, data, experiment, training)
    amount = Budget.of(budget, trials)
    whole = _space(space, staged is True)
    plan = Plan(
        name=name or "auto",
        space=whole.to_plain(),
        method=method,
        budget=amount or Budget(),
        stages=_stages(whole, staged),
        seed=seed,
        finalists=finalists,
        repeats=repeats,
        eta=eta,
        storage=storage,
        chosen=chosen,
    )
    run = _looked_at(plan, given)
    _refuse(plan, run)
    objective, mode = _objective(metric, run, plan)
    plan = replace(
        plan,
        name=run.experiment.name if plan.name == "auto" else plan.name,
        objective=objective,
        mode=mode,
        decided=run.experiment.flat(),
        examples=0 if run.prepared is None or run.prepared.val is None else len(run.prepared.val.y),
    )
    if out is not None and (Path(out) / "search.json").is_file():
        search = Search(out, given)
        kept = plan if amount is not None else replace(plan, budget=search.plan.budget)
        search.plan = search.plan.going_on(kept)
        return search
    return Search.create(plan, given, out=out)


def _looked_at(plan: Plan, given: Given) -> Run:
    """Return the training as it is; where that cannot be made, one in the middle of the space."""
    chosen = {"training.watch": False, **plan.chosen}
    try:
        return looked_at(chosen, given)
    except ConfigError:
        middle = {dimension.key: dimension.at(0.5) for dimension in plan.whole}
        if not middle:
            raise
        return looked_at({**chosen, **middle}, given)


def _space(given: Mapping[str, Any] | Sequence[str], staged: bool) -> Space:
    space = Space.parse(given)
    if staged and LAST[1] not in space.keys:
        space = Space([*space, *Space.parse({LAST[1]: _BATCHES})])
    return space


def _stages(space: Space, staged: bool | Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the keys of each stage: what is not named comes first."""
    if not staged:
        return ()
    named = [LAST] if staged is True else [tuple(setting_of(key) for key in part) for part in staged]
    unknown = [key for part in named for key in part if key not in space.keys and staged is not True]
    if unknown:
        raise ConfigError(
            f"{unknown[0]} is not in the space", expected=", ".join(space.keys), received=", ".join(unknown)
        )
    return tuple(staged_search(named)(space.keys))


def _refuse(plan: Plan, run: Run) -> None:
    """Check that there are examples to judge by, and that each key is a setting of these very blocks."""
    if run.feeds is None or run.feeds.val is None:
        raise DataError(
            "a search is judged on validation examples",
            expected="some that are held out: data.val = 0.15, or data of their own",
            received="none",
        )
    known = run.experiment.flat()
    for key in plan.space:
        block = key.partition(".")[0]
        own = ":" in str(known.get(f"{block}.name", ""))  # a class of the user's own knows its options
        if key not in known and f"{block}.name" not in plan.space and not own:
            raise UnknownName("hyperparameter", key, [k for k in known if k.startswith(f"{block}.")])


def _objective(metric: str, run: Run, plan: Plan) -> tuple[str, str]:
    """Return the history key that decides, and whether less or more is better.

    The loss does not decide where losses are searched: each has a scale of its own.
    """
    settings = run.experiment.training
    known = {"val_loss": "min"}
    known |= {f"val_{m}": catalogue.entry(m, "metric").traits["better"] for m in run.task.metrics}
    if metric == "auto":
        searched = any(key.startswith(("loss.", "data.scale")) for key in plan.space)
        metric = f"val_{run.task.metrics[0]}" if searched else settings.monitor
        metric = metric if metric in known else "val_loss"
    key = metric.replace("-", "_")
    if key.startswith(("test", "train")):
        raise ConfigError(
            "a search is decided on validation",
            expected=", ".join(known),
            received=metric,
            hint="the test set says once, at the end, what the choice is worth",
        )
    key = key if key.startswith("val_") else f"val_{key}"
    if key not in known:
        raise UnknownName("measure", metric, known)
    return key, settings.mode if key == settings.monitor else known[key]
