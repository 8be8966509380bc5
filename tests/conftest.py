"""Fixtures that every test may use, and what the smoke set leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Of each file here the smoke set, `-m 'not slow'`, takes one test alone: they train, or start processes.
ONE_OF_EACH = (
    "cli",
    "data/test_shared_sets.py",
    "diagnosis/rules",
    "diagnosis/test_planted.py",
    "observation/clients",
    "observation/test_script.py",
    "report/test_figures.py",
    "report/test_html.py",
    "report/test_watch_report.py",
    "run",
    "trials",
    "training/test_eject.py",
    "training/test_resume.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all but the first test of such a file as slow."""
    places = tuple(TESTS / place for place in ONE_OF_EACH)
    seen: set[Path] = set()
    for item in items:
        if any(place in (item.path, *item.path.parents) for place in places):
            if item.path in seen:
                item.add_marker(pytest.mark.slow)
            elif not item.get_closest_marker("slow"):
                seen.add(item.path)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the checkout; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no shared data sets beside this checkout")
    return folder
