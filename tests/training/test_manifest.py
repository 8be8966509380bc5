"""Where a run comes from: versions, command, time, commit; and the ledger of looks at the test set."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import preceptor
from preceptor.training import RunFolder, manifest


def test_versions_of_what_the_numbers_depend_on() -> None:
    versions = manifest.versions()
    assert versions["torch"] == torch.__version__
    assert versions["numpy"] == np.__version__
    assert versions["preceptor"] == metadata.version("preceptor")
    assert versions["threads"] == str(torch.get_num_threads())
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(isinstance(v, str) and v for v in versions.values())


def test_a_package_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_PACKAGES", ("torch", "no-such-package"))
    assert manifest.versions()["no-such-package"] == "not installed"


def test_the_time_is_in_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.now())


def test_the_commit_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    monkeypatch.chdir(tmp_path)
    assert manifest.origin()["git"] is None  # no repository
    git("init", "-q")
    assert manifest.origin()["git"] is None  # no commit
    (tmp_path / "a").touch()
    git("add", "a")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert manifest.origin()["git"] == {"commit": commit, "changed": False}
    (tmp_path / "b").touch()
    assert manifest.origin()["git"] == {"commit": commit, "changed": True}


def test_a_machine_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    origin = manifest.origin()
    assert origin["git"] is None
    assert origin["command"] == sys.argv


def test_a_git_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 5)

    monkeypatch.setattr(subprocess, "run", hang)
    assert manifest.origin()["git"] is None


@pytest.mark.slow
def test_a_run_records_all_of_it_and_every_look_at_the_test_set(tmp_path: Path) -> None:
    run = preceptor.train("linear", "iris", epochs=1, out=tmp_path / "a", lr=0.1)
    facts = RunFolder(tmp_path / "a").manifest
    assert facts["status"] == "finished"
    assert facts["chosen"] == ["data.source", "model.name", "optimizer.lr", "training.epochs"]
    assert facts["signature"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert facts["ledger"] == []
    assert {"created", "command", "git", "versions", "data", "split", "timing", "best_epoch"} <= facts.keys()
    first = run.test()
    again = preceptor.load(tmp_path / "a").test(again="to see that it is counted")
    assert (first.looks, again.looks) == (1, 2)
    assert first.metrics == again.metrics
    ledger = RunFolder(tmp_path / "a").manifest["ledger"]
    assert [(entry["look"], entry["part"], entry["metrics"]) for entry in ledger] == [
        (1, "test", first.metrics),
        (2, "test", first.metrics),
    ]
    assert [entry["reason"] for entry in ledger] == [None, "to see that it is counted"]
