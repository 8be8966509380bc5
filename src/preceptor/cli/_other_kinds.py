"""What trainings without a network that predicts targets share on the command line: settings and lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from preceptor.errors import ConfigError
from preceptor.report.terminal import line, terminal
from preceptor.training.experiment import parse_assignments

if TYPE_CHECKING:
    from preceptor.cli._training import Request

__all__ = ["INTERRUPTED", "Lines", "asked_settings", "is_shown", "refuse_options"]

INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended

_ROWS = 20  # of a table at most
_RESULTS = ("train", "test", "saved", "report")
_KEYS = {
    "model": "model.name",
    "target": "data.target",
    "epochs": "training.epochs",
    "lr": "optimizer.lr",
    "batch_size": "training.batch_size",
    "precision": "training.precision",
    "device": "training.device",
}


def refuse_options(request: Request, why: str, options: Collection[str]) -> None:
    """Refuse those of ``--resume``, ``--from`` and ``--attend`` that do not apply.

    Raises:
        ConfigError: one of them was given.
    """
    given = {"--resume": request.resume, "--from": request.origin, "--attend": request.attend or None}
    asked = [option for option in options if given[option] is not None]
    if request.log:
        raise ConfigError(
            f"{why}: nothing is written for other tools", expected="no --log", received=" ".join(request.log)
        )
    if asked:
        *others, last = options
        received = asked[0] if asked[0] == "--attend" else f"{asked[0]} {given[asked[0]]}"
        raise ConfigError(why, expected=f"no {', '.join(others)} or {last}", received=received)


def asked_settings(request: Request, without: Collection[str] = ()) -> dict[str, Any]:
    """Return what was asked for on the command line, under the names that settings have."""
    keys = {key: name for key, name in _KEYS.items() if key not in without}
    named = {keys.get(k, k): v for k, v in request.chosen.items() if v is not None}
    return {**named, **parse_assignments(request.settings)}


def is_shown(row: Mapping[str, Any], epochs: int) -> bool:
    """Whether an epoch is among the rows of a table that is not too long; the last one always is."""
    return not row["epoch"] % -(-epochs // _ROWS) or row["epoch"] == epochs


class Lines:
    """Lines on the terminal: a label, and what belongs to it; ``quiet``: those of the result alone."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console, self.quiet = terminal(), quiet

    def say(self, label: str, text: str) -> None:
        """Print a text behind its label."""
        if not self.quiet or label in _RESULTS:
            self.console.print(line(label, text), markup=False, soft_wrap=True)

    def row(self, text: str) -> None:
        """Print a row of a table."""
        if not self.quiet:
            self.console.print(text)
