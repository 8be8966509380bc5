"""``preceptor catalogue architectures --counts`` and ``--chart``: networks beside each other."""

from __future__ import annotations

from pathlib import Path

from preceptor.cli import _findings as findings

__all__ = ["compared"]

_FORMATS = (".svg", ".png", ".pdf")
_HEADS = ("name", "input", "outputs", "parameters", "operations", "activations")


def compared(what: str | None, chart: Path | None) -> str:
    """Return the counts of the architectures that match as a table; with ``chart``, draw them there.

    Raises:
        ConfigError: nothing matches that was published for images of one size, or the file cannot be drawn.
    """
    from preceptor import catalogue
    from preceptor.catalogue.calculators._text import size_text, table
    from preceptor.catalogue.inspections.architectures import published_input
    from preceptor.errors import ConfigError

    place = findings.place(chart, "--chart")
    if place is not None and place.suffix.lower() not in _FORMATS:
        raise ConfigError(
            "--chart is not usable", expected="a file ending in " + ", ".join(_FORMATS), received=str(chart)
        )
    every = what is None or what.strip().lower() in ("architecture", "architectures")
    entries = catalogue.find("*" if every else str(what), "architecture")
    names = [e.name for e in entries if published_input(e)]
    if not names:
        raise ConfigError(
            "nothing to compare",
            expected="architectures that were published for images of one size",
            received=repr(what),
            hint="preceptor catalogue architectures --counts",
        )
    seen = catalogue.get("architecture-chart", names=names)
    rows = [
        (
            name,
            "×".join(map(str, seen["input"][name])),
            *(f"{seen[key][name]:,}" for key in _HEADS[2:5]),
            size_text(seen["activations"][name]),
        )
        for name in sorted(names, key=lambda name: seen["operations"][name])
    ]
    lines = table(_HEADS, rows, 2)
    if place is not None:
        seen.save(place)
        lines = [repr(seen), f"{'chart':<9}{place}"]
    return "\n".join(lines)
