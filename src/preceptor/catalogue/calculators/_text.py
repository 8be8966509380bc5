"""A network's numbers as the lines of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preceptor.catalogue.calculators._records import NetworkLayer, NetworkSummary

__all__ = ["as_text", "size_text", "table"]

_HEADS = ("layer", "type", "output", "parameters", "activations", "operations", "field", "depth")
_WORDS = 3  # columns that are no numbers


def size_text(size: float) -> str:
    """Return a number of bytes in the unit that suits it.

    Example:
        >>> size_text(512), size_text(3 * 2**20)
        ('512 B', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """Return aligned lines: the first ``words`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def as_text(summary: NetworkSummary) -> str:
    """Return the table of layers, and the totals below it."""
    memory = summary.memory
    frozen = summary.parameters - summary.trainable
    parts = {
        "parameters": memory.parameters,
        "gradients": memory.gradients,
        f"{summary.optimizer}'s state": memory.optimizer,
        "activations": memory.activations,
        "batch": memory.batch,
    }
    listed = " · ".join(f"{name} {'unknown' if n is None else size_text(n)}" for name, n in parts.items())
    totals = {
        "input": " and ".join(map(_times, summary.input)),
        "parameters": f"{summary.parameters:,}" + (f", of which {frozen:,} are frozen" if frozen else ""),
        "operations": f"{summary.operations:,} an example, forward; about three times that in training",
        "depth": f"{summary.depth} weight layers",
        "field": _times(summary.field) if summary.field else "",
        "memory": f"{size_text(memory.peak)} at its peak, to train with batches of {summary.batch_size:,}",
        "": listed,
    }
    lines = table(_HEADS, [_row(layer) for layer in summary.layers], _WORDS)
    lines += ["", *(f"{label:<12}{text}" for label, text in totals.items() if text)]
    return "\n".join([*lines, *(f"{'note':<12}{note}" for note in summary.notes)])


def _row(layer: NetworkLayer) -> tuple[str, ...]:
    return (
        layer.name or "(model)",
        layer.type + (f" ×{layer.calls}" if layer.calls > 1 else ""),
        "not used" if layer.output is None else _times(layer.output) or "1",
        f"{layer.parameters:,}" if layer.parameters else "",
        size_text(layer.activations) if layer.activations else "",
        f"{layer.operations:,}" if layer.operations else "",
        _times(layer.field) if layer.field else "",
        str(layer.depth) if layer.depth else "",
    )


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
