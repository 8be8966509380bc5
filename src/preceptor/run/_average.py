"""`average="ema"`: an average of the weights over the steps, as what is measured and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from preceptor import catalogue
from preceptor.catalogue.averaging import SWA, WeightAverage
from preceptor.errors import ConfigError, did_you_mean
from preceptor.training.experiment import Experiment
from preceptor.training.listed import listed, parse_block

__all__ = ["averaged"]


def averaged(
    average: str | Mapping[str, Any] | None, chosen: Mapping[str, Any], base: Experiment | None
) -> dict[str, Any]:
    """Return the settings of a training that averages its weights: a regularizer more.

    An average over the last part of a training asks for all of it: unless a patience was chosen, none is
    left.

    Arguments:
        average: ``"polyak"``, ``"ema"``, ``"swa"``, with the first option ``"ema=0.99"``, or a dict.
        chosen: the settings so far.
        base: the experiment that they change.

    Raises:
        ConfigError: the name is that of something else.

    Example:
        >>> averaged("swa", {}, None)
        {'regularizers': [{'name': 'swa'}], 'training.patience': None}
    """
    if average is None:
        return {}
    block = parse_block(average) if isinstance(average, str) else dict(average)
    known = [e.factory for e in catalogue.find(str(block.get("name")), "averaging") if _averages(e.factory)]
    if not known:
        names = [e.name for e in catalogue.find(kind="averaging") if _averages(e.factory)]
        raise ConfigError(
            "weights cannot be averaged so",
            expected="polyak, ema or swa: " + ", ".join(names),
            received=repr(average),
            hint=did_you_mean(str(block.get("name")), ("polyak", "ema", "swa", *names))
            or "members=5 averages the predictions of several trainings",
        )
    before = chosen["regularizers"] if "regularizers" in chosen else list(base.regularizers) if base else []
    several = [b if isinstance(b, Mapping) else b.model_dump() for b in listed(before)]
    own: dict[str, Any] = {"regularizers": [*several, block]}
    if known[0] is SWA and "training.patience" not in chosen:
        own["training.patience"] = None
    return own


def _averages(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(factory, WeightAverage)
