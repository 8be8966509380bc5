"""Optuna and Ray; where they are not installed, stand-ins that keep to what is used of them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from preceptor.errors import ConfigError, ExtraMissing, UnknownName
from preceptor.search import tune
from preceptor.search._optuna import OptunaMethod
from preceptor.search._work import Given
from preceptor.search.executors import executor_for
from preceptor.search.journal import Result, Trial
from preceptor.search.space import Space

SPACE = Space.parse(["lr=log:1e-3..1", "hidden=[8]|[16]|[32]", "patience=2..9"])


class Study:
    """What is used of Optuna's study: ask, tell, add_trial, get_trials."""

    def __init__(self, sampler: Any, direction: str) -> None:
        self.sampler, self.direction, self.trials = sampler, direction, []

    def ask(self, fixed_distributions: dict[str, Any]) -> Any:
        draw = np.random.default_rng(
            None if self.sampler.seed is None else [self.sampler.seed, len(self.trials)]
        )
        params = {key: kind.draw(draw) for key, kind in fixed_distributions.items()}
        asked = SimpleNamespace(number=len(self.trials), params=params, value=None, state="RUNNING")
        self.trials.append(asked)
        return asked

    def tell(
        self, number: int, value: float | None = None, state: Any = None, skip_if_finished: bool = False
    ) -> None:
        self.trials[number].value, self.trials[number].state = value, state or "COMPLETE"

    def add_trial(self, trial: Any) -> None:
        self.trials.append(trial)

    def get_trials(self, deepcopy: bool = True) -> list[Any]:
        return self.trials


class Float:
    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self.log = low, high, log

    def draw(self, generator: np.random.Generator) -> Any:
        return float(np.exp(generator.uniform(np.log(self.low), np.log(self.high))))


class Int(Float):
    def draw(self, generator: np.random.Generator) -> Any:
        return int(generator.integers(int(self.low), int(self.high) + 1))


class Categorical:
    def __init__(self, choices: tuple[Any, ...]) -> None:
        assert all(isinstance(choice, (bool, int, float, str)) for choice in choices)
        self.choices = choices

    def draw(self, generator: np.random.Generator) -> Any:
        return self.choices[generator.integers(len(self.choices))]


class Sampler:
    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> dict[str, Study]:
    """Optuna, as it is used here, with a database that is a dict."""
    stored: dict[str, Study] = {}

    def create(
        *, study_name: str, storage: str | None, load_if_exists: bool, sampler: Any, direction: str
    ) -> Study:
        if storage is None or study_name not in stored:
            stored[study_name] = Study(sampler, direction)
        return stored[study_name]

    def finished(*, params: Any, distributions: Any, value: float) -> Any:
        assert set(params) == set(distributions)
        return SimpleNamespace(params=params, value=value, state="COMPLETE")

    fake = SimpleNamespace(
        create_study=create,
        load_study=lambda *, study_name, storage: stored[study_name],
        samplers=SimpleNamespace(TPESampler=Sampler, CmaEsSampler=Sampler),
        distributions=SimpleNamespace(
            FloatDistribution=Float, IntDistribution=Int, CategoricalDistribution=Categorical
        ),
        trial=SimpleNamespace(create_trial=finished, TrialState=SimpleNamespace(FAIL="FAIL")),
        logging=SimpleNamespace(set_verbosity=lambda level: None, WARNING=30),
    )
    monkeypatch.setitem(sys.modules, "optuna", fake)  # type: ignore[arg-type]
    return stored


def test_a_sampler_is_asked_with_all_that_is_known(studies: dict[str, Study]) -> None:
    method = OptunaMethod(SPACE, "tpe", trials=4, seed=(7,))
    trials: list[Trial] = []
    while (move := method.next(trials, "max")) is not None:
        assert set(move.settings) == set(SPACE.keys)
        assert move.settings["model.hidden"] in ((8,), (16,), (32,))
        assert [one.value for one in studies["preceptor"].trials[:-1]] == [0.0, 1.0, 2.0][: len(trials)]
        trials.append(Trial(len(trials), "", move.settings, results=[Result(float(len(trials)))]))
    assert len(trials) == 4
    assert studies["preceptor"].direction == "maximize"
    again = OptunaMethod(SPACE, "tpe", trials=4, seed=(7,)).next(trials[:2], "max")
    assert again is not None
    assert again.settings == trials[2].settings


def test_a_storage_is_shared(studies: dict[str, Study], tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "space": {"lr": "log:1e-3..1"}, "method": "optuna:tpe", "storage": "sqlite:///t.db", "trials": 4,
        "epochs": 1, "repeats": 0, "name": "iris",
    }  # fmt: skip
    first = tune("linear", "iris", out=tmp_path / "a", **{**common, "trials": 2})
    second = tune("linear", "iris", out=tmp_path / "b", **common)
    assert (len(first.trials), len(second.trials)) == (2, 2)  # four in all
    values = [trial.value for trial in [*first.trials, *second.trials]]
    assert [one.value for one in studies["iris"].trials] == values
    assert {one.state for one in studies["iris"].trials} == {"COMPLETE"}


def test_a_failed_trial_is_told_as_failed(studies: dict[str, Study]) -> None:
    method = OptunaMethod(SPACE, "tpe", trials=2, storage="sqlite:///t.db")
    move = method.next([], "min")
    assert move is not None
    method.tell(Trial(0, "", move.settings, token=move.token, results=[Result(None, status="failed")]))
    assert studies["preceptor"].trials[0].state == "FAIL"


def test_names_and_extras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="tpe"):
        OptunaMethod(SPACE, "tpee")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ExtraMissing, match=r"preceptor\[search\]"):
        OptunaMethod(SPACE).next([], "min")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"preceptor\[ray\]"):
        executor_for("ray://head:10001", 2, Given())
    with pytest.raises(ConfigError, match="no such place"):
        executor_for("cluster", 1, Given())
    with pytest.raises(ConfigError, match="workers"):
        executor_for("local", 0, Given())
    with pytest.raises(ConfigError, match="belongs to Optuna"):
        tune("linear", "iris", space={"lr": "0.1..1"}, storage="sqlite:///t.db", out=tmp_path / "s")
    with pytest.raises(ConfigError, match="no such method"):
        tune("linear", "iris", space={"lr": "0.1..1"}, method="simulated-annealing", out=tmp_path / "s")


def test_optuna_itself(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    common: dict[str, Any] = {
        "space": {"lr": "log:1e-3..1"},
        "method": "optuna:tpe",
        "epochs": 1,
        "repeats": 0,
    }
    whole = tune("linear", "iris", out=tmp_path / "a", trials=4, **common)
    part = tune("linear", "iris", out=tmp_path / "b", trials=2, **common)
    part.extend(trials=4)
    assert [t.settings for t in part.run().trials] == [t.settings for t in whole.trials]
    storage = f"sqlite:///{tmp_path / 't.db'}"
    for name in "cd":
        tune("linear", "iris", out=tmp_path / name, trials=2, storage=storage, name="x", **common)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ray, as it is used here: what is sent is done when it is asked for; the second one is lost."""
    log: list[str] = []

    class RayError(Exception):
        pass

    def get(task: list[Any]) -> str:
        if log.count("got") == 1 and "lost" not in log:
            log.append("lost")
            raise RayError("the worker died\nand more")
        log.append("got")
        return str(task[0](task[1]))

    def wait(tasks: list[Any], *, num_returns: int) -> tuple[list[Any], list[Any]]:
        return tasks[:num_returns], tasks[num_returns:]

    class Task(list[Any]):
        __hash__ = object.__hash__  # type: ignore[assignment]

    def remote(*, max_retries: int) -> Any:
        assert max_retries == 1
        return lambda function: SimpleNamespace(remote=lambda text: Task([function, text]))

    fake = SimpleNamespace(
        init=lambda *, address, ignore_reinit_error, log_to_driver: log.append(str(address)),
        remote=remote, wait=wait, get=get, cancel=lambda task: None, shutdown=lambda: log.append("shut down"),
        exceptions=SimpleNamespace(RayError=RayError),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    return log


def test_a_cluster(ray: list[str], tmp_path: Path) -> None:
    search = tune(
        "linear", "iris", space={"lr": "log:1e-3..1"}, trials=3, epochs=1, repeats=0, workers=2,
        on="ray://head:10001", out=tmp_path / "s",
    )  # fmt: skip
    assert (ray[0], ray[-1]) == ("ray://head:10001", "shut down")
    status = [trial.result.status for trial in search.trials if trial.result]
    assert status.count("finished") == 2
    assert status.count("failed") == 1
    (lost,) = [trial.result for trial in search.trials if trial.result and trial.result.status == "failed"]
    assert lost.error == "the worker died"


@pytest.mark.slow
def test_ray_itself(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    search = tune(
        "linear", "iris", space={"lr": "log:1e-3..1"}, trials=2, epochs=1, repeats=0, workers=2,
        on="ray://local", out=tmp_path / "s",
    )  # fmt: skip
    assert all(trial.value is not None for trial in search.trials)
