"""The manifest of a run: versions, origin, data, status, and the ledger of looks at the test set."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

__all__ = ["extras", "now", "origin", "versions"]

_PACKAGES = ("preceptor", "torch", "numpy", "scikit-learn", "safetensors", "pydantic")


def now() -> str:
    """Return the time in UTC, to the second, in ISO form."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of what a run's numbers depend on."""
    found = {name: _version(name) for name in _PACKAGES}
    return {
        "python": platform.python_version(),
        **found,
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def extras() -> dict[str, list[str]]:
    """Return the packages of each extra that are not installed, as the package's own metadata name them.

    Example:
        >>> set(extras()) >= {"tables", "bench"}
        True
    """
    missing: dict[str, list[str]] = {
        name: [] for name in metadata.metadata("preceptor").get_all("Provides-Extra", [])
    }
    for requirement in metadata.requires("preceptor") or []:
        wanted = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        package = re.match(r"[\w.-]+", requirement)
        if wanted and package and _version(package.group()) == "not installed":
            missing[wanted.group(1)].append(package.group())
    return missing


def origin() -> dict[str, Any]:
    """Return who started the run: the command line, the time, the working folder's git commit."""
    return {"created": now(), "command": sys.argv, "git": _git(Path.cwd())}


def _git(folder: Path) -> dict[str, Any] | None:
    def ask(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
