"""A run in brief: what is known of it without predicting, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from preceptor.diagnosis.notebook import findings_html
from preceptor.report.notebook import run_html
from preceptor.report.summary import ModelSummary, Summary, TestLook

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["brief", "notebook_html"]


def brief(run: Run) -> Summary:
    """Return how a run went, and no more: nothing is measured, drawn or predicted for it."""
    look = run.ledger[-1] if run.ledger else None
    interval = look.get("interval") if look else None
    test = look and TestLook(
        look["metrics"], look["n"], len(run.ledger), tuple(interval) if interval else None
    )
    parameters = sum(p.numel() for p in run.model.parameters())
    return Summary(
        name=run.experiment.name,
        folder=str(run.folder.path) if run.folder else None,
        task=run.task.name,
        measure=next(iter(run.task.metrics), run.task.loss),
        experience="",
        status=run.status,
        history=run.history.rows,
        best_epoch=run.best_epoch,
        monitor=run.experiment.training.monitor,
        model=ModelSummary(run.experiment.model.name.rpartition(":")[2], "", parameters),
        test=test or None,
    )


def notebook_html(run: Run) -> str:
    """Return a run as a notebook shows it, what is wrong with it included; of several the members, folded."""
    if members := getattr(run, "members", ()):
        shown = "".join(
            f"<details><summary>{escape(repr(one))}</summary>{notebook_html(one)}</details>"
            for one in members
        )
        return f"<div><p><b>{escape(repr(run))}</b></p>{shown}</div>"
    return run_html(brief(run), findings_html(run.findings) if run.diagnosis is not None else "")
