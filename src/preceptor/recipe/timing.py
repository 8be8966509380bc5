"""How long a training will take, and what its steps wait for: measured on its first steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

from preceptor.data.batches import Batch, Batches
from preceptor.errors import ModelError
from preceptor.training.callbacks import Callback
from preceptor.training.evaluate import evaluate
from preceptor.training.loop import fit
from preceptor.training.problem import Problem
from preceptor.training.state import State

__all__ = ["LIMIT", "PHASES", "Time", "measured"]

LIMIT = 0.5
"""Seconds that a step should take at most, or one waits longer than one learns."""
PHASES = ("data", "forward", "backward", "step")
"""What a step consists of; "data" is the loading, and the way to the device."""

_WORDS = {
    "data": "loading: more workers (num_workers), data kept in memory, smaller images",
    "forward": "the forward pass: a smaller model or batch, half precision, channels-last, compile",
    "backward": "the backward pass: freeze what need not learn, a smaller model or batch, half precision",
    "step": "the optimizer's step: a fused or simpler optimizer, larger batches",
}
_WATCHED = 120  # first steps, at which a training is looked on
_WARM_UP = 3
_LEAST = 20  # steps beyond those
_BLOCKS = 5
_OURSELVES = 0.1  # a machine is as fast again only up to this share
_T = 2.0


@dataclass(frozen=True)
class Time:
    """What a training is foretold to take.

    Attributes:
        step: seconds of one step, on average.
        shares: of data, forward, backward and step.
        bottleneck: the largest of them.
        steps: in one epoch.
        epochs: that are to be run; None where that is not known.
        evaluation: seconds of measuring at the end of each epoch.
        total: seconds of all epochs; of one where their number is not known.
        error: half the width of the interval around ``total``.
        watched: seconds that looking on takes beside, in all.
        taken: steps that this rests on.

    Example:
        >>> print(Time(0.0021, {"data": 0.04, "forward": 0.31, "backward": 0.52, "step": 0.13}, "backward",
        ...            650, 40, 0.01, 55.0, 8.0, 0.1, 200))
        2.1 ms a step (data 4 %, forward 31 %, backward 52 %, step 13 %) · 40 epochs ≈ 55 s ± 8
    """

    step: float
    shares: dict[str, float]
    bottleneck: str
    steps: int
    epochs: int | None
    evaluation: float
    total: float
    error: float
    watched: float
    taken: int

    @property
    def slow(self) -> bool:
        """Whether a step takes longer than `LIMIT`."""
        return self.step > LIMIT

    @property
    def remedy(self) -> str:
        """What would help most against slow steps."""
        return _WORDS[self.bottleneck]

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in self.shares.items())
        what = "an epoch" if self.epochs is None else f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        unit, size = next(
            (u, s) for u, s in (("h", 3600.0), ("min", 60.0), ("s", 0.0)) if self.total >= 2 * s
        )
        total, error = ((v / size if size else v) for v in (self.total, self.error))
        return (
            f"{_milliseconds(self.step)} a step ({shares}) · {what} ≈ {_two(total)} {unit} ± {_error(error)}"
        )

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "text": str(self)}


def _milliseconds(seconds: float) -> str:
    return f"{_two(1e3 * seconds)} ms" if seconds < 1 else f"{_two(seconds)} s"


def _two(value: float) -> str:
    """Return a number in two digits.

    Example:
        >>> [_two(v) for v in (0.0123, 2.14, 55.3, 412.0)]
        ['0.012', '2.1', '55', '412']
    """
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _error(value: float) -> str:
    """Return the half of an interval in one digit, of tens in two."""
    return f"{value:.0f}" if value >= 1 else f"{value:.1g}"


def measured(
    problem: Problem,
    epochs: int | None,
    *,
    seconds: float = 3.0,
    callbacks: Sequence[Callback] = (),
    now: Callable[[], float] = perf_counter,
) -> Time:
    """Train for some steps, and return what all of them will take.

        total = Σ of the first steps, as measured + (steps · epochs − as many) · mean + epochs · evaluation

    The first steps are dearer, for a training is looked on while they are taken. The interval comes from how
    far means of neighbouring steps lie apart, and is a tenth at least: machines have other work.

    Arguments:
        problem: is trained by it: give a copy.
        epochs: to be run; None: not known.
        seconds: to measure for; `_LEAST` steps beyond the warm-up are taken in any case.
        callbacks: that the training will have, such as who looks on.
        now: the clock.

    Raises:
        ModelError: the training ended before a step was measured.
    """
    watched = _WATCHED if callbacks else 0
    clock = _Clock(seconds, _WARM_UP + _LEAST, watched, now)
    few = replace(problem, train=_Endless(problem.train), val=None, probe=None)
    started = now()
    state = fit(few, epochs=1, patience=None, restore_best=False, callbacks=[*callbacks, clock])
    around = now() - started - sum(clock.steps)
    if state.stop == "interrupted":
        raise KeyboardInterrupt
    taken = clock.steps
    if len(taken) <= _WARM_UP:
        raise ModelError(
            "no step could be measured",
            expected="a few training steps",
            received=f"{len(taken)}: {state.stop}",
        )
    steady = taken[watched:] if len(taken) >= watched + _LEAST else taken[_WARM_UP:]
    mean = statistics.fmean(steady)
    seen = state.clock.seconds
    whole = sum(seen[phase] for phase in PHASES) or 1.0
    shares = {phase: seen[phase] / whole for phase in PHASES}
    evaluation = _evaluation(problem, seconds, now)
    steps = max(1, -(-len(problem.train) // problem.grad_accumulation))
    count = steps * (epochs or 1)
    early = min(count, watched, len(taken))
    extra = sum(taken[:early]) - early * mean if watched else 0.0
    extra = max(0.0, extra) + (around + _judging(callbacks, state, epochs or 1, now) if watched else 0.0)
    total = count * mean + extra + (epochs or 1) * evaluation
    return Time(
        step=mean,
        shares=shares,
        bottleneck=max(shares, key=shares.__getitem__),
        steps=steps,
        epochs=epochs,
        evaluation=evaluation,
        total=total,
        error=total * max(_OURSELVES, _T * _spread(steady)),
        watched=extra,
        taken=len(taken),
    )


def _judging(callbacks: Sequence[Callback], state: State, epochs: int, now: Callable[[], float]) -> float:
    """Return the seconds of judging at the ends of epochs 1, 2, 4, …, by judging once more."""
    started = now()
    for callback in callbacks:
        callback.on_train_end(state)
    return (now() - started) * epochs.bit_length()


def _spread(steps: Sequence[float]) -> float:
    """Return the relative standard error of the mean, by means of neighbours."""
    size = len(steps) // _BLOCKS
    if size < 1:
        return 0.5
    means = [statistics.fmean(steps[i * size : (i + 1) * size]) for i in range(_BLOCKS)]
    return statistics.stdev(means) / max(statistics.fmean(means), 1e-12) / math.sqrt(_BLOCKS)


def _evaluation(problem: Problem, seconds: float, now: Callable[[], float]) -> float:
    """Return the seconds of measuring once; of long passes the first batches tell."""
    total = 0.0
    for batches in (problem.probe, problem.val):
        if batches is None:
            continue
        part = _First(batches, 1)
        evaluate(problem, part)  # pays for memory
        started = now()
        evaluate(problem, part)
        each = max(now() - started, 1e-9)
        count = max(1, min(len(batches), int(seconds / 2 / each)))
        before = batches.state_dict()
        started = now()
        evaluate(problem, _First(batches, count))
        total += (now() - started) * len(batches) / count
        batches.load_state_dict(before, again=False)
    return total


class _First:
    """The first batches of each pass."""

    def __init__(self, batches: Batches, count: int) -> None:
        self.batches, self.count = batches, count

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    def __len__(self) -> int:
        return min(self.count, len(self.batches))

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        for at, batch in enumerate(self.batches.epoch(skip), start=skip):
            yield batch
            if at + 1 >= self.count:
                return

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        self.batches.load_state_dict(state, again=again)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)


class _Endless(_First):
    """Passes one after the other, as one."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(batches, 1 << 30)

    def __len__(self) -> int:
        return 1 << 30

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        while True:
            yield from self.batches.epoch()


class _Clock(Callback):
    """Notes when steps end, and stops when enough of them were seen."""

    order = 200

    def __init__(self, seconds: float, least: int, watched: int, now: Callable[[], float]) -> None:
        self.seconds, self.least, self.watched, self.now = seconds, least, watched, now
        self.steps: list[float] = []
        self._started = self._last = now()

    def on_train_begin(self, state: State) -> None:
        """Begin to count."""
        self._started = self._last = self.now()

    def on_batch_end(self, state: State) -> None:
        """Note the step."""
        now = self.now()
        self.steps.append(now - self._last)
        self._last = now
        spent = now - self._started
        enough = len(self.steps) >= self.watched + 5 * _LEAST and spent > self.seconds / 2
        if (len(self.steps) >= self.least and spent > self.seconds) or enough:
            state.stop = "measured"
