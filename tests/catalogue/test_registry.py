"""The register: names, patterns, what is refused."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import Entry, entry, find, get, register
from preceptor.errors import ConfigError, UnknownName


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch):
    """A register that forgets what the test adds."""
    from preceptor.catalogue import _registry

    monkeypatch.setattr(_registry, "_by_kind", {k: dict(v) for k, v in _registry._by_kind.items()})
    monkeypatch.setattr(_registry, "_alias", dict(_registry._alias))
    return _registry


def test_a_name_of_several_kinds_needs_the_kind():
    with pytest.raises(ConfigError, match="names several things"):
        entry("mse")
    assert entry("mse", "loss") is not entry("mse", "metric")


def test_a_misspelt_name_suggests_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'adam'"):
        entry("adma")
    with pytest.raises(UnknownName, match="unknown kind"):
        entry("adam", "gardener")


def test_patterns_find_by_name_and_alias():
    assert [e.name for e in find("*entropy*", kind="losses")][:3] == [
        "binary-cross-entropy",
        "binary-cross-entropy-on-probabilities",
        "cross-entropy",
    ]
    assert [e.name for e in find("kaiming_*")] == ["he-normal", "he-uniform"]
    assert find("no such thing") == []


def test_new_entries_can_be_registered_and_names_cannot_be_taken_twice(scratch):
    new = register(Entry(kind="loss", name="zero-loss", summary="Nothing.", factory=torch.nn.Identity))
    assert entry("zero_loss") is new
    assert isinstance(get("zero-loss"), torch.nn.Identity)
    for name, aliases in (("zero-loss", ()), ("other", ("MSE",))):
        with pytest.raises(ConfigError, match="registered twice"):
            register(Entry(kind="loss", name=name, aliases=aliases, summary="", factory=torch.nn.Identity))


def test_a_decorated_factory_says_its_own_summary_options_and_needs(scratch):
    @scratch.registered(kind="metric", name="thing", example="\n    >>> 1 + 1\n    2\n    ")
    def thing(first: int, *, total_steps: int, second: float = 2.0) -> tuple[int, float]:
        """Pair of things.

        More words.
        """
        return first, second + total_steps

    made = entry("thing")
    assert (made.summary, made.needs, dict(made.defaults)) == ("Pair of things.", ("first",), {"second": 2.0})
    assert made.example == ">>> 1 + 1\n2"


def test_entries_cannot_be_changed():
    adam = entry("adam")
    with pytest.raises(AttributeError):
        adam.name = "eve"
    with pytest.raises(TypeError):
        adam.defaults["lr"] = 1.0
