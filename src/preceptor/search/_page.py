"""What a search's page shows, from the search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from preceptor.catalogue.procedures import hyperparameter_inventory
from preceptor.report.search import Axis, Bar, SearchPage, Tried
from preceptor.search.decide import Verdict
from preceptor.search.journal import Trial

if TYPE_CHECKING:
    from preceptor.search.search import Search

__all__ = ["page_of"]


def page_of(search: Search) -> SearchPage:
    """Return the page of a search as it stands."""
    plan, verdict, importances = search.plan, search.verdict, search.importance()
    known = importances is not None and importances.known
    bars = [*importances.single, *importances.pairs] if importances is not None and known else []
    finer = search.finer()
    advice = search.advice()
    if finer is not None:
        spaces = " ".join(f"--space {key}={text}" for key, text in finer.to_plain().items())
        advice.append(f"the best fifth of the trials lies closer together; to look finer: {spaces}")
    return SearchPage(
        name=plan.name,
        folder=str(search.folder),
        verdict=(str(verdict) + ".",) if verdict else ("No trial came to a value.",),
        objective=plan.objective,
        mode=plan.mode,
        axes=tuple(
            Axis(d.key, d.text, log=d.log, values=d.values) for d in (search.space if plan.space else ())
        ),
        tried=tuple(_tried(trial) for trial in search.trials if trial.repeats is None),
        best=verdict.winner if verdict else None,
        bars=tuple(Bar(" × ".join(one.keys), one.share, one.low, one.high) for one in bars),
        doubt=_doubt(search),
        finalists=_finalists(verdict) if verdict else (),
        advice=tuple(advice),
        plan=tuple(_plan(search)),
        settings=tuple(_others(search)),
    )


def _others(search: Search) -> list[tuple[str, str]]:
    """Return what was not searched, by what it is about."""
    rest = {key: value for key, value in search.plan.decided.items() if key not in search.plan.space}
    groups = hyperparameter_inventory()(rest)
    return [
        (name, ", ".join(f"{key} {value}" for key, value in group.items())) for name, group in groups.items()
    ]


def _tried(trial: Trial) -> Tried:
    result = trial.result
    return Tried(
        trial.number,
        trial.settings,
        trial.value,
        trial.changed,
        trial.note,
        result.epochs if result else 0,
        result.seconds if result else 0.0,
        "not ended" if trial.open or result is None else result.status,
    )


def _doubt(search: Search) -> str:
    importances = search.importance()
    if importances is None:
        return "Eight trials or more of one space tell which hyperparameter matters."
    if not importances.known:
        return f"{importances}."
    return (
        f"From {importances.trials} trials; the forest explains {importances.explained:.0%} of the variance "
        "of trials that it was not grown on. Intervals are of the forest, not of the trials."
    )


def _finalists(verdict: Verdict) -> tuple[tuple[str, ...], ...]:
    if not verdict.seeds:
        return ()
    rows = []
    for one in verdict.candidates:
        behind = "–" if one.behind is None else _interval(one.behind)
        noise = "" if one.behind is None or one.told_apart else " (within noise)"
        rows.append(
            (str(one.number), f"{one.first:.4g}", f"{one.mean:.4g}", _interval(one.interval), behind + noise)
        )
    return tuple(rows)


def _interval(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3g} … {pair[1]:.3g}" if all(map(math.isfinite, pair)) else "not known"


def _plan(search: Search) -> list[tuple[str, str]]:
    plan = search.plan
    budget = ", ".join(f"{value:g} {name}" for name, value in vars(plan.budget).items() if value is not None)
    facts = [("method", plan.method), *plan.space.items()]
    if len(plan.stages) > 1:
        facts.append(("stages", "; then ".join(", ".join(part) for part in plan.stages)))
    facts += [
        (
            "decides",
            f"{plan.objective}, {'lower' if plan.mode == 'min' else 'higher'} is better; on validation",
        ),
        ("budget", budget or (f"{plan.limit} trials" if plan.limit else "none")),
        ("the best anew", f"{plan.finalists} with {plan.repeats} new seeds each"),
        ("seed of the proposals", str(plan.seed)),
        ("test set", "sealed: no trial could read it"),
    ]
    return facts
