"""Where the time of a run went, as a cascade of bars that add up to the whole."""

from __future__ import annotations

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import as_float, duration, label, percent
from preceptor.report._table import Table
from preceptor.report.summary import Timing

__all__ = ["time_shares"]

_SHOWN = 12


def time_shares(timing: Timing) -> Drawing | None:
    """Draw one bar per part of the work, each beginning where the last one ended; None without shares."""
    shares = {label(name, 20): as_float(share) for name, share in list(timing.shares.items())[:_SHOWN]}
    drawn = {name: share for name, share in shares.items() if 0 <= share <= 10}
    if not drawn or sum(drawn.values()) == 0:
        return None
    alt = (
        "Share of the wall time: "
        + ", ".join(f"{name} {percent(share)}" for name, share in drawn.items())
        + "."
    )
    total = max(1.0, sum(drawn.values()))
    with style():
        row = 25.0
        left = 22 + 6.2 * max(len(name) for name in drawn)
        figure, axes = page(460, 12 + row * len(drawn), left=left, right=56, bottom=6, top=6)
        axes.set_xlim(0, total)
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks(range(len(drawn)), list(drawn), color=TOKENS["ink"])
        axes.tick_params(axis="y", pad=7)
        axes.spines["bottom"].set_visible(False)
        axes.grid(visible=False)
        start = 0.0
        for place, share in enumerate(drawn.values()):
            axes.barh(place, total, height=0.62, color=TOKENS["rule"], alpha=0.4)
            axes.barh(place, share, left=start, height=0.62, color=TOKENS["train"])
            axes.text(1.02, place, percent(share), transform=axes.get_yaxis_transform(), va="center")
            start += share
        picture = svg(figure, "time", alt)
    rows = tuple(
        (name, percent(share), duration(share * as_float(timing.actual_seconds)))
        for name, share in shares.items()
    )
    table = Table("Time by part of the work", ("part", "share", "time"), rows)
    return Drawing(
        "time", "Where the time went", alt, picture, "Each bar begins where the last one ended.", table
    )
