"""``preceptor catalogue``, ``env`` and ``--help``: what can be named, installed and asked."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from preceptor import catalogue
from preceptor.catalogue.errata import ERRATA
from preceptor.diagnosis.causes import CAUSES

from .conftest import Cli

VERBS = (
    "train", "run", "diagnose", "evaluate", "predict", "look",
    "compare", "summary", "eject", "catalogue", "env",
)  # fmt: skip


def test_the_kinds(cli: Cli) -> None:
    done = cli("catalogue")
    assert done.lines[0].split() == ["kind", "entries"]
    found = {line.split()[0]: int(line.split()[1]) for line in done.lines[1:]}
    assert found == {**catalogue.kinds(), "cause": len(CAUSES)}
    assert list(found) == sorted(found)


@pytest.mark.parametrize("asked", ["optimizer", "optimizers", "Optimizers"])
def test_a_kind(cli: Cli, asked: str) -> None:
    done = cli("catalogue", asked)
    assert done.lines[0].startswith("name")
    assert [line.split()[0] for line in done.lines[1:]] == [e.name for e in catalogue.find(kind="optimizer")]


def test_a_pattern(cli: Cli) -> None:
    names = [line.split()[0] for line in cli("catalogue", "*entropy*").lines[1:]]
    assert names == [e.name for e in catalogue.find("*entropy*")]
    assert "cross-entropy" in names


def test_every_entry_has_a_page(cli: Cli) -> None:
    for entry in catalogue.find():
        done = cli("catalogue", "show", entry.name, "--kind", entry.kind)
        assert done.code == 0, done.err
        assert done.lines[0].split(" · ")[0] == f"name     {entry.name}"
        assert entry.summary in done.out
        for option in entry.defaults:
            assert f"{option}=" in done.out


@pytest.mark.parametrize("asked", ["cause", "causes", "Causes"])
def test_causes(cli: Cli, asked: str) -> None:
    done = cli("catalogue", asked)
    assert [line.split()[0] for line in done.lines[1:]] == list(CAUSES)
    assert all(cause.meaning in done.out for cause in CAUSES.values())


def test_every_cause_has_a_page(cli: Cli) -> None:
    for cause in CAUSES.values():
        done = cli("catalogue", "show", cause.id)
        assert done.code == 0, done.err
        assert done.lines[0] == f"name     {cause.id}"
        assert all(
            text in done.out for text in (cause.mechanism, cause.remedy, *cause.confused, cause.source)
        )


def test_causes_among_the_names(cli: Cli) -> None:
    names = [line.split()[0] for line in cli("catalogue", "*gradient*").lines[1:]]
    assert {"gradient-descent", "gradient-ascent"} <= set(names)
    assert "gradient-descent" not in cli("catalogue", "*gradient*", "--kind", "cause").out
    assert "gradient-ascent" not in cli("catalogue", "*gradient*", "--kind", "optimizer").out
    assert cli("catalogue", "Loss_Mismatch").lines[0] == "name     loss-mismatch"
    for options in ([], ["--kind", "cause"]):
        wrong = cli("catalogue", "show", "overfiting", *options)
        assert (wrong.code, "did you mean 'overfitting'?" in wrong.err) == (2, True)


def test_misprints(cli: Cli) -> None:
    whole = cli("catalogue", "errata")
    assert whole.lines[0] == "probability"
    assert sum(line.split()[0] == "right" for line in whole.lines) == len(ERRATA)
    one = cli("catalogue", "errata", "glorot_bound")
    assert one.lines[0] == "topic    glorot-bound · initialisation"
    assert ERRATA["glorot-bound"].why in one.out
    assert len(cli("catalogue", "errata", "rmsprop-*").lines) > 6
    assert "rmsprop-root" in cli("catalogue", "show", "rmsprop").out
    wrong = cli("catalogue", "errata", "glorot-bond")
    assert (wrong.code, "did you mean 'glorot-bound'?" in wrong.err) == (2, True)


def test_env(cli: Cli) -> None:
    done = cli("env")
    assert done.code == 0
    found = dict(line.split(maxsplit=1) for line in done.lines if line.startswith("         "))
    assert found["torch"] == torch.__version__
    assert {"python", "preceptor", "numpy", "platform", "threads"} <= found.keys()
    assert any(line.startswith("devices  cpu") for line in done.lines)
    assert {line.split()[1] for line in done.lines if line.startswith("extra")} >= {"tables", "bench"}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([verb, "--help"] for verb in VERBS)])
def test_help(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.code == 0
    assert "Usage" in done.out
    if len(arguments) == 1:
        assert all(verb in done.out for verb in VERBS)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_needs_neither_torch_nor_numpy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom preceptor.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "preceptor", "catalogue", "activations"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "relu" in done.stdout
