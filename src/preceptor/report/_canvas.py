"""Matplotlib figures as inline SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from preceptor.report._table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TOKENS", "Drawing", "page", "style", "svg"]

# Matplotlib draws with stand-in colours; each becomes a CSS variable, so that one SVG serves both themes.
TOKENS = {
    "ink": "#010101",
    "muted": "#020202",
    "rule": "#030303",
    "card": "#040404",
    "train": "#050505",
    "val": "#060606",
    "rate": "#070707",
    "hit": "#080808",
    "miss": "#090909",
    "mark": "#0a0a0a",
}
_VARIABLES = {colour: f"var(--{name})" for name, colour in TOKENS.items()}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # class names and file names may hold a dollar sign
    "font.family": ["DejaVu Sans"],  # measured with the font that matplotlib brings; the page sets its own
    "font.size": 11.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": TOKENS["ink"],
    "axes.edgecolor": TOKENS["rule"],
    "axes.labelcolor": TOKENS["muted"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": TOKENS["rule"],
    "grid.linewidth": 0.8,
    "xtick.color": TOKENS["rule"],
    "ytick.color": TOKENS["rule"],
    "xtick.labelcolor": TOKENS["muted"],
    "ytick.labelcolor": TOKENS["muted"],
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
    "lines.solid_capstyle": "round",
}
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_XLINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Drawing:
    """A figure with all that makes it readable without seeing it.

    Attributes:
        key: unique within the page, usable as an id.
        title: a heading of a few words.
        alt: the text alternative: what a reader would see.
        svg: the picture, ready to stand in an HTML document.
        caption: a line or two under the figure.
        table: the numbers that were drawn.
        plot: what the page's script reads values from, as `_plot.packed` gives it; "" for none.
    """

    key: str
    title: str
    alt: str
    svg: str
    caption: str
    table: Table
    plot: str = ""


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style, whatever the user's own matplotlib settings are."""
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings(
            "ignore", message=r"Glyph .* missing"
        )  # the browser has fonts for every script
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def page(
    width: float, height: float, left: float, right: float, bottom: float, top: float
) -> tuple[Figure, Axes]:
    """Return a figure of ``width`` by ``height`` CSS pixels and axes inset by the four margins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72))  # an SVG unit is 1/72 inch
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure, figure.add_axes(box)


def svg(figure: Figure, key: str, alt: str) -> str:
    """Render a figure as an SVG element without date or style sheet, its ids starting with ``key``."""
    import matplotlib as mpl

    mpl.rcParams["svg.hashsalt"] = key
    raw = io.StringIO()
    figure.savefig(raw, format="svg", metadata={"Date": None})
    root = ET.fromstring(raw.getvalue())  # noqa: S314  (matplotlib's own output of a moment ago)
    names: dict[str, str] = {}
    for element in root.iter():
        for target in (*_REFERENCE.findall(element.get("clip-path", "")), element.get(_XLINK, "")[1:]):
            if target:
                names.setdefault(target, f"{key}-{len(names)}")
    _strip(root, names)
    broad = " broad" if figure.get_size_inches()[0] > 10 else ""
    root.attrib = {
        "class": f"drawing{broad}",
        "viewBox": root.get("viewBox", ""),
        "role": "img",
        "aria-label": alt,
    }
    return ET.tostring(root, encoding="unicode")


def _strip(element: ET.Element, names: dict[str, str]) -> None:
    """Take out of an element, in place, whatever the page brings itself or does not need."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = {name: value for name, value in _attributes(element, names) if value}
    children: list[ET.Element] = []
    for child in element:
        _strip(child, names)
        if child.tag in ("metadata", "style"):
            continue
        hollow = child.tag in ("g", "defs") and not child.attrib
        if hollow and (child.tag == "g" or not len(child)):
            children += list(child)
        else:
            children.append(child)
    element[:] = children
    element.tail = None
    if element.tag != "text":
        element.text = None


def _attributes(element: ET.Element, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        if name == "id":
            yield name, names.get(value, "")
        elif name == _XLINK:
            yield "href", value if value.startswith("data:") else f"#{names[value[1:]]}"
        elif name == "clip-path":
            yield name, _REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", value)
        elif name == "style":
            yield name, _declarations(value)
        elif name == "d":
            yield name, " ".join(_round(value).split())
        elif not (name == "transform" and value.startswith("rotate(-0 ")):
            yield name, value if name == "viewBox" else _round(value)


def _round(text: str) -> str:
    """Keep one decimal: a tenth of a pixel is finer than a screen."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)


def _declarations(style: str) -> str:
    kept = []
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # the shorthand of older matplotlib: size and family together
            size = re.search(r"[\d.]+px", value)
            name, value = "font-size", size[0] if size else ""
        if name and value and name not in ("font-family", "stroke-linejoin", "stroke-dashoffset"):
            kept.append(f"{name}:{_VARIABLES.get(value.lower(), value)}")
    return ";".join(kept)
