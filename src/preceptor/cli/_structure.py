"""What ``preceptor train DATA --task clustering`` and ``principal-components`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from preceptor.errors import ConfigError
from preceptor.report.terminal import line
from preceptor.run._structure import describe
from preceptor.training.experiment import parse_assignments

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_structure"]

_KEYS = {"model": "model.name", "target": "data.target", "epochs": "training.epochs", "lr": "optimizer.lr",
         "batch_size": "training.batch_size"}  # fmt: skip


def perform_structure(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Find clusters or components as requested, print what they are worth, and return the exit code."""
    if request.resume is not None or request.origin is not None or request.attend:
        raise ConfigError(
            "clusters and components are found in one go",
            expected="no --resume, --from or --attend",
            received=str(request.resume or request.origin or "--attend"),
        )
    console = Console(highlight=False)
    named = {_KEYS.get(k, k): v for k, v in request.chosen.items() if v is not None}
    chosen: dict[str, Any] = {**named, **parse_assignments(request.settings)}
    run = describe(data, chosen, experiment=experiment, out=request.out)

    def say(label: str, text: str) -> None:
        console.print(line(label, text), markup=False, soft_wrap=True)

    assert run.prepared is not None and run.folder is not None  # noqa: S101, PT018 - just made
    say("data", run.prepared.dataset.text)
    options = " · ".join(f"{key} {value}" for key, value in run.experiment.model.options.items())
    say("model", f"{run.experiment.model.name} · {options}")
    for part in ("train", "test"):
        if getattr(run.prepared, part) is not None:
            found = run.evaluate(part)
            shown = " · ".join(f"{name} {value:.4f}" for name, value in found.metrics.items())
            say(part, f"{shown} (n = {found.n:,})")
    say("report", str(run.report()))
    return 0
