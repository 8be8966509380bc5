"""`check`: what is looked at before a training, of settings or of a program of one's own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from preceptor.data import Prepared, generators
from preceptor.data.audit import examine
from preceptor.errors import ConfigError, ModelError
from preceptor.observation.watch import Watch
from preceptor.recipe import Checks, Result, Subject, run_checks
from preceptor.recipe.gathering import kept, of_problem, of_program
from preceptor.recipe.memory import Memory, estimated, resident
from preceptor.recipe.timing import LIMIT, Time, measured
from preceptor.run._load import own_model_needed
from preceptor.run._sort import sort_blocks
from preceptor.run.examined.attend import Job
from preceptor.run.examined.diagnosis import Diagnosis
from preceptor.run.text.embed import is_embedding
from preceptor.training.build import Objects, build, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.carry import goes_on
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.language import text_defaults
from preceptor.training.named import settings_of
from preceptor.training.own_code import import_model, is_own_code, make_model
from preceptor.training.problem import Problem

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["check", "checked", "gated", "refuse_checks"]

FILE = "checks.json"

_SECONDS = 25.0
_SOURCE = "Ng, Machine Learning Yearning, 2018"


def check(
    model: Any = None,
    loss: Any = None,
    batch: Any = None,
    *,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    held_out: Any = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    experiment: Experiment | None = None,
    only: Sequence[str] | None = None,
    seed: int | None = None,
    seconds: float = _SECONDS,
    tell: Callable[[Result], None] | None = None,
) -> Checks:
    """Check a training before it begins: whether it can work at all, how long it takes, if memory suffices.

    Of a program of one's own: ``check(model, loss, batch)``. Of a training by name or on data:
    ``check("mlp", data="digits")``, ``check(experiment=…)``. Nothing is trained but copies; model, loaders
    and random generators are left as they were.

    Arguments:
        model: an ``nn.Module``, what makes one, or a name of the catalogue.
        loss: a callable of (outputs, targets) that gives their mean loss, or a name.
        batch: ``(x, y)``, a DataLoader, a Dataset, or what yields such pairs; of a few hundred examples it
            can also be seen whether others are generalised to.
        data: what `preceptor.train` takes, in place of a batch.
        target: the column to predict, where the data are a table.
        task: as in `preceptor.train`.
        held_out: examples that are not learned from, in the form of ``batch``; default: a quarter of them.
        epochs: of the training whose time is foretold.
        settings: further settings of the training by dotted key.
        experiment: settings to start from.
        only: names of checks; default: all of `preceptor.recipe.CHECKS`, time and memory.
        seed: of everything that is drawn (0, or the experiment's).
        seconds: what the checks may take; what cannot be decided in time is said to be so.
        tell: hears of each result.

    Returns:
        The results: ``print(it)`` shows them, ``it.failed`` are those that failed, ``it.passed`` says whether
        there is none.

    Raises:
        ConfigError: neither a batch nor data, or both.
        ModelError: the model cannot take the inputs.
        DataError: there are no examples.
        UnknownName: no such check, or block.

    Example:
        >>> import torch
        >>> x = torch.randn(200, 4)
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        >>> loss, y = torch.nn.functional.cross_entropy, x[:, :3].argmax(1)
        >>> found = check(net, loss, (x, y), only=["initial-loss"])
        >>> found["initial-loss"].status
        'passed'
    """
    if batch is not None:
        if data is not None or experiment is not None:
            raise ConfigError(
                "a batch is checked alone",
                expected="check(model, loss, batch), or check(model, data=…)",
                received="batch beside " + ("data" if data is not None else "experiment"),
            )
        return _of_program(model, loss, batch, held_out, only, seed or 0, seconds, tell)
    given = {"data.target": target, "task": task, "training.epochs": epochs, "seed": seed}
    chosen = {**{k: v for k, v in given.items() if v is not None}, **(settings or {})}
    return checked(_job(model, loss, data, chosen, experiment), only=only, seconds=seconds, tell=tell)


def refuse_checks(wanted: bool) -> None:
    """Refuse to check what is no network that learns from pairs of inputs and targets.

    Raises:
        ConfigError: it was asked for.
    """
    if wanted:
        raise ConfigError(
            "word vectors have no checks",
            expected="a network that learns from examples",
            received="embedding",
        )


def _of_program(
    model: Any, loss: Any, batch: Any, held_out: Any, only: Sequence[str] | None, seed: int, seconds: float,
    tell: Callable[[Result], None] | None,
) -> Checks:  # fmt: skip
    if not callable(loss):
        raise ConfigError(
            "a batch needs a loss to be checked with",
            expected="a callable of (outputs, targets), such as torch.nn.functional.cross_entropy",
            received=repr(loss)[:80],
        )
    factory = None if isinstance(model, nn.Module) else model
    with _unwatched(), generators.seeded(seed):
        made = make_model(model, {})
        rebuild = None if factory is None else lambda: make_model(factory, {})
        subject = of_program(
            made, loss, batch, held_out=held_out, seed=seed, seconds=seconds, rebuild=rebuild
        )
        return Checks(tuple(run_checks(subject, only=_names(only), tell=tell)))


def _names(only: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if only is None else (only,) if isinstance(only, str) else tuple(only)


def _job(model: Any, loss: Any, data: Any, chosen: Mapping[str, Any], experiment: Experiment | None) -> Job:
    """Return the training that is to be checked."""
    objects, named = sort_blocks({"model": model, "loss": loss})
    if isinstance(model, str) and is_own_code(model):
        objects.model = import_model(model)
    base = experiment or Experiment()
    base = base.changed(
        {**named, **chosen, **({"data.source": str(data)} if isinstance(data, str | Path) else {})}
    )
    keys = {*named, *chosen, *(experiment.chosen() if experiment else ())}
    if objects.model is None and is_own_code(base.model.name):
        objects.model = import_model(base.model.name)
    refuse_checks(is_embedding(base.task, base))
    base = base.changed(text_defaults(base, keys))
    base = base.changed(settings_of(base, objects.regularizers))
    source = data if data is not None else base.data.source
    if isinstance(source, str) and source in ("arrays", "auto", "DataLoader"):
        raise ConfigError(
            "there is nothing to check",
            expected="check(model, loss, batch), or data: a built-in set, a file, a folder, (x, y), a loader",
            received="neither a batch nor data",
            hint='check("mlp", data="digits")',
        )
    inputs = Inputs(source, own_model=objects.model is not None, carries=goes_on(objects.model))
    return Job(base, inputs, objects, keys, False, (), None)


@dataclass
class _Begun:
    """A training that stands before its first step."""

    problem: Problem
    experiment: Experiment
    feeds: Feeds
    prepared: Prepared | None
    rebuild: Callable[[], nn.Module] | None


def _begun(job: Job) -> _Begun:
    wanted = job.experiment.changed({"transfer.cache_features": "never", "training.compile": False})
    device = choose_device(wanted.training.device)
    if job.objects.model is None and is_own_code(wanted.model.name):
        raise own_model_needed(wanted.model.name)
    feeds, prepared, wanted = make_feeds(wanted, job.inputs, device)

    def made() -> tuple[Problem, Experiment]:
        with generators.seeded(wanted.seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build(wanted, feeds, _copied(job.objects), device)

    problem, decided = made()
    problem.begin_epoch(1)
    given = isinstance(job.objects.model, nn.Module)
    return _Begun(problem, decided, feeds, prepared, None if given else lambda: made()[0].model)


def watched_steps(begun: _Begun) -> int:
    """Return how many steps a watch will look on; 0 where there is none."""
    training = begun.experiment.training
    return len(begun.problem.train) * training.epochs if training.watch else 0


def _raw(prepared: Prepared | None) -> int:
    """Return the bytes of the examples as they were read; 0 where that is not known."""
    return 0 if prepared is None else int(getattr(prepared.dataset.inputs, "nbytes", 0))


def _copied(objects: Objects) -> Objects:
    """Return copies of what was made in code, model and optimizer together; their source is shared."""
    return copy.deepcopy(objects, {id(objects.source): objects.source})


def checked(
    job: Job,
    *,
    only: Sequence[str] | None = None,
    quick: bool = False,
    seconds: float = _SECONDS,
    tell: Callable[[Result], None] | None = None,
) -> Checks:
    """Check a training that is about to begin; ``quick``: what decides whether it can work, and its cost."""
    base = resident()
    with _unwatched():
        begun = _begun(job)
        problem, settings = begun.problem, begun.experiment
        with kept(problem.train, problem.probe, problem.val):
            subject = of_problem(problem, seed=settings.seed, seconds=seconds, rebuild=begun.rebuild)
            results = run_checks(subject, only=_names(only), gate=quick, tell=tell)
            if begun.prepared is not None and only is None and not quick:
                results += _of_data(begun.prepared, settings, tell)
            if only is not None:
                return Checks(tuple(results))
            memory = estimated(
                problem, settings.optimizer.name, begun.feeds.sample[0], base=base,
                best=settings.training.restore_best, raw=_raw(begun.prepared), watched=watched_steps(begun),
            )  # fmt: skip
            with generators.seeded(settings.seed):
                time = _timed(begun, subject)
    costs = [one for one in (_time_result(time), _memory_result(memory)) if one is not None]
    for one in costs if tell is not None else ():
        assert tell is not None  # noqa: S101 - just asked
        tell(one)
    return Checks((*results, *costs), time, memory)


def _of_data(prepared: Prepared, settings: Experiment, tell: Callable[[Result], None] | None) -> list[Result]:
    """Return what a quick audit warns of."""
    scale = "none" if settings.data.scale == "none" else "standard"
    audit = examine(prepared.dataset, prepared.split, scale=scale, quick=True)
    decides, source = "whether data and split are without flaws that are cheap to see", "preceptor audit"
    found = [
        Result(f"data: {name}", "failed", one.text, one.evidence, one.remedy, decides, source)
        for name, one in audit.flaws
    ] or [Result("data", "passed", "nothing to warn of in the data", {}, "", decides, source)]
    for one in found if tell is not None else ():
        assert tell is not None  # noqa: S101 - just asked
        tell(one)
    return found


def _timed(begun: _Begun, subject: Subject) -> Time | None:
    """Train the problem, which was made for this, for a moment; it stands as it began."""
    callbacks = [Diagnosis(_hear_nothing)] if begun.experiment.training.watch else []
    seconds = max(1.0, min(3.0, subject.left))
    try:
        return measured(begun.problem, begun.experiment.training.epochs, seconds=seconds, callbacks=callbacks)
    except ModelError:
        return None


def _hear_nothing(finding: Any) -> None:
    """Leave a finding to the training itself."""


def _time_result(time: Time | None) -> Result | None:
    if time is None or not time.slow:
        return None
    return Result(
        "step-time",
        "failed",
        f"a step takes {1e3 * time.step:.0f} ms, most of it in {time.bottleneck}, against {1e3 * LIMIT:.0f}",
        time.to_plain(),
        time.remedy,
        "whether a step takes less than half a second, and what it waits for",
        _SOURCE,
    )


def _memory_result(memory: Memory | None) -> Result | None:
    if memory is None or not memory.short:
        return None
    return Result(
        "memory",
        "failed",
        f"the training may not fit into memory: {memory}",
        memory.to_plain(),
        "a smaller batch with grad_accumulation, half precision, a smaller model",
        "whether the training fits into memory",
        _SOURCE,
    )


@contextmanager
def _unwatched() -> Iterator[None]:
    """Let a watch that is on look away: what is tried on copies is no training of the program's."""
    watch = Watch.current()
    if watch is None:
        yield
        return
    watch.pause()
    try:
        yield
    finally:
        watch.start()


def gated(job: Job, wanted: bool = True, *, resumed: bool = False) -> Job:
    """Check a training if that is wanted; refuse it where it cannot work; give what was seen to its run.

    Raises:
        ModelError: a check failed with which a training is not worth its time.
        ConfigError: the run goes on, and was begun long ago.
    """
    if not wanted:
        return job
    if resumed:
        raise ConfigError(
            "a run that goes on is not checked",
            expected="check for a new run, or resume for one that is to be completed",
            received="check beside resume",
        )
    checks = checked(job, quick=True)
    if checks.stopping:
        first = checks.stopping[0]
        raise ModelError(
            "the checks before training failed",
            expected="; ".join(one.decides for one in checks.stopping),
            received="; ".join(one.text for one in checks.stopping),
            hint=f"{first.remedy}; without check=True (--check) it is trained all the same",
        )
    given = job.on_start

    def on_start(run: Run) -> Sequence[Callback]:
        run.checks = checks
        if run.folder:
            run.folder.write_json(FILE, checks.to_plain())
        return given(run) if given else ()

    return replace(job, on_start=on_start)
