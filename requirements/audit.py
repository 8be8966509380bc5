"""Looks up the known vulnerabilities of every package in requirements/lock.txt with pip-audit.

    pip install pip-audit && python requirements/audit.py

The exit code is 1 where one is known, and nothing else: without pip-audit, without a network, or with a
registry that tells nothing of vulnerabilities it is said what could not be looked up, and the exit code is 0.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).with_name("lock.txt")


def main() -> int:
    """Print what was found, and return the exit code."""
    program = shutil.which("pip-audit")
    if program is None:
        print("no pip-audit: known vulnerabilities are not looked up")
        return 0
    asked = [program, "--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--format", "json"]
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [*asked, "--progress-spinner", "off"], capture_output=True, text=True, timeout=300, check=False
    )
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print("known vulnerabilities could not be looked up:", done.stderr.strip().rpartition("\n")[2][:200])
        return 0
    known = [one for one in packages if "vulns" in one]
    bad = [one for one in known if one["vulns"]]
    print(f"{len(known)} of {len(packages)} locked packages looked up, {len(bad)} with known vulnerabilities")
    for one in bad:
        for found in one["vulns"]:
            fixed = ", ".join(found.get("fix_versions", [])) or "no version yet"
            print(f"  {one['name']} {one['version']}: {found['id']}, mended in {fixed}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
