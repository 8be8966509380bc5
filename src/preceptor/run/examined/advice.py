"""Where a run stands in the recipe, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from preceptor.data.batches import TensorBatches
from preceptor.recipe.position import position
from preceptor.recipe.tree import Advice, next_step
from preceptor.report.recipe import RecipeSummary

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["advise", "reaches_goal", "recipe_summary"]


def advise(run: Run, tried: frozenset[str] = frozenset()) -> Advice | None:
    """Return the next step by the recipe; None where no epoch was measured, or training was not measured.

    Arguments:
        run: a training that is over, or under way.
        tried: actions that were tried and did not help.
    """
    headline = run.experiment.metrics[0] if run.experiment.metrics else None
    look = run.ledger[-1]["metrics"].get(headline) if run.ledger and headline else None
    stands = position(
        run.history.rows,
        run.experiment,
        best=run.best_epoch,
        examples=_held_out(run),
        test=look,
        chance=_commonest(run),
        tried=tried,
    )
    return None if stands is None else next_step(stands)


def reaches_goal(run: Run) -> bool:
    """Whether the run is as good as was asked for; so is one for which nothing was."""
    if run.experiment.training.goal is None:
        return True
    advice = advise(run)
    return advice is None or advice.done


def recipe_summary(run: Run) -> RecipeSummary | None:
    """Return what the report says: the next step, how the tree comes to it, and what was checked before."""
    advice, checks = advise(run), run.checks
    if advice is None and checks is None:
        return None
    said = {"time": checks.time, "memory": checks.memory} if checks is not None else {}
    return RecipeSummary(
        next="" if advice is None else str(advice),
        path=() if advice is None else tuple((q, "yes" if yes else "no", why) for q, yes, why in advice.path),
        checks=tuple((one.status, one.text, one.remedy) for one in checks or ()),
        foretold=tuple((name, str(text)) for name, text in said.items() if text is not None),
    )


def _held_out(run: Run) -> int | None:
    val = run.feeds.val if run.feeds else None
    return len(val.y) if isinstance(val, TensorBatches) else None


def _commonest(run: Run) -> float | None:
    """Return the share of the commonest class among the training examples."""
    part = run.part("train")
    if part is None or run.prepared is None or run.prepared.preprocessor.target_kind != "categories":
        return None
    counts = np.bincount(part.y.reshape(-1).numpy())
    return float(counts.max() / counts.sum()) if counts.sum() else None
