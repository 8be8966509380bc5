"""Whatever is written after ``--set``, the answer is a run or one clear message."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import preceptor
from preceptor import catalogue
from preceptor.errors import PreceptorError
from preceptor.training.experiment import Experiment, parse_assignments

from .conftest import Cli

BLOCKS = {"model": "architecture", "loss": "loss", "optimizer": "optimizer", "schedule": "schedule"}
NAMES = [name for e in catalogue.find() for name in (e.name, *e.aliases)]
OPTIONS = {
    f"{block}.{option}": default
    for block, kind in BLOCKS.items()
    for e in catalogue.find(kind=kind)
    for option, default in e.defaults.items()
}
DEFAULTS = {key: value for key, value in Experiment().flat().items() if key != "training.epochs"} | OPTIONS

numbers = (
    st.integers(-3, 40).map(str)
    | st.floats(width=16).map(str)
    | st.sampled_from(["1e-3", "0.5", "1e30", "-0.0"])
)
words = st.sampled_from(
    [*NAMES, "auto", "none", "true", "false", "full", "mean", "sum", "cpu", "cuda", "max"]
)
letters = st.characters(exclude_categories=("Nd",))  # a layer as wide as one may write would fill the memory
junk = st.text(letters, max_size=6) | st.sampled_from(
    ["", "1979-05-27", "07:32:00", "'", "[", "{}", "[[1]]", "{a=1}", "🌱", "../x"]
)
values = st.recursive(
    numbers | words | junk,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
    max_leaves=4,
)
named = st.sampled_from(list(BLOCKS)).flatmap(
    lambda block: st.sampled_from([f"{block}.name={e.name}" for e in catalogue.find(kind=BLOCKS[block])])
)


def fitting(key: str) -> st.SearchStrategy[str]:
    """A value of the type that the setting has."""
    default = DEFAULTS[key]
    if isinstance(default, bool):
        return st.sampled_from(["true", "false"])
    if isinstance(default, int | float):
        low, high = sorted((0, 2 * default))
        return st.floats(low, high + 1).map(str) | st.integers(int(low), int(high) + 3).map(str)
    return words


keys = st.sampled_from(sorted(DEFAULTS))
likely = keys.flatmap(lambda key: fitting(key).map(lambda value: f"{key}={value}"))
unlikely = st.tuples(keys | junk, values).map("=".join) | junk
assignments = st.lists(named | likely, max_size=3) | st.lists(
    named | likely | unlikely, min_size=1, max_size=4
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no gradient passes")
@given(given=assignments)
@settings(max_examples=60, deadline=None)
def test_in_python(given: list[str]) -> None:
    try:
        run = preceptor.train(data="iris", settings=parse_assignments(given), epochs=1, out=False)
    except PreceptorError:
        return
    assert run.status in ("finished", "early stopping", "diverged")
    text = run.experiment.to_toml()
    assert Experiment.from_toml(text).to_toml() == text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no gradient passes")
@given(given=assignments)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_on_the_command_line(cli: Cli, tmp_path: Path, given: list[str]) -> None:
    done = cli("train", "iris", "--epochs", 1, *(f"--set={text}" for text in given), "--out", "run")
    made = (tmp_path / "run").is_dir()
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert "Traceback" not in done.err
    if done.code == 2:
        assert done.err.startswith("error: ")
        assert not made
    else:
        assert done.code in (0, 1)
        assert done.lines[-1] == "report   run/report.html"
    assert list(tmp_path.iterdir()) == []
