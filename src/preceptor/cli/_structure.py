"""What ``preceptor train DATA --task clustering`` and ``principal-components`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.cli._other_kinds import Lines, asked_settings, refuse_options
from preceptor.run.apart.structure import describe

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_structure"]


def perform_structure(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Find clusters or components as requested, print what they are worth, and return the exit code."""
    refuse_options(request, "clusters and components are found in one go", ("--resume", "--from", "--attend"))
    lines = Lines(quiet=request.quiet)
    chosen = asked_settings(request, without=("precision", "device"))
    run = describe(data, chosen, experiment=experiment, out=request.out)

    assert run.prepared is not None and run.folder is not None  # noqa: S101, PT018 - just made
    lines.say("data", run.prepared.dataset.text)
    options = " · ".join(f"{key} {value}" for key, value in run.experiment.model.options.items())
    lines.say("model", f"{run.experiment.model.name} · {options}")
    for part in ("train", "test"):
        if getattr(run.prepared, part) is not None:
            found = run.evaluate(part)
            shown = " · ".join(f"{name} {value:.4f}" for name, value in found.metrics.items())
            lines.say(part, f"{shown} (n = {found.n:,})")
    lines.say("report", str(run.report()))
    return 0
