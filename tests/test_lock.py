"""What is installed: the lock has the versions of the constraints, and a hash for every file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\\n]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return {
        name.lower().replace("_", "-"): version for name, version in PIN.findall((ROOT / file).read_text())
    }


def test_the_lock_has_the_constraints_versions() -> None:
    lock, constraints = pins("requirements/lock.txt"), pins("constraints.txt")
    shared = lock.keys() & constraints.keys()
    assert len(shared) > 100
    assert {name: lock[name] for name in shared} == {name: constraints[name] for name in shared}


def test_every_locked_package_has_hashes() -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements" / "lock.txt").read_text().strip())
    assert [block.partition("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_what_belongs_to_a_machine_is_not_locked() -> None:
    left_out = (ROOT / "requirements" / "machine.txt").read_text().splitlines()[1:]
    assert left_out[0] == "torch"
    assert not pins("requirements/lock.txt").keys() & set(left_out)
