"""The learning-rate test: short trainings at many rates with several seeds each, all at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.errors import ConfigError
from preceptor.training.experiment import Experiment
from preceptor.training.objects import Objects
from preceptor.training.population.members import Engine
from preceptor.training.population.rate_choice import Array, RateChoice, choose_rate
from preceptor.training.population.short_runs import Passes, Tell

__all__ = ["RateTest", "check_sizes", "find_rate"]

_LOWEST, _HIGHEST, _COARSE, _FINE = -5.0, 1.0, 3, 6  # powers of ten, and rates to a decade in either pass
_SHORT = 5  # the first pass has a fifth of the iterations, and two seeds
_LEAST = 50  # iterations of the first pass
_EXTENSIONS = 3


@dataclass(frozen=True, eq=False)
class RateTest:
    """What a learning-rate test found.

    Attributes:
        choice: the rate with its band, or why none is named.
        rates: that were tried at full length, ascending, (R,).
        losses: the best loss of each training, (R, S); not finite where it diverged.
        start: the loss before training.
        monitor: which loss: ``val_loss``, or ``train_loss`` where nothing is held out.
        iterations: optimizer steps of each training.
        short: rates and mean losses of the first, shorter pass.
        engine: how they were trained, and ``why``.
        seconds: that all of it took, shared out.
    """

    choice: RateChoice
    rates: tuple[float, ...]
    losses: Array
    start: float
    monitor: str
    iterations: int
    short: tuple[tuple[float, ...], tuple[float, ...]]
    engine: str
    why: str
    seconds: float

    @property
    def lr(self) -> float | None:
        """The rate; None where it is unclear."""
        return self.choice.lr

    @property
    def band(self) -> tuple[float, float] | None:
        """The lowest and the highest rate that do about as well; None where nothing was found."""
        if self.choice.low is None or self.choice.high is None:
            return None
        return self.choice.low, self.choice.high

    def table(self) -> list[tuple[str, ...]]:
        """Return a row a rate: its losses over the seeds, and what it is."""
        rows: list[tuple[str, ...]] = []
        for rate, own in zip(self.rates, self.losses, strict=True):
            good = own[np.isfinite(own)]
            spread = f"{good.min():.4g} … {good.max():.4g}" if len(good) else "–"
            mean = f"{good.mean():.4g}" if len(good) == len(own) else "–"
            rows.append((f"{rate:.2e}", mean, spread, self._word(rate, len(own) - len(good))))
        return rows

    def _word(self, rate: float, diverged: int) -> str:
        if diverged:
            return f"diverges with {diverged} of {self.losses.shape[1]} seeds"
        inside = self.band is not None and self.band[0] <= rate <= self.band[1]
        return "in the band" if inside else ""

    def inspection(self) -> Inspection:
        """Return it with its picture: the mean loss over the rates, the best and the worst seed."""
        with np.errstate(invalid="ignore"):
            series = {
                "mean": self.losses.mean(1),
                "best seed": self.losses.min(1),
                "worst seed": self.losses.max(1),
            }
        marks = dict(zip(("band", "its end"), self.band or (), strict=False))
        marks |= {} if self.lr is None else {f"{self.lr:.2g}": self.lr}
        picture = Picture(
            "lines", {k: np.where(np.isfinite(v), v, np.nan) for k, v in series.items()}, x=self.rates,
            title="Learning-rate test", x_label="learning rate", y_label=self.monitor, log="x", marks=marks,
        )  # fmt: skip
        data = {"lr": self.lr, "band": self.band, "rates": self.rates, "losses": self.losses}
        return Inspection("Learning-rate test", str(self), data, (picture,))

    def __str__(self) -> str:
        """Say what was found, in a sentence."""
        if self.lr is None:
            return f"no learning rate is named: {self.choice.reason}"
        assert self.band is not None  # noqa: S101 - a rate has one
        low, high = self.band
        return f"lr {self.lr:.2g}, in the band {low:.2g} … {high:.2g}"


def find_rate(
    experiment: Experiment,
    *,
    data: Any = None,
    objects: Objects | None = None,
    rates: Sequence[float] | None = None,
    seeds: int = 4,
    iterations: int | None = None,
    engine: Engine = "auto",
    tell: Tell | None = None,
) -> RateTest:
    """Train at many learning rates with several seeds each, and choose a rate with a band, or say why not.

    A first pass of a fifth of the length, from 1e-5 to 10, finds the region; a second one, six rates to a
    decade within ten times of the first one's best, is trained at full length. It is extended where the best
    lies at its end. What is compared is the best validation loss that each training came to.

    Arguments:
        experiment: everything but the rate; ``training.epochs`` only bounds the length.
        data: whatever `preceptor.train` takes; default: the experiment's source.
        objects: blocks made in code; a module is copied, its own weights are left alone.
        rates: in place of the two passes.
        seeds: trainings at each rate; they count from the experiment's seed.
        iterations: optimizer steps of each; default: those of the whole training, at most 500.
        engine: as in `train_members`.
        tell: hears what is being done.

    Raises:
        ConfigError: rates, seeds or iterations that are not usable, or an optimizer without a rate.
    """
    check_sizes(rates, seeds, iterations)
    pass_ = Passes(experiment, data, objects, engine, tell or _silent)
    length = pass_.length(iterations)
    short: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    if rates is None:
        coarse = _grid(_LOWEST, _HIGHEST, _COARSE)
        steps = max(min(_LEAST, length), length // _SHORT)
        losses = pass_.losses(coarse, min(2, seeds), steps)
        first = choose_rate(coarse, losses, pass_.start)
        with np.errstate(invalid="ignore"):
            short = coarse, tuple(losses.mean(1).tolist())
        centre = math.log10(first.lr) if first.lr else _centre(coarse, losses)
        rates = _grid(centre - 1, centre + 1, _FINE)
    tried = tuple(sorted(float(rate) for rate in rates))
    losses = pass_.losses(tried, seeds, length)
    choice = choose_rate(tried, losses, pass_.start)
    for _ in range(_EXTENSIONS if short[0] else 0):
        if not choice.edge:
            break
        end = math.log10(tried[0] if choice.edge < 0 else tried[-1])
        step = choice.edge / _FINE
        low, high = sorted((end + step, end + choice.edge))
        more = _grid(low, high, _FINE)
        tried, losses = _merged(tried, losses, more, pass_.losses(more, seeds, length))
        choice = choose_rate(tried, losses, pass_.start)
    last = pass_.members[-1]
    return RateTest(
        choice=_final(choice, tried, bool(short[0])),
        rates=tried,
        losses=losses,
        start=pass_.start,
        monitor=pass_.monitor,
        iterations=length,
        short=short,
        engine=last.engine,
        why=last.why,
        seconds=sum(member.seconds for member in pass_.members),
    )


def _final(choice: RateChoice, tried: Sequence[float], searched: bool) -> RateChoice:
    if choice.lr is None or not choice.edge:
        return choice
    where = "lowest" if choice.edge < 0 else "highest"
    hint = "" if searched else "; try rates beyond it"
    reason = f"the best is the {where} rate that was tried, {tried[0 if choice.edge < 0 else -1]:.1e}{hint}"
    return RateChoice(None, choice.low, choice.high, reason, choice.edge)


def _grid(low: float, high: float, per_decade: int) -> tuple[float, ...]:
    count = round((high - low) * per_decade) + 1
    return tuple(float(10**x) for x in np.linspace(low, high, count))


def _centre(rates: Sequence[float], losses: Array) -> float:
    """Return log10 of the rate with the lowest mean loss, or of the lowest rate where all diverge."""
    with np.errstate(invalid="ignore"):
        means = losses.mean(1)
    finite = np.isfinite(means)
    return math.log10(rates[int(np.where(finite, means, np.inf).argmin())] if finite.any() else rates[0])


def _merged(
    rates: Sequence[float], losses: Array, more: Sequence[float], others: Array
) -> tuple[tuple[float, ...], Array]:
    every, values = np.array([*rates, *more]), np.concatenate([losses, others])
    order = every.argsort()
    return tuple(every[order].tolist()), values[order]


def check_sizes(
    rates: Sequence[float] | None, seeds: int, iterations: int | None, *, fewest: int = 3
) -> None:
    """Check what a test is asked for.

    Raises:
        ConfigError: too few rates, rates that are not above 0, or counts below 1.
    """
    if rates is not None and (len(set(rates)) < fewest or not all(0 < rate < math.inf for rate in rates)):
        raise ConfigError(
            "rates are not usable",
            expected=f"at least {fewest}, all above 0",
            received=f"{list(rates)!r:.80}",
        )
    for name, value in (("seeds", seeds), ("iterations", iterations)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ConfigError(f"{name} is not usable", expected="an integer ≥ 1", received=repr(value))


def _silent(text: str) -> None:
    pass
