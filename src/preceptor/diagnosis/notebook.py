"""Findings as a notebook shows them: a piece of HTML that stands in any page, light or dark."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.show import ICONS, counts, details

__all__ = ["findings_html"]

_COLOURS = {"critical": "#c0392b", "warning": "#c77d0a", "info": "#7f8c8d"}
_SHOWN = 30


def findings_html(findings: Iterable[Finding]) -> str:
    """Return findings as HTML: how many there are, then each with what it rests on folded away.

    All texts are escaped; no script, no font, nothing loaded. At most 30 are shown.

    Example:
        >>> findings_html([])
        '<div class="preceptor"><p><b>nothing wrong was found</b></p></div>'
        >>> "&lt;b&gt;" in findings_html([Finding("overfitting", "warning", "<b>rises")])
        True
    """
    listed = list(findings)
    more = len(listed) - _SHOWN
    blocks = "".join(_block(finding) for finding in listed[:_SHOWN])
    rest = f"<p>… and {more:,} more</p>" if more > 0 else ""
    return f'<div class="preceptor"><p><b>{escape(counts(listed))}</b></p>{blocks}{rest}</div>'


def _block(finding: Finding) -> str:
    colour = _COLOURS[finding.severity]
    where = f" · <code>{escape(finding.where)}</code>" if finding.where else ""
    rows = "".join(
        f'<tr><td style="text-align:left;vertical-align:top">{escape(name)}</td>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in details(finding)
        if name != "remedy"
    )
    folded = f"<details><summary>what it rests on</summary><table>{rows}</table></details>" if rows else ""
    return (
        f'<div style="border-left:4px solid {colour};padding:.2em .8em;margin:.6em 0">'
        f"<div>{ICONS[finding.severity]} <b>{escape(finding.cause)}</b> {finding.severity}{where}</div>"
        f"<div>{escape(finding.title)}</div><div><b>remedy</b> {escape(finding.remedy)}</div>{folded}</div>"
    )
