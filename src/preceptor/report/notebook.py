"""A run as a notebook shows it: how it ended, its numbers and its curves, in a piece of HTML."""

from __future__ import annotations

from markupsafe import Markup

from preceptor.report import _view
from preceptor.report._curves import curves
from preceptor.report._format import label
from preceptor.report._page import template
from preceptor.report.summary import Summary

__all__ = ["run_html"]

_FIGURES = 2  # loss and the headline measure


def run_html(summary: Summary, findings: str = "") -> str:
    """Return a run as HTML that stands in any page, light or dark, and loads nothing.

    Arguments:
        summary: the run; its history, status and test result are what is shown.
        findings: what is wrong with it, as `preceptor.diagnosis.notebook.findings_html` writes it.

    Example:
        >>> run = Summary("a<b", None, "ten classes", "accuracy", "a CSV file", "failed", [], None, "lr")
        >>> "a&lt;b" in run_html(run), "<script" in run_html(run)
        (True, False)
    """
    return template("notebook.html.j2").render(
        name=label(summary.name, 120) or "run",
        folder=label(summary.folder, 300) if summary.folder else "",
        verdict=_view.verdict(summary),
        tiles=_view.tiles(summary),
        figures=[(drawing.title, Markup(drawing.svg)) for drawing in curves(summary)[:_FIGURES]],  # noqa: S704 - drawn here, of escaped text
        findings=Markup(findings),  # noqa: S704 - escaped by those who wrote it
    )
