"""Settings: dotted keys, TOML, what was chosen, and errors that name the nearest setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.errors import ConfigError, DataError
from preceptor.training import Experiment
from preceptor.training.experiment import parse_assignments

VALUES = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=12)


@pytest.mark.slow
@given(options=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_toml_round_trip(options: dict[str, object]) -> None:
    options.pop("name", None)
    given_options = {k: (None if v == "none" else v) for k, v in options.items() if v != "none"}
    experiment = Experiment.of({"model": {"name": "mlp", **given_options}, "training.max_grad_norm": 0.5})
    back = Experiment.from_toml(experiment.to_toml())
    assert back == experiment
    assert back.model.options == given_options


def test_all_defaults_are_written() -> None:
    text = Experiment().to_toml()
    for key in ("epochs = 100", "patience = 10", 'max_grad_norm = "none"', "[schedule]", 'name = "constant"'):
        assert key in text


def test_chosen_tells_what_was_given() -> None:
    experiment = Experiment.of({"optimizer.lr": 0.1, "training": {"epochs": 3}})
    assert experiment.chosen() == {"optimizer.name", "optimizer.lr", "training.epochs"}
    assert Experiment().chosen() == set()


def test_a_new_name_drops_the_old_options() -> None:
    experiment = Experiment.of({"optimizer": {"name": "adam", "betas": [0.5, 0.9]}})
    assert experiment.changed({"optimizer.name": "sgd", "optimizer.lr": 0.1}).optimizer.options == {"lr": 0.1}
    assert experiment.changed({"optimizer.lr": 0.1}).optimizer.options == {"betas": [0.5, 0.9], "lr": 0.1}


def test_a_bare_string_names_a_block() -> None:
    assert Experiment.of({"optimizer": "sgd", "optimizer.lr": 0.5}).optimizer.options == {"lr": 0.5}
    assert Experiment.of({"optimizer.lr": 0.5, "optimizer": "sgd"}).optimizer.name == "sgd"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.epoch": 3}, r"unknown setting 'training.epoch'[\s\S]*did you mean 'training.epochs'"),
        ({"epochs": 3}, r"did you mean 'training.epochs'"),
        ({"optimiser.lr": 3}, r"unknown setting 'optimiser'[\s\S]*optimizer"),
        (
            {"training.epochs": 0},
            r"training.epochs is not usable[\s\S]*greater than or equal to 1[\s\S]*received  0",
        ),
        ({"training.epochs": "many"}, r"valid integer[\s\S]*'many'"),
        ({"training.precision": "fp8"}, r"'fp32', 'bf16' or 'fp16'[\s\S]*'fp8'"),
        ({"training.batch_size": 0}, r"integer ≥ 1"),
        ({"data.val": 1.5}, r"data.val is not usable"),
        ({"seed": -1}, r"seed is not usable"),
        ({"training.epochs.x": 3}, r"training"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Experiment.of(settings)


def test_assignments() -> None:
    assert parse_assignments(["a.b=true", "c=text with = in it", 'd="quoted"', "e=1_000"]) == {
        "a.b": True,
        "c": "text with = in it",
        "d": "quoted",
        "e": 1000,
    }
    with pytest.raises(ConfigError, match="key=value"):
        parse_assignments(["lonely"])


def test_reading_a_missing_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such experiment"):
        Experiment.read(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("epochs = = 3")
    with pytest.raises(ConfigError, match="not valid TOML"):
        Experiment.read(tmp_path / "broken.toml")
