"""``preceptor`` with a stand-in for the watch, and without torch, which takes seconds to import."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any


class Record:
    names: tuple[str, ...] = ()


class Watch:
    record = Record()
    observed = None

    def __init__(self, level: str) -> None:
        self.level = level

    def start(self) -> None:
        if "fail_to_start" in sys.argv:
            raise ValueError("no start")
        if "tell" in sys.argv:
            print("[start]")

    def stop(self) -> None:
        if "tell" in sys.argv:
            print("[stop]")

    def summary(self) -> dict[str, object]:
        return {"level": self.level, "steps": {"train": 2, "epochs": 1}, "graphs": {"1": {}}, "notes": []}


def diagnose(seen: object, *, ignore: object, complain: Callable[[str], None]) -> list[Any]:
    """Find what the program's arguments say."""
    from preceptor.diagnosis.finding import Finding

    if "crash" in sys.argv:
        raise ValueError("no rules")
    if "complain" in sys.argv:
        complain("the rule x failed: ValueError: y")
    severities = [word for word in sys.argv if word in ("info", "warning", "critical")]
    causes = ("missing-backward", "overfitting", "slow-data-loading")
    return [
        Finding(cause, severity, f"Something is wrong ({severity}).", where="ok.py:2")  # type: ignore[arg-type]
        for cause, severity in zip(causes, severities, strict=False)
        if cause not in ignore  # type: ignore[operator]
    ]


def pretend() -> None:
    found = importlib.util.find_spec("preceptor")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = types.ModuleType("preceptor.observation")
    package.__path__ = [f"{found.submodule_search_locations[0]}/observation"]
    watch = types.ModuleType("preceptor.observation.watch")
    watch.Watch = Watch  # type: ignore[attr-defined]
    diagnosis = types.ModuleType("preceptor.diagnosis.diagnose")
    diagnosis.diagnose = diagnose  # type: ignore[attr-defined]
    sys.modules |= {module.__name__: module for module in (package, watch, diagnosis)}


if __name__ == "__main__":
    pretend()
    from preceptor.cli import main

    main()
