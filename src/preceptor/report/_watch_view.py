"""What the page of a watch says: facts, tables and sentences out of its summary and its record."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from preceptor.report import _view
from preceptor.report._format import as_float, clean, count, duration, label, number, percent, short
from preceptor.report._table import Table
from preceptor.report._watch_curves import course, evaluations, first_bad, mean_of, trainings
from preceptor.report._watch_tables import ROWS_SHOWN, cell, dicts, heading, phase_name, rows_of
from preceptor.report.summary import DataSummary

if TYPE_CHECKING:
    from preceptor.observation.record import Record

__all__ = ["batches", "classes", "cost", "facts", "offences", "phases", "shared", "steps", "tiles", "typical",
           "values", "verdict"]  # fmt: skip

LINES_SHOWN = 80
_TITLES = {
    "models": "Models",
    "optimizers": "Optimizers",
    "loaders": "Data loaders",
    "environment": "Environment",
}
_SHOWN_ELSEWHERE = ("classes", "fingerprints", "pairs", "predictions", "relation", "sources")
_BATCH = ("mean", "std", "min", "max")


def steps(summary: Mapping[str, Any], kind: str) -> int:
    """Return how many training steps, evaluation passes or epochs were seen."""
    found = as_float((summary.get("steps") or {}).get(kind))
    return 0 if math.isnan(found) else int(found)


def verdict(summary: Mapping[str, Any], record: Record) -> list[str]:
    """Return what was seen and how the losses went, one sentence each."""
    seen = [f"{count(steps(summary, 'train'))} training steps"]
    for kind, name in (("evaluations", "evaluation passes"), ("epochs", "epochs")):
        if n := steps(summary, kind):
            seen.append(f"{count(n)} {name}")
    sentences = [f"{', '.join(seen[:-1])} and {seen[-1]} were seen." if seen[1:] else f"{seen[0]} were seen."]
    for phase, columns in [*list(trainings(record).items())[:2], *list(evaluations(record).items())[:2]]:
        first, last = course(columns)
        name = "The loss" if phase == "train" else f"The loss in {phase_name(phase)}"
        if math.isfinite(first):
            sentences.append(f"{name} went from {number(first)} to {number(last)}.")
        if (bad := first_bad(columns)) is not None:
            sentences.append(f"{name} is {bad[1].partition(' ')[2]} at step {count(bad[0])}, the first time.")
    return sentences


def tiles(summary: Mapping[str, Any], record: Record) -> list[tuple[str, str, str]]:
    """Return the key numbers as (label, number, remark)."""
    found = [("Training steps", count(steps(summary, "train")), "")]
    if steps(summary, "epochs"):
        found.append(("Epochs", count(steps(summary, "epochs")), ""))
    for kind, losses in (("Training loss", trainings(record)), ("Evaluation loss", evaluations(record))):
        for columns in list(losses.values())[:1]:
            first, last = course(columns)
            if math.isfinite(last):
                found.append((kind, number(last), f"from {number(first)}"))
    models = dicts(_facts(summary, record).get("models"))
    if models:
        sizes = sum(n for model in models if math.isfinite(n := as_float(model.get("parameters"))))
        found.append(("Parameters", count(int(sizes)), f"{count(len(models))} models" if models[1:] else ""))
    step = mean_of(record, "step_seconds")
    if step > 0:
        found.append(("One step", _milliseconds(step), ""))
    share = _share(summary)
    if math.isfinite(share):
        found.append(("Cost of watching", percent(share), "of the time"))
    return found


def facts(summary: Mapping[str, Any], record: Record) -> tuple[list[Table], list[tuple[str, str]]]:
    """Return models, optimizers, loaders and whatever else is known once: as tables, and as pairs."""
    tables, pairs = [], []
    known = {key: value for key, value in _facts(summary, record).items() if key not in _SHOWN_ELSEWHERE}
    for key, value in sorted(known.items(), key=lambda item: item[0] not in _TITLES):
        rows = _merged(_groups(_rows(key, value)))
        if rows and (table := rows_of(_TITLES.get(key, heading(key)), rows)):
            tables.append(table)
        elif isinstance(value, Mapping):
            pairs += [(label(name, 60), cell(inner)) for name, inner in list(value.items())[:ROWS_SHOWN]]
        elif value not in ([], {}, None, ""):
            pairs.append((heading(key), cell(value)))
    return tables, pairs[: 3 * ROWS_SHOWN]


def phases(record: Record) -> Table | None:
    """Return each phase's losses in numbers."""
    found = {**trainings(record), **evaluations(record)}
    rows = []
    for phase, columns in list(found.items())[:ROWS_SHOWN]:
        _, values, low, high, counts = columns
        first, last = course(columns)
        bad = int(counts[~np.isfinite(values)].sum())
        lowest, highest = (pick(one[np.isfinite(one)], initial=start) for pick, one, start in
                           ((np.min, low, math.inf), (np.max, high, -math.inf)))  # fmt: skip
        shown = (
            count(int(counts.sum())),
            *map(number, (first, last, lowest, highest)),
            count(bad) if bad else "–",
        )
        rows.append((phase_name(phase), *shown))
    head = ("phase", "values", "first", "last", "lowest", "highest", "not finite")
    note = "First and last: the mean of a tenth of the values, at most of 20."
    return Table("Losses by phase", head, tuple(rows), note) if rows else None


def batches(record: Record) -> list[Table]:
    """Return what batches looked like, inputs and targets apart."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in record.tables.get("batches", ()):
        kinds.setdefault(str(row.get("what", "")), []).append({k: v for k, v in row.items() if k != "what"})
    tables = [
        rows_of(f"Batches: {label(kind, 40)}s" if kind else "Batches", rows) for kind, rows in kinds.items()
    ]
    return [table for table in tables if table]


def values(record: Record) -> Table | None:
    """Return mean, spread and range of inputs and targets, over all looks."""
    rows = []
    for part in ("input", "target"):
        for phase in list(dict.fromkeys(p for s in _BATCH for p in record.subjects(f"{part}_{s}")))[
            :ROWS_SHOWN
        ]:
            found = {s: record.signal(f"{part}_{s}", subject=phase).columns() for s in _BATCH
                     if phase in record.subjects(f"{part}_{s}")}  # fmt: skip
            mean, std = (_extreme(found.get(s), 1, np.mean) for s in ("mean", "std"))
            low, high = _extreme(found.get("min"), 2, np.min), _extreme(found.get("max"), 3, np.max)
            rows.append((f"{part}, {phase_name(phase or 'train')}", *map(number, (mean, std, low, high))))
    head = ("tensor", "mean", "standard deviation", "min", "max")
    return Table("Values of inputs and targets", head, tuple(rows)) if rows else None


def classes(summary: Mapping[str, Any], record: Record) -> list[Table]:
    """Return how often each class was a target, by phase."""
    known = _facts(summary, record).get("classes")
    counts: dict[str, dict[str, int]] = {}
    for phase, found in known.items() if isinstance(known, Mapping) else ():
        pairs = (
            found.items()
            if isinstance(found, Mapping)
            else enumerate(found if isinstance(found, list) else ())
        )
        counts[short(phase, 20)] = {str(name): int(n) for name, n in pairs if math.isfinite(as_float(n))}
    return _view.data(DataSummary(class_counts=counts))[1] if any(counts.values()) else []


def shared(record: Record) -> Table | None:
    """Return how many samples each two phases share."""
    rows = []
    for a, b in itertools.islice(itertools.combinations(record.samples.keys, 2), ROWS_SHOWN):
        both, of_a, of_b = record.samples.overlap(a, b)
        if of_a and of_b:
            rows.append(
                (
                    f"{phase_name(a)} and {phase_name(b)}",
                    count(both),
                    percent(both / of_a),
                    percent(both / of_b),
                )
            )
    head = ("phases", "samples in both", "of the first", "of the second")
    return Table("Samples that two phases share", head, tuple(rows)) if rows else None


def offences(record: Record) -> list[str]:
    """Return where values that are not finite came from first."""
    return [
        "Not finite: "
        + ", ".join(f"{heading(key).lower()} {cell(value)}" for key, value in row.items())
        + "."
        for row in record.tables.get("offenders", ())[:4]
    ]


def typical(summary: Mapping[str, Any]) -> list[str]:
    """Return the calls of a typical step, equal ones in a row as one."""
    lines = [clean(line, 300) for line in summary.get("typical_step") or ()]
    found = [(line, len(list(same))) for line, same in itertools.groupby(lines)]
    more = [f"… and {count(len(found) - LINES_SHOWN)} more."] if len(found) > LINES_SHOWN else []
    return [line + (f" × {count(n)}" if n > 1 else "") for line, n in found[:LINES_SHOWN]] + more


def cost(summary: Mapping[str, Any], record: Record) -> list[tuple[str, str]]:
    """Return what watching itself took, as pairs."""
    points = sum(len(record.signal(name, subject=s)) for name in record.names for s in record.subjects(name))
    rows = [
        ("level", cell(summary.get("level"))),
        ("steps looked at", number(summary.get("looks"))),
        ("time spent looking", duration(summary.get("look_seconds"))),
        ("time watched", duration(summary.get("seconds"))),
        ("share of the time", percent(_share(summary))),
        ("longest look", _milliseconds(_extreme(_columns(record, "look_seconds"), 3, np.max))),
        ("highest memory of the program", _bytes(_extreme(_columns(record, "memory_bytes"), 3, np.max))),
        ("host syncs in a step", number(mean_of(record, "host_syncs"), 3)),
        ("memory of the record", _bytes(record.nbytes)),
        ("points recorded", count(points)),
    ]
    left = [
        (f"left out of {label(name, 40)}", count(n)) for name, n in list(record.left_out.items())[:ROWS_SHOWN]
    ]
    return [(name, shown) for name, shown in [*rows, *left] if shown != "–"]


def _facts(summary: Mapping[str, Any], record: Record) -> Mapping[str, Any]:
    return record.facts or summary.get("facts") or {}


def _rows(key: str, value: Any) -> list[Mapping[str, Any]]:
    """Return a list of dicts as it is; of a dict of dicts each with its name."""
    if isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values()):
        return [{key.removesuffix("s"): name, **inner} for name, inner in value.items()]
    return dicts(value)


def _merged(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return rows that differ by their label only as one, with how many there are."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        same = {key: value for key, value in row.items() if key not in ("label", "number")}
        alike.setdefault(repr(same), []).append(row)
    if len(alike) == len(rows):
        return list(rows)
    return [{**found[0], "times": len(found)} for found in alike.values()]


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return a row for each parameter group of an optimizer; other rows as they are."""
    found: list[Mapping[str, Any]] = []
    for row in rows:
        own = {key: value for key, value in row.items() if key != "groups"}
        inner = dicts(row.get("groups"))
        found += [
            {**own, **({"group": i} if inner[1:] else {}), **group} for i, group in enumerate(inner)
        ] or [row]
    return found


def _share(summary: Mapping[str, Any]) -> float:
    spent, whole = as_float(summary.get("look_seconds")), as_float(summary.get("seconds"))
    return spent / whole if whole > 0 else math.nan


def _columns(record: Record, signal: str) -> tuple[Any, ...] | None:
    return record.signal(signal).columns() if record.subjects(signal) == [""] else None


def _extreme(columns: Sequence[Any] | None, which: int, pick: Any) -> float:
    if columns is None:
        return math.nan
    found = columns[which][np.isfinite(columns[which])]
    return float(pick(found)) if len(found) else math.nan


def _milliseconds(seconds: float) -> str:
    return f"{number(1e3 * seconds, 3)} ms" if math.isfinite(seconds) else "–"


def _bytes(n: float) -> str:
    return (
        "–"
        if not math.isfinite(n)
        else f"{number(n / 2**20, 3)} MiB"
        if n >= 2**20
        else f"{n / 2**10:.0f} KiB"
    )
