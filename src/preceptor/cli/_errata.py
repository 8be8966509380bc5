"""``preceptor catalogue errata``: what is often printed wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preceptor.catalogue import Entry
    from preceptor.catalogue.errata import Erratum

__all__ = ["errata", "misprints_of"]


def errata(topic: str | None) -> str:
    """Return the misprints that match a topic or pattern, by family; one alone with all about it."""
    from preceptor.catalogue.errata import FAMILIES, erratum, find_errata

    if topic is not None and not any(c in topic for c in "*?[:"):
        return _page(erratum(topic))
    found, lines = find_errata(topic or "*"), []
    for family in FAMILIES:
        own = [e for e in found if e.family == family]
        lines += [family] if own else []
        for e in own:
            lines += [f"  {e.topic:<32}  {e.printed}", f"  {'right':>32}  {e.right}"]
    return "\n".join(lines) or f"no misprint matches {topic!r}"


def misprints_of(entry: Entry) -> str:
    """Return what is often printed wrongly about an entry, a line each."""
    from preceptor.catalogue.errata import find_errata

    found = find_errata(f"{entry.kind}:{entry.name}")
    return "\n".join(f"{e.printed} → {e.right} ({e.topic})" for e in found)


def _page(e: Erratum) -> str:
    from preceptor.report.terminal import line

    rows = {
        "topic": f"{e.topic} · {e.family}",
        "printed": e.printed,
        "right": e.right,
        "why": e.why,
        "see": ", ".join(e.entries),
    }
    return "\n".join(line(label, text) for label, text in rows.items() if text)
