"""What a search sets out to do, as data to be written, read and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from preceptor.errors import CheckpointError, ConfigError, did_you_mean
from preceptor.search._optuna import SAMPLERS, OptunaMethod
from preceptor.search.budget import Budget
from preceptor.search.methods import Grid, Halving, Method, RandomSearch
from preceptor.search.space import Space
from preceptor.untrusted import understood

__all__ = ["METHODS", "Plan", "Stage"]

METHODS = ("random", "grid", "halving", *(f"optuna:{name}" for name in SAMPLERS), "manual")
"""How trials may be chosen."""

_DEFAULT_TRIALS = {"grid": None, "halving": 27}
_FEW = 20
_LEFT = 0.8  # of time or steps go to new trials where the best are then repeated


@dataclass(frozen=True)
class Stage:
    """A part of a search.

    Attributes:
        name: as the journal has it.
        space: what it searches; all else stays as the stages before it left it.
        method: what proposes its trials.
        until: the share of time and steps at which it ends.
    """

    name: str
    space: Space
    method: Method
    until: float


@dataclass(frozen=True)
class Plan:
    """A search, before its first trial.

    Attributes:
        name: of the search.
        space: values by key, as text.
        method: one of `METHODS`.
        objective: the history key that decides, measured on validation.
        mode: "min" or "max".
        budget: what it may take.
        stages: the keys of each stage, in order.
        seed: of the proposals.
        finalists: how many of the best are trained again.
        repeats: with how many new seeds.
        eta: of successive halving.
        storage: of Optuna, where there is one.
        examples: how many validation examples decide; 0: not known.
        chosen: the settings that every trial has.
        decided: all settings, with everything decided.
    """

    name: str
    space: Mapping[str, str]
    method: str = "random"
    objective: str = "val_loss"
    mode: str = "min"
    budget: Budget = field(default_factory=Budget)
    stages: Sequence[Sequence[str]] = ()
    seed: int = 0
    finalists: int = 3
    repeats: int = 3
    eta: int = 3
    storage: str | None = None
    examples: int = 0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    decided: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(
                "there is no such method",
                expected=", ".join(METHODS),
                received=self.method,
                hint=did_you_mean(self.method, METHODS),
            )
        for name, least in (("finalists", 1), ("repeats", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is not usable", expected=f"{least} or more", received=str(getattr(self, name))
                )
        if not self.space and self.method != "manual":
            raise ConfigError(
                "there is nothing to search",
                expected="--space KEY=VALUES",
                received="no space",
                hint="--space lr=log:1e-4..1e-1; without one, --note begins a journal of trials by hand",
            )
        if self.storage is not None and not self.method.startswith("optuna:"):
            raise ConfigError(
                "a storage belongs to Optuna", expected="--method optuna:tpe", received=self.method
            )

    @property
    def whole(self) -> Space:
        """Everything that is searched."""
        return Space.parse(self.space)

    @property
    def limit(self) -> int | None:
        """How many trials there are at most, repetitions aside; None where time or steps decide."""
        if self.budget.trials is not None:
            return self.budget.trials
        if self.method in _DEFAULT_TRIALS:
            return _DEFAULT_TRIALS[self.method]
        return None if self.budget.seconds or self.budget.steps else _FEW

    def parts(self) -> list[Stage]:
        """Return the stages with their methods; trials and time go to them by their number of dimensions."""
        if self.method == "manual":
            return []
        space = self.whole
        keys = [list(part) for part in self.stages] or [list(space.keys)]
        made, until = [], 0.0
        for i, part in enumerate(keys):
            share = len(part) / len(space)
            until += share * (_LEFT if self.repeats and self.finalists > 1 else 1.0)
            limit = None if self.limit is None else max(1, round(self.limit * share))
            name = self.method if len(keys) == 1 else f"stage {i + 1}"
            only = space.only(part)
            made.append(Stage(name, only, self._method(only, limit, i), until))
        return made

    def _method(self, space: Space, limit: int | None, stage: int) -> Method:
        seed = (self.seed, stage)
        if self.method == "grid":
            return Grid(space, limit, seed)
        if self.method == "halving":
            epochs = int(self.decided["training.epochs"])
            return Halving(space, limit or _FEW, epochs, eta=self.eta, seed=seed)
        if self.method.startswith("optuna:"):
            sampler = self.method.partition(":")[2]
            study = self.name if len(self.stages) < 2 else f"{self.name}, stage {stage + 1}"
            return OptunaMethod(space, sampler, limit, seed, self.storage, study)
        return RandomSearch(space, limit, seed)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """Return what `to_plain` was given.

        Raises:
            CheckpointError: it is none.
        """
        with understood("the search's plan", "search.json as a search writes it", CheckpointError):
            return cls(**{**plain, "budget": Budget(**plain["budget"])})

    def going_on(self, other: Plan) -> Plan:
        """Return this plan with the budget of another one, which must be the same otherwise.

        Raises:
            ConfigError: it is another search.
        """
        before, after = self.to_plain(), other.to_plain()
        for key in ("budget", "decided"):
            before.pop(key), after.pop(key)
        differing = [key for key in before if _plain(before[key]) != _plain(after[key])]
        free = self.method == "random" or self.method.startswith("optuna:")
        if not free and other.budget.trials not in (None, self.budget.trials):
            differing.append("trials")
        if differing:
            raise ConfigError(
                "the folder holds another search",
                expected="; ".join(f"{key} = {getattr(self, key, self.budget.trials)}" for key in differing),
                received="; ".join(
                    f"{key} = {getattr(other, key, other.budget.trials)}" for key in differing
                ),
                hint="another --out begins a new one; only the budget may change in one that goes on",
            )
        return replace(self, budget=other.budget)


def _plain(value: Any) -> Any:
    """Return a value as it is after it was written and read."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
