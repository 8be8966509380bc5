"""``preceptor train --attend`` and ``--from RUN --apply N``: what they print, make and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import preceptor
from preceptor.training import RunFolder

from .conftest import Cli

FAST = ("iris", "--set", "optimizer.name=sgd", "--lr", 100, "--epochs", 20)


@pytest.mark.slow
def test_a_rate_that_is_too_high_is_repaired(cli: Cli) -> None:
    done = cli("train", *FAST, "--attend")
    assert done.code == 0, done.out + done.err
    heads = [line.split()[0] for line in done.lines if not line[:5].strip().isdigit() and "←" not in line]
    assert heads[:5] == ["data", "model", "device", "epoch", "✗"]
    again = heads.index("applied")
    assert heads[again : again + 5] == ["applied", "data", "model", "device", "epoch"]
    assert heads[-4:] == ["attended", "test", "verdict", "report"]
    assert [line for line in done.lines if line.startswith("  tried      lr 100 → ")]
    assert next(line for line in done.lines if line.startswith("applied")).endswith("; training again")
    assert sum(line.startswith("✗") for line in done.lines) == 1
    assert preceptor.load("runs/iris-2").experiment.optimizer.options["lr"] < 100
    assert preceptor.load("runs/iris-1").ledger == []


def test_a_sound_run_is_as_without(cli: Cli) -> None:
    done = cli("train", "digits", "--epochs", 3, "--attend")
    assert [line.split()[0] for line in done.lines][-3:] == ["test", "verdict", "report"]
    assert "tried" not in done.out
    assert json.loads(Path("runs/digits-1/changes.json").read_text())["rounds"][0]["trials"] == []


def test_the_remedy_of_a_finding_is_applied(cli: Cli) -> None:
    assert cli("train", *FAST, "--out", "bad", "--no-test").code == 1  # it diverges
    done = cli("train", "--from", "bad", "--apply", 1, "--no-test")
    assert done.lines[0] == "applied  lr 100 → 10, to the settings of bad"
    made = preceptor.load("runs/iris-1")
    before, after = preceptor.load("bad").experiment.flat(), made.experiment.flat()
    assert {key for key in after if after[key] != before[key]} == {"optimizer.lr"}
    origin = json.loads(Path("runs/iris-1/manifest.json").read_text())["from"]
    assert (origin["run"], origin["changes"][0]["text"]) == ("bad", "lr 100 → 10")

    found = json.loads(Path("bad/findings.json").read_text())
    change = {"kind": "lr", "before": 100.0, "after": 0.1}
    found["findings"][0]["verification"] = {"improved": True, "change": [change], "text": "…"}
    RunFolder("bad").write("findings.json", json.dumps(found))
    done = cli("train", "--from", "bad", "--apply", 1, "--no-test")
    assert (done.code, done.lines[0]) == (0, "applied  lr 100 → 0.1, to the settings of bad")


def test_a_change_by_name_is_applied(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 1, "--no-test", "--out", "first")
    done = cli("train", "--from", "first", "--apply", "hidden=[8, 4]", "--no-test", "--out", "second")
    assert done.lines[0] == "applied  hidden units 128 → 8-4, to the settings of first"
    assert list(preceptor.load("second").experiment.model.options["hidden"]) == [8, 4]


@pytest.fixture
def judged(cli: Cli) -> Path:
    """A run folder with findings: one that was tried in vain, one that settings do not remove."""
    cli("train", "iris", "--epochs", 1, "--no-test", "--out", "run")
    trial = {"improved": False, "change": [{"kind": "lr", "after": 0.1}], "text": "lr 1 → 0.1: worse"}
    findings = [
        {"cause": "learning-rate-too-high", "title": "…", "verification": {**trial, "others": [trial]}},
        {"cause": "bad-labels", "title": "Labels are wrong.", "remedy": "look at them", "verification": None},
    ]
    RunFolder("run").write("findings.json", json.dumps({"findings": findings}))
    return Path("run")


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("--from", "nowhere", "--apply", 1), ["no run in nowhere", "received  no such folder"]),
        (
            ("--from", "run", "--apply", 3),
            ["there is no such finding", "1 … 2, or KIND=VALUE", "2: bad-labels"],
        ),
        (("--from", "run", "--apply", "first"), ["there is no such finding", "received  --apply first"]),
        (("--from", "run", "--apply", 1), ["nothing that was tried removes", "lr 1 → 0.1: worse; lr 1 →"]),
        (("--from", "run", "--apply", 2), ["no setting of this run removes bad-labels", "look at them"]),
        (("--from", "run", "--apply", "lrr=1"), ["unknown change 'lrr'", "did you mean 'lr'?"]),
        (("--from", "run", "--apply", "momentum=0.9"), ["no setting optimizer.momentum", "optimizer.lr"]),
        (("--from", "run", "--apply", "zero_grad=1"), ["is no setting of a training"]),
        (("--from", "run"), ["--from goes with new data, or with --apply", "run/experiment.toml"]),
        (("--apply", 1), ["--from goes with new data, or with --apply"]),
        (("--from", "run", "--apply", 1, "--resume", "run"), ["--from goes with new data, or with --apply"]),
        (("iris", "--attend", "--set", "data.val=0"), ["judges changes on validation examples"]),
        (("--resume", "run", "--attend"), ["a run that goes on cannot be attended"]),
    ],
)
@pytest.mark.usefixtures("judged")
def test_what_is_refused(cli: Cli, arguments: tuple[object, ...], lines: list[str]) -> None:
    done = cli("train", *arguments)
    assert done.code == 2
    for line in lines:
        assert line in done.err
    assert not Path("runs").exists()


def test_a_run_without_findings(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 1, "--no-test", "--out", "run", "--set", "training.watch=false")
    done = cli("train", "--from", "run", "--apply", 1)
    assert (done.code, "a run that was not judged" in done.err) == (2, True)
    RunFolder("run").write("findings.json", '{"findings": []}')
    assert "a run with which all is well" in cli("train", "--from", "run", "--apply", 1).err
    RunFolder("run").write("findings.json", '{"findings": 3}')
    assert "expected  a list of findings" in cli("train", "--from", "run", "--apply", 1).err
