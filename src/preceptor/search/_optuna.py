"""Optuna's samplers, and its storage, from which several machines may draw their trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.errors import UnknownName, import_extra
from preceptor.search.journal import Trial
from preceptor.search.methods import Proposal
from preceptor.search.space import Dimension, Point, Space

__all__ = ["SAMPLERS", "OptunaMethod"]

SAMPLERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}
"""Optuna's samplers by the name behind ``optuna:``."""


@dataclass
class OptunaMethod:
    """Points proposed by one of Optuna's samplers.

    Without a storage each proposal comes from a fresh study of all trials before it, its sampler seeded
    with (seed, k), so that a search that is begun again proposes the same. With one, Optuna keeps the
    trials, and all searches that name the same study share them.

    Attributes:
        space: what is searched.
        sampler: a name of `SAMPLERS`.
        trials: how many; None: no limit.
        seed: of the sampler.
        storage: the address of a database, such as ``"sqlite:///trials.db"``.
        study: the study's name in it.
    """

    space: Space
    sampler: str = "tpe"
    trials: int | None = None
    seed: tuple[int, ...] = (0,)
    storage: str | None = None
    study: str = "preceptor"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UnknownName("sampler", self.sampler, SAMPLERS)

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | None:
        """Ask for the next point."""
        study = self._study(trials, mode)
        begun = len(trials) if self.storage is None else len(study.get_trials(deepcopy=False))
        if self.trials is not None and begun >= self.trials:
            return None
        asked = study.ask(fixed_distributions=self._distributions())
        return Proposal(self._point(asked.params), token=str(asked.number) if self.storage else "")

    def tell(self, trial: Trial) -> None:
        """Tell a storage what came of a trial."""
        if self.storage is None or not trial.token or trial.result is None:
            return
        study = self._optuna().load_study(study_name=self.study, storage=self.storage)
        number, finished = int(trial.token), {"skip_if_finished": True}
        if trial.value is None:
            study.tell(number, state=self._optuna().trial.TrialState.FAIL, **finished)
        else:
            study.tell(number, trial.value, **finished)

    def _optuna(self) -> Any:
        optuna = import_extra("optuna", extra="search", purpose=f"the method optuna:{self.sampler}")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna

    def _study(self, trials: Sequence[Trial], mode: str) -> Any:
        optuna = self._optuna()
        seed = None  # with a storage: searches that share it must not all propose the same
        if self.storage is None:
            seed = int(np.random.default_rng([*self.seed, len(trials)]).integers(2**31))
        study = optuna.create_study(
            study_name=self.study,
            storage=self.storage,
            load_if_exists=self.storage is not None,
            sampler=getattr(optuna.samplers, SAMPLERS[self.sampler])(seed=seed),
            direction="minimize" if mode == "min" else "maximize",
        )
        known = self._distributions()
        for trial in trials if self.storage is None else ():
            if trial.value is not None:
                params = {d.key: self._param(d, trial.settings[d.key]) for d in self.space}
                study.add_trial(
                    optuna.trial.create_trial(params=params, distributions=known, value=trial.value)
                )
        return study

    def _distributions(self) -> dict[str, Any]:
        kinds = self._optuna().distributions
        made = {}
        for d in self.space:
            if d.values:  # by their places: Optuna keeps numbers and text alone
                made[d.key] = kinds.CategoricalDistribution(tuple(range(len(d.values))))
            elif d.whole:
                made[d.key] = kinds.IntDistribution(int(d.low), int(d.high), log=d.log)
            else:
                made[d.key] = kinds.FloatDistribution(d.low, d.high, log=d.log)
        return made

    def _point(self, params: dict[str, Any]) -> Point:
        return {d.key: d.values[params[d.key]] if d.values else params[d.key] for d in self.space}

    @staticmethod
    def _param(dimension: Dimension, value: Any) -> Any:
        if not dimension.values:
            return value
        return int(dimension.place(value) * len(dimension.values))
