"""`lr_test`: which learning rate suits a network and its data, by many short trainings at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from preceptor.run.many.population import asked_of_members
from preceptor.training.experiment import Experiment
from preceptor.training.population import Engine
from preceptor.training.population.drop_test import DECAYS, RATES, DropTest, find_drop
from preceptor.training.population.rate_test import RateTest, find_rate

__all__ = ["DropTest", "RateTest", "drop_test", "lr_test"]


def lr_test(
    model: Any = None,
    data: Any = None,
    *,
    rates: Sequence[float] | None = None,
    seeds: int = 4,
    iterations: int | None = None,
    engine: Engine = "auto",
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    experiment: Experiment | None = None,
    tell: Callable[[str], None] | None = None,
) -> RateTest:
    """Find the learning rate: short trainings at many rates, with several seeds each, all at once.

    The result is a rate within a band of rates that do about as well, or the reason why none is named.
    Networks given in code keep the weights that they have.

    Arguments:
        model: as in `preceptor.train`.
        data: as in `preceptor.train`.
        rates: to be tried; default: found in two passes, between 1e-5 and 10.
        seeds: trainings at each rate.
        iterations: optimizer steps of each; default: those of the whole training, at most 500.
        engine: as in `preceptor.train_population`.
        loss: as in `preceptor.train`.
        optimizer: whose rate; default: Adam's.
        batch_size: examples a batch.
        settings: further settings by dotted key.
        experiment: settings to start from.
        tell: hears what is being done.

    Raises:
        PreceptorError: something does not fit.

    Example:
        >>> found = lr_test("mlp", "iris", seeds=2, iterations=60)
        >>> found.band[0] <= found.lr <= found.band[1]
        True
    """
    base, objects = asked_of_members(
        model,
        data,
        {"loss": loss, "optimizer": optimizer},
        {"batch_size": batch_size},
        settings,
        experiment,
    )
    return find_rate(
        base,
        data=data,
        objects=objects,
        rates=rates,
        seeds=seeds,
        iterations=iterations,
        engine=engine,
        tell=tell,
    )


def drop_test(
    model: Any = None,
    data: Any = None,
    *,
    rates: Sequence[float] = RATES,
    decays: Sequence[float] = DECAYS,
    iterations: int = 100,
    seeds: int = 3,
    engine: Engine = "auto",
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    experiment: Experiment | None = None,
    tell: Callable[[str], None] | None = None,
) -> DropTest:
    """Try learning rates and weight decays for a hundred iterations, within which the loss should drop.

    Arguments:
        model: as in `preceptor.train`; a module given in code keeps the weights that it has.
        data: as in `preceptor.train`.
        rates: 1e-1, 1e-2, 1e-3 and 1e-4.
        decays: weight decays: 1e-4, 1e-5 and 0.
        iterations: optimizer steps of each training.
        seeds: trainings of each pair.
        engine: as in `preceptor.train_population`.
        loss: as in `preceptor.train`.
        optimizer: a name, or what makes one.
        batch_size: examples a batch.
        settings: further settings by dotted key.
        experiment: settings to start from.
        tell: hears what is being done.

    Raises:
        PreceptorError: something does not fit.

    Example:
        >>> found = drop_test("mlp", "iris", seeds=1)
        >>> len(found.tried), found.chosen.lr >= 1e-2
        (12, True)
    """
    base, objects = asked_of_members(
        model,
        data,
        {"loss": loss, "optimizer": optimizer},
        {"batch_size": batch_size},
        settings,
        experiment,
    )
    return find_drop(
        base,
        data=data,
        objects=objects,
        rates=rates,
        decays=decays,
        iterations=iterations,
        seeds=seeds,
        engine=engine,
        tell=tell,
    )
