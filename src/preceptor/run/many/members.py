"""`Members`: how many trainings make an ensemble, what they differ in, and how they are combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preceptor.catalogue.averaging import RULES
from preceptor.errors import ConfigError, nearest
from preceptor.training.experiment import Experiment, parse_assignments

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["COMBINING", "Members", "read_variation"]

COMBINING = ("auto", *RULES, "inverse-variance", "validation")
_BLOCKS = ("model", "loss", "optimizer", "schedule")
_SHORT = {"lr": "optimizer.lr", "weight_decay": "optimizer.weight_decay", "bag": "data.bag"}
_ALIKE = ("name", "task", "metrics", "data.", "training.device", "training.watch")  # what all must share
_OWN = ("data.bag", "data.bag_share")


@dataclass(frozen=True)
class Members:
    """How an ensemble is made.

    Members differ in their seed, which draws their first weights, the order of their examples and dropout,
    unless ``vary`` sets it; and in what else is asked for.

    Arguments:
        count: how many members.
        bag: each learns from a bag of its own: as many of the training examples, drawn with replacement.
        vary: settings by dotted key, each with the values that members take in turn, such as
            ``{"optimizer.name": ["adam", "sgd"], "model.hidden": [[64], [128]]}``.
        snapshots: one training under a cyclic learning rate, whose cycles' ends are the members.
        combine: what is averaged: ``"probabilities"``, ``"outputs"`` or ``"votes"``; ``"inverse-variance"``
            and ``"validation"`` weight the mean by what members do on the validation examples; ``"auto"`` is
            probabilities for classes, outputs for numbers.
        together: train all in one step, many at a time; they then have no checkpoints, and nobody looks on.
            None: the first alone, and the others together where they are many, small, and on data in memory.
        tell: hears of each member that is trained.

    Raises:
        ConfigError: there are no members, a setting that members must share, or an unknown way to combine.

    Example:
        >>> Members(3, bag=True, vary={"lr": [0.1, 0.01]}).changes(2, seed=7)
        {'seed': 9, 'data.bag': 9, 'optimizer.lr': 0.1}
    """

    count: int = 5
    bag: bool = False
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    snapshots: bool = False
    combine: str = "auto"
    together: bool | None = None
    tell: Callable[[Run], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise ConfigError(
                "the number of members is not usable", expected="an integer ≥ 1", received=f"{self.count!r}"
            )
        if self.combine not in COMBINING:
            close = nearest(str(self.combine), COMBINING)
            raise ConfigError(
                "members cannot be combined so",
                expected=", ".join(COMBINING),
                received=repr(self.combine),
                hint=f"did you mean {close[0]!r}?" if close else None,
            )
        if self.snapshots and (self.bag or self.vary):
            raise ConfigError(
                "snapshots are of one training, in which members do not differ by settings",
                expected="snapshots alone, or members of their own trainings",
                received="snapshots beside " + ("bag" if self.bag else ", ".join(self.vary)),
            )
        object.__setattr__(self, "vary", {_full(key): _several(key, v) for key, v in self.vary.items()})

    def changes(self, index: int, seed: int) -> dict[str, Any]:
        """Return the settings of one member, counted from 0, that differ from those of the ensemble."""
        own: dict[str, Any] = {"seed": (seed + index) % 2**32}
        if self.bag:
            own["data.bag"] = own["seed"]
        return own | {key: values[index % len(values)] for key, values in self.vary.items()}

    def experiment(self, base: Experiment, index: int) -> Experiment:
        """Return the settings of one member, counted from 0.

        Raises:
            ConfigError: a setting that there is not, or an unusable value.
        """
        return base.changed(self.changes(index, base.seed))

    def to_plain(self) -> dict[str, Any]:
        """Return it as a manifest holds it."""
        return {name: value for name, value in vars(self).items() if name != "tell"}


def _full(key: str) -> str:
    full = _SHORT.get(key, f"{key}.name" if key in _BLOCKS else key)
    if full not in _OWN and full.startswith(_ALIKE):
        raise ConfigError(
            f"members of one ensemble share {key}",
            expected="what they may differ in: seed, data.bag, or settings of model, loss, optimizer, "
            "schedule, regularizers, augmentations, training",
            received=key,
        )
    return full


def _several(key: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not len(values):
        raise ConfigError(
            f"{key} has no values to vary over",
            expected=f"a list: {{'{key}': [1, 2]}}",
            received=repr(values),
        )
    return list(values)


def read_variation(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Parse ``KEY=A|B|C``, each value TOML where it can be, text otherwise.

    Raises:
        ConfigError: there is no key or no value.

    Example:
        >>> read_variation(["optimizer=adam|sgd", "model.hidden=[64]|[128, 64]"])
        {'optimizer': ['adam', 'sgd'], 'model.hidden': [[64], [128, 64]]}
    """
    varied: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise ConfigError("nothing to vary over", expected="KEY=A|B|C", received=text)
        varied[key.strip()] = [parse_assignments([f"v={value}"])["v"] for value in values.split("|")]
    return varied
