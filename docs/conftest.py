"""The pages are tests: each page's examples run in a folder that holds the samples and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

# The entries' examples are executed by tests/catalogue/, each alone; the samples are run by the pages; what
# the site is built with is not installed for the tests.
collect_ignore = ["catalogue", "docstrings.py", "samples"]


@pytest.fixture(autouse=True)
def _samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(Path(__file__).with_name("samples"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _own_labs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page registers as a lab is one on that page alone."""
    if request.path.name == "labs.md":
        from preceptor.labs import labs

        known = {one.name: one for one in labs()}
        monkeypatch.setattr("preceptor.labs._lab._LABS", known)
