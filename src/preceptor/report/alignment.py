"""Where a network looked in the source for each word that it wrote: as a picture, a page, or plain text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import ConfigError
from preceptor.files import write_text
from preceptor.report._format import clean

__all__ = ["Alignment", "save_alignments"]

_CELL, _LETTER, _GAP = 22, 7.2, 8
_SHADES = " ·░▒▓█"
_LONGEST = 24  # letters of a word that are shown


@dataclass(frozen=True, eq=False)
class Alignment:
    """Weights of an attention between the symbols of two sentences.

    Attributes:
        source: S symbols that were read, the end symbol among them.
        target: T symbols that were written.
        weights: (T, S), rows of sum 1.

    Example:
        >>> alignment = Alignment(("a", "dog"), ("ein", "Hund"), np.array([[0.9, 0.1], [0.2, 0.8]]))
        >>> print(alignment.as_text())
               d
               o
             a g
         ein █
        Hund · ▓
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: NDArray[np.float64]

    def as_text(self) -> str:
        """Return the map for a terminal: a row for each written symbol, darker where it looked."""
        columns = [_word(symbol) for symbol in self.source]
        names = [_word(symbol) for symbol in self.target]
        width, height = max(map(len, names), default=0), max(map(len, columns), default=0)
        lines = [
            " " * width + "".join(f" {column.rjust(height)[i]}" for column in columns) for i in range(height)
        ]
        for name, row in zip(names, self.weights, strict=True):
            shades = (_SHADES[min(int(w * len(_SHADES)), len(_SHADES) - 1)] for w in row.tolist())
            lines.append(name.rjust(width) + "".join(f" {shade}" for shade in shades))
        return "\n".join(line.rstrip() for line in lines)

    @property
    def pairs(self) -> list[tuple[str, str, float]]:
        """Each written symbol, the source symbol that it looked at most, and that weight."""
        best = self.weights.argmax(1) if len(self.target) else []
        return [
            (name, self.source[int(j)], float(row[j]))
            for name, j, row in zip(self.target, best, self.weights, strict=True)
        ]

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        shown = "; ".join(f"{clean(a, 40)} from {clean(b, 40)}" for a, b, _ in self.pairs[:40])
        return f"Where each written symbol was read: {shown or 'nothing was written'}."

    def as_svg(self) -> str:
        """Return the map as a picture that stands alone, or within a page that it takes its colours from."""
        columns, names = [_word(s) for s in self.source], [_word(s) for s in self.target]
        left = round(_LETTER * max(map(len, names), default=0)) + 2 * _GAP
        top = round(0.75 * _LETTER * max(map(len, columns), default=0)) + 2 * _GAP
        width = left + _CELL * len(columns) + round(0.75 * _LETTER * max(map(len, columns), default=0))
        height = top + _CELL * len(names) + _GAP
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {width} {height}" '
            f'role="img" aria-label="{escape(self.alt)}" font-family="sans-serif" font-size="12">'
        ]
        ink = 'style="fill:var(--ink,#222)"'
        for j, column in enumerate(columns):
            x = left + _CELL * j + _CELL // 2
            parts.append(
                f'<text transform="translate({x} {top - _GAP}) rotate(-45)" {ink}>{escape(column)}</text>'
            )
        for i, (name, row) in enumerate(zip(names, self.weights.tolist(), strict=True)):
            y = top + _CELL * i
            middle = y + _CELL // 2 + 4
            parts.append(
                f'<text x="{left - _GAP}" y="{middle}" text-anchor="end" {ink}>{escape(name)}</text>'
            )
            parts += [
                f'<rect x="{left + _CELL * j}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" '
                f'style="fill:var(--train,#1f5fa8)" fill-opacity="{0.04 + 0.96 * w:.2f}">'
                f"<title>{escape(name)} – {escape(columns[j])}: {w:.2f}</title></rect>"
                for j, w in enumerate(row)
            ]
        return "".join(parts) + "</svg>"


def _word(symbol: str) -> str:
    shown = clean(symbol, 200).strip() or "␣"
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def save_alignments(alignments: list[Alignment], path: Path) -> Path:
    """Write maps as one picture (.svg, of a single map), a page (.html) or text (.txt); return the path.

    Raises:
        ConfigError: another ending, or several maps for one picture.
        StorageError: the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in (".svg", ".html", ".txt") or (kind == ".svg" and len(alignments) != 1):
        raise ConfigError(
            "the alignments cannot be written so",
            expected="a file .html or .txt, or .svg for one sentence",
            received=f"{path.name} for {len(alignments)} sentences",
        )
    if kind == ".svg":
        content = alignments[0].as_svg()
    elif kind == ".txt":
        content = "\n\n".join(one.as_text() for one in alignments)
    else:
        figures = "".join(
            f"<figure>{one.as_svg()}"
            f"<figcaption>{escape(clean(' '.join(one.source), 400))}</figcaption></figure>"
            for one in alignments
        )
        content = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Alignments</title>'
            "<style>body{font-family:sans-serif;margin:2rem;max-width:60rem}svg{max-width:100%}</style></head>"
            f"<body><h1>Alignments</h1>{figures}</body></html>"
        )
    write_text(path, content + "\n")
    return path
