"""A change: one edit of a training, by name, with the value before and after."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from preceptor.errors import ConfigError, UnknownName

__all__ = ["KINDS", "USUAL_RATES", "Action", "Change", "Kind", "kind_of"]

Action = Literal["set", "replace", "insert", "remove"]

_SETTING = re.compile(r"[a-z_]+(?:\.\w+)+")


@dataclass(frozen=True)
class Kind:
    """What can be edited.

    Arguments:
        action: "set" a number, "replace" a block by another one, "insert" or "remove" a call.
        text: what is done, in words; {before} and {after} are filled in.
        setting: the key of an experiment that holds the value, "" where our own training has no such fault.
    """

    action: Action
    text: str
    setting: str = ""


KINDS: Mapping[str, Kind] = {
    # numbers
    "lr": Kind("set", "lr {before} → {after}", "optimizer.lr"),
    "momentum": Kind("set", "momentum {before} → {after}", "optimizer.momentum"),
    "weight_decay": Kind("set", "weight_decay {before} → {after}", "optimizer.weight_decay"),
    "max_grad_norm": Kind("set", "max_grad_norm {before} → {after}", "training.max_grad_norm"),
    "batch_size": Kind("set", "batch_size {before} → {after}", "training.batch_size"),
    "epochs": Kind("set", "length of training {before} → {after}", "training.epochs"),
    "dropout": Kind("set", "dropout {before} → {after}", "model.dropout"),
    "axis": Kind("set", "softmax over axis {before} → {after}"),
    "hidden": Kind("set", "hidden units {before} → {after}", "model.hidden"),
    "patience": Kind("set", "patience {before} → {after}", "training.patience"),
    # blocks
    "optimizer": Kind("replace", "optimizer {before} → {after}", "optimizer"),
    "schedule": Kind("replace", "schedule {before} → {after}", "schedule"),
    "activation": Kind("replace", "activation {before} → {after}", "model.activation"),
    "output": Kind("replace", "output unit {before} → {after}"),
    "loss": Kind("replace", "loss {before} → {after}", "loss"),
    "init": Kind("replace", "initialisation {before} → {after}", "model.init"),
    "reduction": Kind("replace", "reduction of the loss {before} → {after}"),
    "sign": Kind("replace", "minimise {after} in place of {before}"),
    "scaling": Kind("replace", "scaling of inputs {before} → {after}", "data.scale"),
    "precision": Kind("replace", "precision {before} → {after}", "training.precision"),
    # calls
    "zero_grad": Kind("insert", "zero_grad() before each backward pass"),
    "backward": Kind("insert", "backward() and step() in each step"),
    "standardize_inputs": Kind("insert", "inputs standardised, feature by feature"),
    "standardize_targets": Kind("insert", "targets standardised"),
    "nonlinearity": Kind("insert", "{after} between layers that were linear after one another"),
    "shuffle": Kind("insert", "examples drawn in random order"),
    "flatten_prediction": Kind("insert", "prediction and target brought to one shape before the loss"),
    "trainable": Kind("insert", "requires_grad for the parameters that were frozen"),
    "optimized": Kind("insert", "the missing parameters given to the optimizer"),
    "train_mode": Kind("insert", "train() before the training steps"),
    "finite_data": Kind("insert", "examples with values that are not finite left out"),
    "eps": Kind("insert", "logarithms, roots and quotients kept away from zero by {after}"),
    "softmax": Kind("remove", "{before} before the loss left out"),
    "detach": Kind("remove", "{before} between parameters and loss left out"),
    "clipping": Kind("remove", "clipping at {before} left out"),
    "batch_norm": Kind("remove", "batch normalisation left out"),
}
"""Every edit that can be named, by id."""


def kind_of(name: str) -> Kind:
    """Return what an id stands for: one of `KINDS`, or any setting of an experiment by its dotted key.

    Raises:
        UnknownName: neither.

    Example:
        >>> kind_of("lr").setting, kind_of("optimizer.beta2").setting
        ('optimizer.lr', 'optimizer.beta2')
    """
    if name in KINDS:
        return KINDS[name]
    if not _SETTING.fullmatch(name):
        raise UnknownName("change", name, KINDS)
    return Kind("set", f"{name} {{before}} → {{after}}", name)


USUAL_RATES: Mapping[str, Mapping[str, float]] = {
    "SGD": {"lr": 1e-2, "momentum": 0.9},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3},
}
"""Optimizers that can take the place of others, with what they begin with: the old rate says nothing."""


@dataclass(frozen=True)
class Change:
    """One edit of a training.

    Arguments:
        kind: an id in `KINDS`, or the dotted key of a setting.
        before: the value that was there; None where there was none.
        after: the value in its place; None where something is removed.

    Raises:
        UnknownName: there is no such kind.
        ConfigError: a value that JSON cannot hold.

    Example:
        >>> change = Change("lr", 0.5, 0.005)
        >>> str(change), change.action
        ('lr 0.5 → 0.005', 'set')
        >>> Change.from_plain(change.to_plain()) == change
        True
    """

    kind: str
    before: Any = None
    after: Any = None

    def __post_init__(self) -> None:
        kind_of(self.kind)
        for value in (self.before, self.after):
            if not _is_plain(value):
                raise ConfigError(
                    "a change holds plain values",
                    expected="a number, text, or a list of them",
                    received=f"{type(value).__name__} for {self.kind}",
                )

    @property
    def action(self) -> Action:
        """What is done: "set", "replace", "insert" or "remove"."""
        return kind_of(self.kind).action

    @property
    def setting(self) -> str:
        """The key of an experiment that holds the value; "" where there is none."""
        return kind_of(self.kind).setting

    def __str__(self) -> str:
        return kind_of(self.kind).text.format(before=_shown(self.before), after=_shown(self.after))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"kind": self.kind, "action": self.action, "before": self.before, "after": self.after}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Change:
        """Return what `to_plain` was given.

        Raises:
            UnknownName, ConfigError: it is none.
        """
        if not isinstance(data.get("kind"), str):
            raise ConfigError("a change has a kind", expected=", ".join(KINDS), received=repr(data))
        return cls(data["kind"], _listed(data.get("before")), _listed(data.get("after")))


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return "-".join(_shown(item) for item in value)
    return str(value)
