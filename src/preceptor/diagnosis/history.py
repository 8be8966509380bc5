"""Curves from a CSV file or a table of numbers that somebody else's training wrote."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from preceptor.diagnosis.curve import Curve
from preceptor.errors import DataError
from preceptor.untrusted import understood

__all__ = ["CURVES", "curve_name", "gathered", "is_a_part", "named", "read_curves", "shares"]

CURVES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr")
"""The curves that verdicts are about."""

_STEPS = (
    "step",
    "global_step",
    "steps",
    "iteration",
    "iter",
    "iterations",
    "batch",
    "update",
    "epoch",
    "epochs",
)
_TRAIN = frozenset({"train", "training", "tr", "trn", "fit"})
_HELD_OUT = frozenset(
    {"val", "valid", "validation", "dev", "eval", "evaluation", "test", "testing", "heldout"}
)
_LOSS = frozenset({"loss", "losses", "nll", "ce", "bce", "crossentropy", "mse", "mae", "rmse", "perplexity"})
_LOSS_WORDS = frozenset({"error", "err", "objective", "cost"})
_ACCURACY = frozenset({"accuracy", "acc", "top1"})
_NEUTRAL = frozenset(
    {"epoch", "step", "mean", "avg", "average", "running", "total", "cross", "entropy", "log", "binary"}
    | {"categorical", "sparse", "squared", "set", "data", "held", "out", "metrics", "metric", "0", "1"}
)
_MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "-"})


def curve_name(column: str) -> str | None:
    """Return the curve that a column of this name holds; None for anything else.

    Example:
        >>> [curve_name(name) for name in ("Loss/train", "eval_loss", "val acc", "learning_rate", "time")]
        ['train_loss', 'val_loss', 'val_accuracy', 'lr', None]
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.strip()).lower().replace("learning rate", "lr")
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.replace("learning_rate", "lr")) if word]
    if not words:
        return None
    kinds = {"lr": any(re.fullmatch(r"lr\d*|eta", word) for word in words)}
    kinds["loss"] = any(word in _LOSS or word in _LOSS_WORDS for word in words) or {"cross", "entropy"} <= {
        *words
    }
    kinds["accuracy"] = any(word in _ACCURACY for word in words)
    known = _TRAIN | _HELD_OUT | _LOSS | _LOSS_WORDS | _ACCURACY | _NEUTRAL
    if kinds["lr"]:
        return "lr" if len(words) <= 4 else None
    if kinds["loss"] == kinds["accuracy"] or not {*words} <= known:
        return None
    part = "val" if any(word in _HELD_OUT for word in words) else "train"
    return f"{part}_{'loss' if kinds['loss'] else 'accuracy'}"


def is_a_part(name: str) -> bool:
    """Return whether a folder of this name holds the curves of one part, such as training.

    Example:
        >>> is_a_part("validation"), is_a_part("Loss_train"), is_a_part("version_0")
        (True, True, False)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    return any(word in _TRAIN | _HELD_OUT for word in words) and {*words} <= (
        _TRAIN | _HELD_OUT | _LOSS | _LOSS_WORDS | _ACCURACY | _NEUTRAL
    )


def read_curves(path: str | os.PathLike[str]) -> dict[str, Curve]:
    """Read learning curves from a CSV file with a header line: comma, semicolon or tab between columns.

    Columns are found by their names, other people's included (`curve_name`); where several hold the same
    curve, a validation column goes before a test column, then the one with the shortest name. Empty cells are
    skipped, so rows may hold a part of the curves each. A loss that is given in terms alone, such as
    train/box_loss and train/cls_loss, is their sum. Steps are those of a column step, iteration or epoch,
    else the number of the row. Accuracies in percent become shares.

    Raises:
        DataError: no such file, not text, no header, no column that is a loss or an accuracy, or no numbers.
    """
    header, rows = _with_totals(*_table(Path(path)))
    columns = named(header)
    if not set(columns) - {"lr"}:
        raise DataError(
            f"{str(path)!r} has no learning curve",
            expected="a column for a loss or an accuracy, such as train_loss, val_loss, loss, accuracy",
            received="columns " + ", ".join(map(repr, header[:20])),
            hint="rename the columns in the header line",
        )
    at = next((_index(header, name) for name in _STEPS if _index(header, name) is not None), None)
    curves = {name: _curve(rows, column, at, str(path)) for name, column in columns.items()}
    curves = {name: curve for name, curve in curves.items() if len(curve.all_values)}
    if not set(curves) - {"lr"}:
        raise DataError(f"{str(path)!r} has no numbers in its curves", expected="one row an epoch or step")
    return shares(curves)


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot read {str(path)!r}", expected="a CSV file", received=type(error).__name__
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not UTF-8 text", expected="a CSV file") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise DataError(f"{str(path)!r} is empty", expected="a header line and one row an epoch or step")
    delimiter = max((",", ";", "\t"), key=lines[0].count)
    with understood(repr(str(path)), "a CSV file", DataError, hint="check the quotes"):
        table = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    return [name.strip() for name in table[0]], table[1:]


def _with_totals(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Add a column for the loss of each part that is only given in terms, such as train/box_loss.

    That is how Ultralytics writes it, whose ``metrics/`` are those of validation.
    """
    if any(name.startswith("val/") for name in header):
        header = [name.replace("metrics/", "val/", 1) for name in header]
    curves = {curve_name(name) for name in header}
    for part in ("train", "val"):
        terms = [i for i, name in enumerate(header) if re.fullmatch(rf"{part}[/_]\w+_loss", name)]
        if f"{part}_loss" in curves or not terms:
            continue
        header = [*header, f"{part}_loss"]
        rows = [[*row, *[""] * (len(header) - 1 - len(row)), _total(row, terms)] for row in rows]
    return header, rows


def _total(row: list[str], terms: list[int]) -> str:
    try:
        return repr(sum(float(row[i]) for i in terms))
    except (ValueError, IndexError):  # a gap in one of them
        return ""


def named(header: Sequence[str]) -> dict[str, int]:
    """Return which of some names holds which curve, by its place among them.

    Example:
        >>> named(["epoch", "train_loss_step", "train_loss_epoch", "val_loss"])
        {'train_loss': 2, 'val_loss': 3}
    """
    found: dict[str, list[tuple[bool, int, int]]] = {}
    for column, name in enumerate(header):
        curve = curve_name(name)
        if curve is not None:
            tested = any(word in name.lower() for word in ("test", "eval"))
            by_step = name.lower().endswith("_step")
            found.setdefault(curve, []).append((tested or by_step, len(name), column))
    return {curve: min(columns)[2] for curve, columns in found.items()}


def _index(header: list[str], wanted: str) -> int | None:
    names = [name.lower().replace(" ", "_") for name in header]
    return names.index(wanted) if wanted in names else None


def _curve(rows: list[list[str]], column: int, at: int | None, path: str) -> Curve:
    steps, values = [], []
    for number, row in enumerate(rows):
        value = _number(row, column, number, path)
        if value is None:
            continue
        step = _number(row, at, number, path) if at is not None else number
        values.append(value)
        steps.append(number if step is None or not math.isfinite(step) else int(step))
    last = max((i for i, value in enumerate(values) if math.isfinite(value)), default=-1)
    kept = [i for i, value in enumerate(values) if i > last or math.isfinite(value)]  # gaps are no divergence
    steps, values = [steps[i] for i in kept], [values[i] for i in kept]
    if any(b <= a for a, b in pairwise(steps)):  # several rows an epoch
        steps = list(range(len(values)))
    return Curve(steps, values)


def _number(row: list[str], column: int, number: int, path: str) -> float | None:
    text = row[column].strip() if column < len(row) else ""
    if text.lower() == "nan":
        return math.nan
    if text.lower() in _MISSING:
        return None
    try:
        return float(text.removesuffix("%").replace(",", "."))
    except ValueError as error:
        raise DataError(
            f"{path!r}, row {number + 1}, column {column + 1} holds no number",
            expected="a number, or nothing",
            received=repr(text),
        ) from error


def _share(curve: Curve) -> Curve:
    top = max((value for value in curve.values.tolist()), default=0.0)
    return Curve(curve.all_steps, curve.all_values / 100) if top > 1.5 else curve


def shares(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return curves with accuracies in percent made shares."""
    return {name: _share(curve) if "accuracy" in name else curve for name, curve in curves.items()}


def gathered(curves: Mapping[str, Curve] | Iterable[tuple[str, Curve]]) -> dict[str, Curve]:
    """Return curves under the names of `CURVES`, whatever they were called; others are left out."""
    found: dict[str, Curve] = {}
    for name, curve in dict(curves).items():
        known = name if name in CURVES else curve_name(name)
        if known is not None and len(curve.all_values):
            found.setdefault(known, curve)
    return found
