"""What the page says: a summary turned into sentences, pairs and tables of finished text."""

from __future__ import annotations

from typing import Any

import numpy as np

from preceptor.report import _matrix
from preceptor.report._curves import FIGURES_SHOWN, metrics
from preceptor.report._format import (
    as_float,
    clean,
    count,
    duration,
    fixed,
    label,
    number,
    percent,
    title,
)
from preceptor.report._table import Table
from preceptor.report._words import Words
from preceptor.report.summary import (
    AuditSummary,
    DataSummary,
    ModelSummary,
    Parent,
    Reuse,
    Setting,
    Summary,
)

__all__ = [
    "audit",
    "by_class",
    "cut",
    "data",
    "model",
    "parent",
    "prediction_tables",
    "reuse",
    "settings",
    "text",
    "tiles",
    "timing",
    "undrawn",
    "verdict",
]

AUDIT_SHOWN = 40
CLASSES_SHOWN = 40
FEATURES_SHOWN = 50
LAYERS_SHOWN = 100
SETTINGS_SHOWN = 120
NOTES_SHOWN = 20


def text(value: Any, limit: int = 160) -> str:
    """Return a setting's value as it would be typed.

    Example:
        >>> text(0.001), text((64, 64)), text(None)
        ('0.001', '[64, 64]', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return clean("[" + ", ".join(text(v) for v in value[:limit]) + "]", limit)
    return label(value, limit)


def cut(lines: tuple[str, ...], limit: int = NOTES_SHOWN) -> list[str]:
    """Return the first ``limit`` notes, and how many more there are."""
    more = len(lines) - limit
    return [clean(line, 600) for line in lines[:limit]] + ([f"… and {count(more)} more."] if more > 0 else [])


def verdict(summary: Summary) -> list[str]:
    """Return how the run ended, its best epoch and its test result, one sentence each."""
    status = clean(summary.status, 400).strip()
    sentences = [(status[:1].upper() + status[1:]).rstrip(".") + "."] if status else []
    if summary.best_epoch is not None and summary.history:
        value = _at_best(summary, summary.monitor)
        by = f", by {label(summary.monitor, 60)}" + ("" if value is None else f" {number(value)}")
        sentences.append(f"Best epoch {count(summary.best_epoch)} of {count(len(summary.history))}{by}.")
    elif not summary.history and summary.ensemble is None:
        sentences.append("No epoch was finished.")
    if summary.test is None:
        sentences.append("The test set has not been looked at.")
        return sentences
    test = summary.test
    headline = next(iter(test.metrics), "")
    told = f"Test {_inline(headline)} {fixed(test.metrics[headline])}" if headline else "Tested"
    if test.interval is not None:
        told += f", 95 % interval {fixed(test.interval[0])} to {fixed(test.interval[1])}"
    sentences.append(f"{told}, on {count(test.n)} examples.")
    if test.looks <= 1:
        sentences.append("This was the first look at the test set.")
    else:
        sentences.append(
            f"This was look number {count(test.looks)} at the test set: whatever was chosen after an "
            "earlier look makes the result look better than it is."
        )
    return sentences


def _inline(metric: str) -> str:
    name = title(metric)
    return name if name[1:2].isupper() or not name[1:2].isalpha() else name[:1].lower() + name[1:]


def _at_best(summary: Summary, key: str) -> float | None:
    for row in reversed(summary.history):
        if row.get("epoch") == summary.best_epoch:
            value = as_float(row.get(key))
            return None if np.isnan(value) else value
    return None


def tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Return the key numbers as (label, number, remark)."""
    found: list[tuple[str, str, str]] = []
    if summary.test is not None:
        for i, (name, value) in enumerate(list(summary.test.metrics.items())[:2]):
            low, high = summary.test.interval if summary.test.interval and i == 0 else (None, None)
            remark = "" if low is None else f"{fixed(low)} to {fixed(high)}"
            found.append((f"Test {_inline(name)}", fixed(value), remark))
    best = _at_best(summary, summary.monitor)
    if best is not None:
        part, _, name = summary.monitor.partition("_")
        where = {"val": "Validation", "train": "Training"}.get(part, label(part, 20))
        found.append((f"{where} {_inline(name)}", number(best), "at the best epoch"))
    if summary.history:
        remark = "" if summary.best_epoch is None else f"best {count(summary.best_epoch)}"
        found.append(("Epochs", count(len(summary.history)), remark))
    if summary.model.parameters:
        found.append(("Parameters", count(summary.model.parameters), label(summary.model.name, 24)))
    if summary.timing is not None:
        found.append(
            ("Time", duration(summary.timing.actual_seconds), f"{count(summary.timing.steps)} steps")
        )
    return found


def undrawn(summary: Summary) -> str:
    """Name the measures for which no figure was drawn."""
    names = metrics(summary)[FIGURES_SHOWN:]
    if not names:
        return ""
    shown = ", ".join(label(name, 30) for name in names[:20])
    return f"{count(len(names))} further measures are in the history: {shown}" + (
        ", …" if len(names) > 20 else "."
    )


def prediction_tables(summary: Summary) -> tuple[Table, ...]:
    """Return scores per class and the frequent confusions; nothing for numbers."""
    predictions = summary.predictions
    if predictions is None or predictions.kind != "classification" or not len(predictions):
        return ()
    pairs = _matrix.confusion_pairs(predictions)
    return (_matrix.class_table(predictions), *((pairs,) if pairs else ()))


def by_class(summary: Summary) -> Table | None:
    """Return the measures of each class, the worst class first; None where there are none."""
    scores = summary.by_class
    if not scores:
        return None
    measures = list(next(iter(scores.values())))
    names = sorted(scores, key=lambda name: np.nan_to_num(as_float(scores[name][measures[0]]), nan=2.0))
    rows = tuple((label(n, 40), *(fixed(scores[n][m]) for m in measures)) for n in names[:CLASSES_SHOWN])
    return Table("Measures of each class", ("class", *map(label, measures)), rows)


def data(summary: DataSummary) -> tuple[list[tuple[str, str]], list[Table], list[str]]:
    """Return the data's facts, the tables of classes and features, and the notes."""
    tables = [table for table in (_class_counts(summary), _features(summary)) if table]
    facts = [(label(name, 60), clean(value, 400)) for name, value in summary.rows[:40]]
    return facts, tables, cut(summary.notes)


def _class_counts(summary: DataSummary) -> Table | None:
    parts = list(summary.class_counts)[:6]
    names = list(dict.fromkeys(name for part in parts for name in summary.class_counts[part]))
    if not names:
        return None
    table = {name: [int(summary.class_counts[part].get(name, 0)) for part in parts] for name in names}
    note = ""
    if len(names) > CLASSES_SHOWN:
        totals = [sum(row) for row in table.values()]
        note = (
            f"The {CLASSES_SHOWN} smallest of {count(len(names))} classes, "
            f"which have {count(min(totals))} to {count(max(totals))} examples each."
        )
        names = sorted(names, key=lambda name: sum(table[name]))[:CLASSES_SHOWN]
    largest = max(1, *(table[name][0] for name in names))
    rows = tuple((label(name, 40), *(count(n) for n in table[name])) for name in names)
    bars = tuple(table[name][0] / largest for name in names)
    head = ("class", *(label(part, 20) for part in parts))
    return Table("Examples per class", head, rows, note, bars=bars)


def _features(summary: DataSummary) -> Table | None:
    if not summary.features:
        return None
    n = len(summary.features)
    note = f"{FEATURES_SHOWN} of {count(n)} columns." if n > FEATURES_SHOWN else ""
    rows = tuple(
        (label(f[0], 40), label(f[1], 20), *(number(v) for v in f[2:6]), number(f[6]))
        for f in summary.features[:FEATURES_SHOWN]
    )
    head = ("column", "kind", "mean", "std", "min", "max", "missing")
    return Table("Input columns, in the training part", head, rows, note, text=frozenset({0, 1}))


def settings(given: tuple[Setting, ...], words: Words) -> tuple[Table | None, list[tuple[str, str]], str]:
    """Return the table of chosen settings, the pairs left at their default, and what was left out."""
    shown = given[:SETTINGS_SHOWN]
    note = (
        f"{SETTINGS_SHOWN} of {count(len(given))} settings are shown." if len(given) > SETTINGS_SHOWN else ""
    )
    chosen = tuple(
        (label(s.key, 60), words.setting(s.key, text(s.value)), text(s.default)) for s in shown if s.chosen
    )
    head = ("setting", "chosen", "default")
    table = Table("Settings that were chosen", head, chosen, text=frozenset({0, 1, 2})) if chosen else None
    rest = [(label(s.key, 60), words.setting(s.key, text(s.value))) for s in shown if not s.chosen]
    return table, rest, note


def parent(given: Parent | None) -> dict[str, Any] | None:
    """Return the run that this one was made from: its folder, what changed, and what that came to."""
    if given is None:
        return None
    changed = tuple((label(key, 60), text(a), text(b)) for key, a, b in given.settings[:SETTINGS_SHOWN])
    results = tuple((label(title(key), 60), number(a), number(b)) for key, a, b in given.results[:40])
    words = frozenset({0, 1, 2})
    return {
        "folder": label(given.folder, 300),
        "said": cut(given.said),
        "settings": Table("Settings that differ", ("setting", "there", "here"), changed, text=words)
        if changed
        else None,
        "results": Table("Results at the best epoch", ("measure", "there", "here"), results)
        if results
        else None,
        "notes": cut(given.notes),
    }


def timing(summary: Summary) -> list[tuple[str, str]]:
    """Return estimate against actual, and the speed."""
    t = summary.timing
    if t is None:
        return []
    estimate, actual = as_float(t.estimated_seconds), as_float(t.actual_seconds)
    rows = [("computed in", clean(t.computed_in, 200))] if t.computed_in else []
    rows += [("took", duration(actual)), ("estimated beforehand", duration(estimate))]
    if estimate > 0:
        rows.append(("actual ÷ estimate", f"{actual / estimate:.2f}"))
    rows += [
        ("optimisation steps", count(t.steps)),
        ("median step", f"{number(t.step_median_ms, 3)} ms"),
        ("95th percentile of a step", f"{number(t.step_p95_ms, 3)} ms"),
    ]
    speed = as_float(t.examples_per_second)
    return [*rows, ("examples per second", number(round(speed)) if speed > 10 else number(speed, 3))]


def reuse(summary: Reuse | None) -> tuple[list[str], Table | None]:
    """Return what was taken over from an earlier run: sentences, and the layers from the inputs on."""
    if summary is None:
        return [], None
    head = ("layer", "weights", "learns", "rate")
    rows = tuple(
        (label(name, 80) or "(model)", label(weights, 40) or "–", label(learns, 40), number(factor))
        for name, weights, learns, factor in summary.layers[:LAYERS_SHOWN]
    )
    more = len(summary.layers) - len(rows)
    note = f"The first {LAYERS_SHOWN} of {count(len(summary.layers))} layers." if more > 0 else ""
    table = Table("Layers taken over", head, rows, note, text=frozenset({0, 1, 2})) if rows else None
    return cut(summary.lines), table


def audit(summary: AuditSummary | None) -> tuple[Table | None, str]:
    """Return what was seen of the data, warnings first, and a sentence on the checks that found nothing."""
    if summary is None:
        return None, ""
    marks = {"warning": "warning", "info": "remark", "skipped": "not judged"}
    order = sorted(summary.remarks, key=lambda remark: list(marks).index(remark[0]))
    rows = tuple(
        (
            marks[level],
            clean(said, 600),
            clean(text(rows, 12), 200) if rows else "–",
            clean(remedy, 300) or "–",
        )
        for level, said, rows, remedy in order[:AUDIT_SHOWN]
    )
    head = ("kind", "what was seen", "rows", "what to do")
    table = Table("Data audit", head, rows, text=frozenset({0, 1, 2, 3})) if rows else None
    listed = "; ".join(clean(one, 100) for one in summary.passed)
    told = f"{count(len(summary.passed))} checks found nothing: {listed}." if listed else ""
    return table, f"{told} Looking took {duration(summary.seconds)}.".strip()


def model(summary: ModelSummary) -> Table | None:
    """Return the table of layers; of a deep model the first and the last."""
    layers = summary.layers
    if not layers:
        return None
    half, n, note = LAYERS_SHOWN // 2, len(layers), ""
    if n > LAYERS_SHOWN:
        layers = (*layers[:half], *layers[-half:])
        note = f"The first and last {half} of {count(n)} layers."
    total = max(1, summary.parameters)
    rows = tuple(
        (label(path, 80) or "(model)", label(kind, 40), text(shape, 60), count(size), percent(size / total))
        for path, kind, shape, size in layers
    )
    head = ("layer", "type", "shape", "parameters", "share")
    return Table("Layers", head, rows, note, text=frozenset({0, 1, 2}))
