"""The command line in this process: what it prints, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from preceptor.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``preceptor …`` within an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: Any) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return Outcome(int(code or 0), printed.out, printed.err)

    return run


ROWS = 90


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A CSV file with a number, a category, gaps in both, and two classes that can be told apart."""
    lines = ["size,weight,colour,kind"]
    for i in range(ROWS):
        size = "" if i % 17 == 3 else f"{(i * 37) % 100 / 10}"
        colour = "" if i % 23 == 5 else ("red", "blue", "white")[i % 3]
        lines.append(f"{size},{(i * 53) % 71},{colour},{'rose' if (i * 37) % 100 > 50 else 'lily'}")
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A CSV file with a number to predict."""
    lines = [
        "area;rooms;price",
        *(
            f"{40 + (i * 29) % 90};{1 + i % 5};{1.5 * ((i * 29) % 90) + 7 * (i % 5) + 0.25}"
            for i in range(ROWS)
        ),
    ]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def nets(tmp_path: Path) -> str:
    """A model in a file of the user's own, with an option, as the command line names it; it suits iris."""
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, width=5):\n"
        "        super().__init__(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))\n"
    )
    return "nets.py:Net"
