"""Fixtures that every test may use, and what the smoke set leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Of each place the smoke set, `-m 'not slow'`, takes one test alone: they train, or start processes.
ONE_OF_ALL = (
    "../docs",
    "diagnosis/rules",
    "observation/clients",
    "observation/probes",
    "report",
    "trials",
)
# The same of each file in these places.
ONE_OF_EACH = (
    "catalogue/test_battery.py",
    "catalogue/test_battery_blocks.py",
    "catalogue/test_inspections_data.py",
    "catalogue/test_inspections_networks.py",
    "cli",
    "data/test_shared_sets.py",
    "diagnosis/test_planted.py",
    "observation/test_regular.py",
    "observation/test_script.py",
    "observation/test_watch.py",
    "run",
    "search/test_cross_validation.py",
    "search/test_elsewhere.py",
    "search/test_search.py",
    "test_sklearn.py",
    "training/test_eject.py",
    "training/test_layout.py",
    "training/test_rates.py",
    "training/test_regularization.py",
    "training/test_resume.py",
    "training/test_second_order.py",
    "training/test_transfer.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all but the first test of such a place as slow."""
    whole = tuple((TESTS / place).resolve() for place in ONE_OF_ALL)
    each = tuple(TESTS / place for place in ONE_OF_EACH)
    seen: set[Path] = set()
    for item in items:
        above = (item.path, *item.path.parents)
        place = next((place for place in whole if place in above), None)
        if place is None and any(place in above for place in each):
            place = item.path
        if place in seen:
            item.add_marker(pytest.mark.slow)
        elif place is not None and not item.get_closest_marker("slow"):
            seen.add(place)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the checkout; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no shared data sets beside this checkout")
    return folder
