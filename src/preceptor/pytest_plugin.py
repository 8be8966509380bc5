"""The pytest plug-in: tests that watch the training within them, and fail where it goes wrong.

pytest loads it wherever Preceptor is installed, so nothing but pytest is imported before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

__all__ = ["assert_healthy", "assert_learns", "pytest_configure", "pytest_runtest_call"]

_MARKER = "healthy"
_OPTIONS = ("ignore", "severity", "level")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(ignore=(), severity='warning', level='full'): "
        "preceptor watches the training within the test, and fails it where something goes wrong",
    )


@pytest.fixture
def assert_learns() -> Callable[..., Any]:
    """Assert that a network can learn a batch by heart: `preceptor.assert_learns`."""
    import preceptor

    return preceptor.assert_learns


@pytest.fixture
def assert_healthy() -> Callable[..., Any]:
    """Assert that nothing went wrong in a training: `preceptor.assert_healthy`."""
    import preceptor

    return preceptor.assert_healthy


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Watch a test that is marked, and judge what trained in it once its body has passed."""
    __tracebackhide__ = True
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return (yield)
    import preceptor

    options = _options(marker)
    with preceptor.watch(options.pop("level", "full")) as watch:
        result = yield
    if not watch.steps.train:
        pytest.fail(f"the test is marked {_MARKER}, and nothing trains in it", pytrace=False)
    said = _judged(watch, options)
    if said:
        pytest.fail(said, pytrace=False)
    return result


def _judged(watch: Any, options: dict[str, Any]) -> str:
    """Return what is wrong with the training; a test's is short on purpose."""
    import preceptor

    ignore = {*options.pop("ignore", ()), "too-few-epochs"}
    try:
        preceptor.assert_healthy(watch, ignore=ignore, **options)
    except AssertionError as error:
        return str(error)
    return ""


def _options(marker: pytest.Mark) -> dict[str, Any]:
    from preceptor.errors import ConfigError, UnknownName

    if marker.args:
        raise ConfigError(
            f"the marker {_MARKER} takes names only",
            expected=", ".join(f"{name}=…" for name in _OPTIONS),
            received=", ".join(map(repr, marker.args)),
        )
    for name in marker.kwargs:
        if name not in _OPTIONS:
            raise UnknownName(f"option of the marker {_MARKER}", name, _OPTIONS)
    return dict(marker.kwargs)
