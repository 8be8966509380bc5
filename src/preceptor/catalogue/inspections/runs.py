"""Inspections of a run: its curves, where its time goes, and what a step costs against a closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["StepTimer", "learning_curve", "solver_cost"]

_T = TypeVar("_T")
_KIND = "inspection"
_ADVICE = {
    "diverged": "a smaller learning rate, clipped gradients",
    "late start": "He or Xavier initialisation, normalisation, a warm-up",
    "nearly linear": "a learning rate 3 to 10 times as large, momentum",
    "early plateau": "a smaller learning rate, or decay; do alike examples have unlike labels?",
    "nothing learned": "a larger or smaller learning rate; check the labels and the gradient",
    "still learning": "more epochs",
    "overfitting": "early stopping, regularisation, more data",
    "large gap": "regularisation, more data, fewer parameters",
    "validation better": "is dropout or augmentation on in training only, or does validation data leak?",
    "underfitting": "a larger model, better features",
    "good fit": "nothing",
}


@registered(
    kind=_KIND,
    name="learning-curve",
    aliases=("learning-curves", "loss-curves"),
    formula="with c the smoothed training and v the validation loss, each relative to the first, in this "
    "order: diverged (not finite, or above the start), nothing learned (c_end > 0.95), late start (c > 0.95 "
    "for a third of the epochs), overfitting (v rose by a tenth of its fall), validation better (v < 0.8 "
    "c), large gap (v > 1.5 c), nearly linear (both halves fell alike and c_end > floor), early plateau "
    "(nine tenths of the fall within the first twentieth of the epochs and c_end > floor), still learning "
    "(c fell by > 5 % in the last fifth), underfitting (flat, c_end > floor), else good fit",
    shapes="history: rows of {train_loss, val_loss, …} or columns → verdict, gap, best epoch",
    when="after any training: which way to go on",
    pitfalls="one curve leaves much open: `preceptor diagnose` weighs it together with gradients, data and "
    "code",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 11.2",
    differs="scikit-learn's learning_curve has the number of examples on its axis, this the epochs",
    example="""
        >>> rows = [{'train_loss': 1 / e, 'val_loss': 1 / e + 0.01 * e} for e in range(1, 40)]
        >>> get('learning-curve', rows)['verdict']
        'overfitting'
        """,
)
def learning_curve(
    history: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[float]], floor: float = 0.3
) -> Inspection:
    """Learning curve: losses by epoch, and what their shape says."""
    check_number("learning-curve", "floor", floor, 0.0, 1.0)
    train, val = _column(history, "train_loss"), _column(history, "val_loss")
    if train is None:
        train = _column(history, "train_loss_running")
    if train is None or len(train) < 3:
        raise DataError(
            "there is no learning curve",
            expected="train_loss of at least 3 epochs, and val_loss if there is one",
            received=f"{0 if train is None else len(train)} epochs",
        )
    verdict = _verdict(train, val, floor)
    best = int(np.nanargmin(train if val is None or np.isnan(val).all() else val))
    gap = None if val is None else float(val[-1] - train[-1])
    series = {"training": train} | ({} if val is None else {"validation": val})
    test = _column(history, "test_loss")
    series |= {} if test is None else {"test": test}
    return Inspection(
        "Learning curve",
        f"{verdict}; best epoch {best + 1} of {len(train)}; try: {_ADVICE[verdict]}",
        {"verdict": verdict, "advice": _ADVICE[verdict], "best_epoch": best + 1, "gap": gap, **series},
        (
            Picture(
                "lines", series, np.arange(1, len(train) + 1), x_label="epoch", y_label="loss",
                marks={"best epoch": best + 1},
            ),
        ),
    )  # fmt: skip


def _column(history: Any, name: str) -> Any:
    if isinstance(history, Mapping):
        values = history.get(name)
    else:
        values = [row.get(name) for row in history] if any(name in row for row in history) else None
    return None if values is None else np.array([np.nan if v is None else float(v) for v in values])


def _verdict(train: Any, val: Any, floor: float) -> str:
    start = abs(train[0]) or 1.0
    window = max(1, len(train) // 5)
    end, before = float(np.mean(train[-window:])), float(np.mean(train[-2 * window : -window]))
    if not np.isfinite(train).all() or end > 1.5 * start:
        return "diverged"
    if end > 0.95 * start:
        return "nothing learned"
    if len(train) >= 6 and train[: len(train) // 3].min() > 0.95 * start:
        return "late start"
    if val is not None and np.isfinite(val).all():
        found = _against(val, end, start, window)
        if found:
            return found
    shape = _shape(train, start) if end > floor * start else None
    if shape:
        return shape
    if before - end > 0.05 * max(before, 1e-12) and end > 0.02 * start:
        return "still learning"
    return "underfitting" if end > floor * start else "good fit"


def _shape(train: Any, start: float) -> str | None:
    """Name what the way down looks like, of a curve that stays high."""
    n, fall = len(train), float(train[0] - train[-1])
    if n < 6 or fall < 0.05 * start:
        return None
    first, second = train[0] - train[n // 2], train[n // 2] - train[-1]
    if 0.7 * first < second < 1.4 * first:
        return "nearly linear"
    return "early plateau" if train[0] - train[max(1, n // 20)] > 0.9 * fall else None


def _against(val: Any, end: float, start: float, window: int) -> str | None:
    smooth = np.convolve(val, np.ones(window) / window, "valid")
    low, last = float(smooth.min()), float(smooth[-1])
    if last - low > 0.1 * max(float(smooth[0]) - low, 0.05 * start):
        return "overfitting"
    if last < 0.8 * end and end - last > 0.02 * start:
        return "validation better"
    return "large gap" if last > 1.5 * end and last - end > 0.1 * start else None


@registered(
    kind=_KIND,
    name="step-timer",
    aliases=("step-time", "phase-timer", "step-timer-with-phase-split", "timing"),
    formula="seconds by phase, their shares, time a step, remaining = (total steps − steps) · time a step; "
    "a step should take less than limit seconds",
    shapes="with timer.phase('forward'): …; for batch in timer.loading(loader): …; timer.result(total_steps)",
    when="a loop of one's own that seems slow: is it the data, the forward pass, the backward pass or the "
    "step?",
    pitfalls="on a GPU work is queued: the timer waits for the device at the end of each phase, which costs "
    "a little",
    source="Gregg, Systems Performance, 2020, chapter 2",
    differs="torch.profiler tells operators apart, this the phases of a step; preceptor.train times its own "
    "steps",
    example="""
        >>> timer = get('step-timer')
        >>> for batch in timer.loading([1, 2, 3]):
        ...     with timer.phase('forward'):
        ...         _ = torch.zeros(2) + batch
        >>> sorted(timer.result()['seconds'])
        ['forward', 'loading', 'other']
        """,
)
class StepTimer:
    """Step timer: the time of a training step by phase, what limits it, and how long it will take."""

    def __init__(self, limit: float = 0.5, warm_up: int = 1) -> None:
        self.limit = check_number("step-timer", "limit", limit, 0.0)
        self.warm_up = check_count("step-timer", "warm_up", warm_up, 0)
        self.steps: list[dict[str, float]] = []
        self._now: dict[str, float] = {}

    def loading(self, batches: Iterable[_T]) -> Iterator[_T]:
        """Yield the batches; the time until each is there counts as loading, and each makes a step."""
        source = iter(batches)
        while True:
            started = perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            self._add("loading", perf_counter() - started)
            yield batch
            _wait()
            self._now["other"] = max(0.0, perf_counter() - started - sum(self._now.values()))
            self.steps.append(self._now)
            self._now = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book the time of the block under ``name``."""
        started = perf_counter()
        try:
            yield
        finally:
            _wait()
            self._add(name, perf_counter() - started)

    def _add(self, name: str, seconds: float) -> None:
        self._now[name] = self._now.get(name, 0.0) + seconds

    def result(self, total_steps: int | None = None) -> Inspection:
        """Return the times of the steps after the warm-up.

        Raises:
            DataError: no step was timed yet.
        """
        steps = self.steps[self.warm_up :] or self.steps
        if not steps:
            raise DataError(
                "no step was timed", expected="a loop over timer.loading(batches)", received="0 steps"
            )
        names = list(dict.fromkeys(name for step in steps for name in step))
        seconds = {name: sum(step.get(name, 0.0) for step in steps) / len(steps) for name in names}
        total = sum(seconds.values())
        slowest = max(seconds, key=seconds.__getitem__)
        left = None if total_steps is None else max(0, total_steps - len(self.steps)) * total
        finding = f"{1000 * total:.3g} ms a step, {seconds[slowest] / max(total, 1e-12):.0%} in {slowest}"
        finding += f", over the limit of {1000 * self.limit:g} ms" if total > self.limit else ""
        finding += "" if left is None else f"; {left:.3g} s to go"
        return Inspection(
            "Time of a step",
            finding,
            {
                "seconds": seconds,
                "shares": {name: value / max(total, 1e-12) for name, value in seconds.items()},
                "step": total,
                "bottleneck": slowest,
                "slow": total > self.limit,
                "remaining": left,
                "steps": len(self.steps),
            },
            (Picture("bars", {"seconds": list(seconds.values())}, names, y_label="seconds a step"),),
        )


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@registered(
    kind=_KIND,
    name="solver-cost",
    aliases=("gd-cost", "least-squares-cost", "direct-against-iterative"),
    formula="a gradient step: 4 N D operations, O(N D); the closed form: N D² to form XᵀX and D³/3 to "
    "factor it, O(N D² + D³)",
    shapes="features (several D), examples N → operations and seconds of each, slopes of their logarithms",
    when="many features: from which D on steps are cheaper than solving",
    pitfalls="a step is not a solution: count the steps; small D measure overheads, so slopes near 3 show "
    "only for large D",
    source="Golub and Van Loan, Matrix Computations, 4th edition, 2013, chapters 4 and 5",
    example="""
        >>> seen = get('solver-cost', [64, 128, 256], examples=10, repeats=0)
        >>> round(seen['slopes']['operations of a step'], 3)
        1.0
        """,
)
def solver_cost(features: Sequence[int], examples: int = 1_000, repeats: int = 3) -> Inspection:
    """Cost of one gradient step of linear regression against that of the closed form."""
    check_count("solver-cost", "examples", examples)
    check_count("solver-cost", "repeats", repeats, 0)
    if len(features) < 2:
        raise DataError(
            "nothing to compare", expected="at least two numbers of features", received=f"{features!r}"
        )
    N = examples
    table = {
        "operations of a step": [4.0 * N * D for D in features],
        "operations to solve": [D**3 / 3 for D in features],
        "operations to form": [float(N * D * D) for D in features],
    }
    if repeats:
        times = [_seconds(N, D, repeats) for D in features]
        table |= {"seconds of a step": [a for a, _ in times], "seconds to solve": [b for _, b in times]}
    slopes = {
        name: float(np.polyfit(np.log(list(features)), np.log(np.maximum(values, 1e-12)), 1)[0])
        for name, values in table.items()
    }
    step, solve = "seconds of a step", "seconds to solve"
    if not repeats:
        step, solve = "operations of a step", "operations to solve"
    return Inspection(
        "Cost of a step and of the closed form",
        f"a step grows as D^{slopes[step]:.2f}, solving as D^{slopes[solve]:.2f}",
        {"features": list(features), "slopes": slopes, **table},
        (Picture("lines", {step: table[step], solve: table[solve]}, list(features), x_label="D", log="xy"),),
    )


def _seconds(N: int, D: int, repeats: int) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    X, t, w = (torch.randn(*s, generator=generator) for s in ((N, D), (N,), (D,)))
    gram = X.T @ X + N * torch.eye(D)
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        started = perf_counter()
        X.T @ (X @ w - t)
        between = perf_counter()
        torch.linalg.cholesky(gram)
        best = [min(best[0], between - started), min(best[1], perf_counter() - between)]
    return best[0], best[1]
