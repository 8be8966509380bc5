"""What a training on a text is made of: its parts as batches, and what a network for it must be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue
from preceptor.catalogue import Entry
from preceptor.data.text import (
    ContinuousBatches,
    Place,
    TextCoder,
    TextIds,
    TextParts,
    WholeText,
    fit_coder,
    place_parts,
    read_parts,
)
from preceptor.errors import ConfigError, ModelError
from preceptor.tasks import LanguageModelling, Task
from preceptor.training.carry import goes_on
from preceptor.training.evaluate import evaluation
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, Signature

__all__ = [
    "SIMPLEST",
    "is_language",
    "refuse_foresight",
    "refuse_idle_text",
    "symbol_options",
    "text_defaults",
    "text_feeds",
    "text_path",
    "text_places",
    "whole",
]

SIMPLEST = "lstm"
"""The network that a text is read by where none is named."""

_TASK = "language-modelling"
_STEPS = {"char": 128, "word": 35, "punctuated": 35, "byte-pairs": 64}
_COLUMNS = 32
_PROBE = 20_000  # symbols of the training text that are measured, at least, and at most:
_LARGEST_PROBE = 50_000
_READ = ("translation", "embedding")  # other tasks on texts, which say themselves what they listen to
_SHARES = {"data.val": 0.1, "data.test": 0.0}
_IDLE = ("data.target", "data.scale", "data.order", "data.crop", "data.ignore", "data.noise",
         "data.image_size", "data.image_fit", "data.seed", "augmentations")  # fmt: skip


def is_language(experiment: Experiment) -> bool:
    """Say whether a text is to be continued."""
    return experiment.task == _TASK


def text_defaults(experiment: Experiment, chosen: Collection[str]) -> dict[str, Any]:
    """Return the shares of a text that are held out where none were given: its last tenth, to validate on.

    Example:
        >>> text_defaults(Experiment.of({"task": "language-modelling"}), {"data.test"})
        {'data.val': 0.1}
    """
    return {k: v for k, v in _SHARES.items() if k not in chosen} if is_language(experiment) else {}


def refuse_idle_text(experiment: Experiment, chosen: Collection[str]) -> None:
    """Raise `ConfigError` for settings of texts on other data, and of other data on texts."""
    usual, now = Experiment().flat(), experiment.flat()
    given = [key for key in chosen if key in usual and now[key] != usual[key]]
    if is_language(experiment):
        idle = [key for key in given if key in _IDLE]
        expected = "settings of a text: text.level, text.steps, …"
    elif experiment.task in _READ:
        return
    else:
        idle = [key for key in given if key.startswith("text.")]
        expected = f"task={_TASK!r} for a text"
    if idle:
        raise ConfigError(
            f"{idle[0]} has no effect on these data",
            expected=expected,
            received=f"{idle[0]} for the task {experiment.task!r}",
        )


def text_feeds(
    experiment: Experiment,
    data: Any,
    device: torch.device,
    *,
    val: Any = None,
    test: Any = None,
    coder: TextCoder | None = None,
    carries: bool | None = None,
) -> tuple[Feeds, Experiment]:
    """Read a text and return its batches, and the experiment with what was decided.

    Arguments:
        experiment: the settings.
        data: a text file, or a folder with files for each part.
        device: where batches are used.
        val: a text file of its own to validate on.
        test: a text file of its own to test on.
        coder: the vocabulary of a run that goes on or is continued; None: the training text makes one.
        carries: whether the model hands on a state; None: as the named one does.

    Raises:
        DataError: no text, or too little of it.
        ConfigError: settings that a text has not.
    """
    settings = experiment.text
    level = "char" if settings.level == "auto" else settings.level
    files = {"val_file": _path(val) or settings.val_file, "test_file": _path(test) or settings.test_file}
    source = text_path(data)
    places = text_places(experiment, source, **files)
    if coder is None:
        coder = fit_coder(
            places["train"],
            level=level,
            lower=settings.lower,
            size=settings.vocabulary_size,
            min_count=settings.min_count,
        )
    parts = read_parts(places, coder, origin=source)
    steps = _STEPS[level] if settings.steps == "auto" else int(settings.steps)
    steps = max(1, min(steps, (len(parts.parts["train"]) - 1) // 2))
    if carries is None:
        name = SIMPLEST if experiment.model.name == "auto" else experiment.model.name
        carries = goes_on(catalogue.entry(name, "architecture").factory)
    feeds = _feeds(experiment, parts, steps, carries, device)
    decided: dict[str, Any] = {
        "data.source": source,
        "text.level": level,
        "text.steps": steps,
        **{f"text.{key}": file for key, file in files.items() if file is not None},
    }
    if experiment.name == "auto":
        decided["name"] = parts.name.lstrip(".") or "text"
    return feeds, experiment.changed(decided)


def text_path(data: Any) -> str:
    """Return the path of a text; `ConfigError` where something else was given."""
    path = _path(data)
    if path is None:
        raise ConfigError(
            f"{_TASK} needs a text",
            expected="a path to .txt, .gz or .xz, or a folder",
            received=repr(data)[:60],
        )
    return path


def text_places(
    experiment: Experiment, source: str, *, val_file: str | None = None, test_file: str | None = None
) -> dict[str, Place]:
    """Return where the parts of a text lie, as a training would cut it."""
    return place_parts(
        source,
        val=experiment.data.val,
        test=experiment.data.test,
        exact=experiment.text.level in ("auto", "char"),
        val_file=val_file,
        test_file=test_file,
    )


def _path(data: Any) -> str | None:
    return str(data) if isinstance(data, str | Path) else None


def _feeds(
    experiment: Experiment, parts: TextParts, steps: int, carries: bool, device: torch.device
) -> Feeds:
    text = parts.parts["train"]
    columns = _columns(experiment, len(text), steps)
    held: dict[str, WholeText | None] = {"val": None, "test": None}
    for part in held:
        if part in parts.parts:
            held[part] = whole(parts.parts[part], columns, steps, carries, device)
    wanted = experiment.training.train_examples
    if wanted == "auto":
        known = len(parts.parts["val"]) if "val" in parts.parts else 0
        wanted = min(max(known, _PROBE), _LARGEST_PROBE)
    probe = None
    if wanted and len(text) > 1:
        probe = whole(_middle(text, int(wanted)), columns, steps, carries, device)
    options: dict[str, Any] = {"batch_size": columns, "steps": steps, "device": device}
    return Feeds(
        train=ContinuousBatches(text, seed=experiment.seed, **options),
        probe=probe,
        val=held["val"],
        test=held["test"],
        sample=next(ContinuousBatches(text, **options).epoch()),
        signature=Signature((steps,), "next-symbols", (), len(parts.coder)),
        examples=len(text),
        data={"examples": text.fingerprint, "split": parts.fingerprint},
        text=parts,
        carries=carries,
    )


def whole(text: TextIds, columns: int, steps: int, carries: bool, device: torch.device) -> WholeText:
    """Return a text as it is measured."""
    return WholeText(text, batch_size=columns, steps=steps, carried=carries, device=device)


def _columns(experiment: Experiment, symbols: int, steps: int) -> int:
    wanted = experiment.training.batch_size
    if wanted == "full":
        raise ConfigError(
            "a text has no full batch",
            expected="batch_size: how many places of the text are read at once",
            received="batch_size='full'",
        )
    return int(wanted) if wanted != "auto" else max(1, min(_COLUMNS, symbols // (2 * steps)))


def _middle(text: TextIds, symbols: int) -> TextIds:
    """Return so many symbols from the middle of a text."""
    symbols = max(2, min(symbols, len(text)))
    low = (len(text) - symbols) // 2
    return replace(
        text,
        ids=text.ids[low : low + symbols],
        start=text.start + low,
        characters=round(text.characters * symbols / len(text)),
    )


def symbol_options(entry: Entry, task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a named network's options, with those that make it read symbols and predict at each step.

    Raises:
        ConfigError: the network has no such options, or was given others.
    """
    if not isinstance(task, LanguageModelling):
        return dict(given)
    needed: dict[str, Any] = {"vocabulary": task.symbols, "per_step": True}
    able = [e.name for e in catalogue.find(kind="architecture") if needed.keys() <= e.defaults.keys()]
    if entry.name not in able:
        raise ConfigError(
            f"{entry.name} does not continue texts",
            expected=", ".join(able),
            received=f"model={entry.name!r}",
        )
    for option, value in needed.items():
        if given.get(option, value) not in (value, entry.defaults[option]):
            raise ConfigError(
                f"model.{option} follows from the text",
                expected=f"{option}={value!r}, or nothing",
                received=f"{option}={given[option]!r}",
            )
    return {**given, **needed}


def refuse_foresight(model: nn.Module, x: Tensor, symbols: int) -> None:
    """Refuse a model whose outputs depend on what they are to predict; it is tried on one sequence.

    Raises:
        ModelError: an output changes with a later symbol.
    """
    x = x[:1]
    if x.shape[1] < 2:
        return
    other = x.clone()
    other[:, -1] = (other[:, -1] + 1) % symbols
    with evaluation(model):
        here, there = model(x)[:, :-1].float(), model(other)[:, :-1].float()
    if not torch.allclose(here, there, rtol=1e-3, atol=1e-4):
        raise ModelError(
            "the model sees the symbols that it is to predict",
            expected="outputs that depend on the present and the past alone",
            received=f"{type(model).__name__}: an output that changes with the symbol behind it",
            hint="bidirectional=false, causal=true",
        )
