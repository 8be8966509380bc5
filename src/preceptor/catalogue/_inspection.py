"""What an inspection gives back: numbers, one sentence, and pictures that are drawn when asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._labels import name_points
from preceptor.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Inspection", "Picture", "array"]

COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5")
_INCHES = 3.2  # of one picture
_TILES = 64  # images drawn of many
_ARROWS = 12  # of a contour map, along each axis


def array(values: Any) -> NDArray[Any]:
    """Return tensors, lists and arrays as a NumPy array on the CPU."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, as data.

    Attributes:
        kind: "lines" (x against every series), "bars" (one value to a label of x), "points" (x against y,
            coloured by ``labels``, with ``names`` beside them), "image" (a matrix), "tiles" (many small
            images, (N, H, W)), "contour" (values over a grid, with arrows if there are), "graph" (labels at x
            and y, joined by edges).
        series: the values by name.
        x: positions or labels; None: 0, 1, ….
        title, x_label, y_label: words.
        log: axes with a logarithmic scale: "", "x", "y" or "xy".
        marks: positions on the x axis that are marked by a line, by what they mean.
    """

    kind: Literal["lines", "bars", "points", "image", "tiles", "contour", "graph"]
    series: Mapping[str, Any]
    x: Any = None
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    log: str = ""
    marks: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches: a graph's grow with it, and points with names need room."""
        if "names" in self.series:
            return 3 * _INCHES, 2 * _INCHES
        if self.kind != "graph":
            return 1.4 * _INCHES, _INCHES
        x, y = array(self.series["x"]), array(self.series["y"])
        return max(_INCHES, 1.4 * float(np.ptp(x) + 1)), max(_INCHES, 0.55 * float(np.ptp(y) + 1))

    def draw(self, axes: Axes, colours: Sequence[str] = COLOURS) -> None:
        """Draw into axes of matplotlib."""
        _DRAW[self.kind](self, axes, colours)
        axes.set_title(self.title, fontsize="medium")
        axes.set_xlabel(self.x_label)
        alone = next(iter(self.series)) if self.kind in ("lines", "bars") and len(self.series) == 1 else ""
        axes.set_ylabel(self.y_label or alone)
        if "x" in self.log:
            axes.set_xscale("log")
        if "y" in self.log:
            axes.set_yscale("log")
        if "names" in self.series:
            name_points(axes, self.series["names"], array(self.series["x"]), array(self.series["y"]))
        for meaning, position in self.marks.items():
            axes.axvline(position, color="0.5", linestyle="--", linewidth=1, label=meaning)
        if len(axes.get_legend_handles_labels()[1]) > 1 or self.marks:
            axes.legend(frameon=False, fontsize="small")


def _lines(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    for i, (name, values) in enumerate(picture.series.items()):
        y = array(values)
        x = np.arange(len(y)) if picture.x is None else array(picture.x)
        axes.plot(x, y, color=colours[i % len(colours)], label=name, marker="." if len(y) < 30 else None)


def _bars(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    width = 0.8 / len(picture.series)
    for i, (name, values) in enumerate(picture.series.items()):
        y = array(values)
        axes.bar(np.arange(len(y)) + i * width, y, width, color=colours[i % len(colours)], label=name)
    if picture.x is not None:
        axes.set_xticks(range(len(picture.x)), [str(label) for label in picture.x], rotation=45, ha="right")


def _points(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    x, y = array(picture.series["x"]), array(picture.series["y"])
    labels = picture.series.get("labels")
    groups = np.zeros(len(x)) if labels is None else array(labels)
    for i, label in enumerate(np.unique(groups)):
        own = groups == label
        name = "" if labels is None else str(label)
        axes.scatter(x[own], y[own], s=8, color=colours[i % len(colours)], label=name)


def _image(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    (name, values), *_ = picture.series.items()
    shown = axes.imshow(array(values), aspect="auto", interpolation="nearest")
    axes.figure.colorbar(shown, ax=axes, label=name)
    axes.grid(visible=False)


def _tiles(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    (images, *_) = (array(v)[:_TILES].astype(float) for v in picture.series.values())
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[1:3]
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *images.shape[3:]), np.nan)
    for i, image in enumerate(images):
        low, high = np.nanmin(image), np.nanmax(image)
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = (image - low) / ((high - low) or 1.0)
    axes.imshow(sheet, cmap="gray", interpolation="nearest")
    axes.set_axis_off()


def _contour(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    s = {name: array(values) for name, values in picture.series.items()}
    drawn = axes.contour(s["x"], s["y"], s["z"], levels=15)
    axes.clabel(drawn, fontsize="x-small")
    if "dx" in s:
        some = slice(None, None, max(1, len(s["x"]) // _ARROWS))
        x, y, dx, dy = (s[name][some, some] for name in ("x", "y", "dx", "dy"))
        axes.quiver(x, y, dx, dy, color=colours[0], angles="xy")


def _graph(picture: Picture, axes: Axes, colours: Sequence[str]) -> None:
    x, y = array(picture.series["x"]), array(picture.series["y"])
    for source, target in picture.series["edges"]:
        axes.annotate(
            "", (x[target], y[target]), (x[source], y[source]),
            arrowprops={"arrowstyle": "->", "color": colours[0], "shrinkA": 14, "shrinkB": 14},
        )  # fmt: skip
    for label, at, height in zip(picture.series["labels"], x, y, strict=True):
        axes.text(at, height, label, ha="center", va="center", fontsize="x-small")
    axes.set_xlim(x.min() - 0.6, x.max() + 0.6)
    axes.set_ylim(y.min() - 0.6, y.max() + 0.6)
    axes.set_axis_off()


_DRAW = {
    "lines": _lines, "bars": _bars, "points": _points, "image": _image, "tiles": _tiles, "contour": _contour,
    "graph": _graph,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found: numbers to go on with, a sentence to read, pictures to look at.

    Attributes:
        title: what was inspected.
        finding: one sentence with the numbers that matter.
        data: the numbers by name.
        pictures: what `figure` draws.

    Example:
        >>> from preceptor.catalogue import get
        >>> import torch
        >>> seen = get("condition-number", torch.diag(torch.tensor([1.0, 10.0])))
        >>> seen["condition_number"]
        10.0
    """

    title: str
    finding: str
    data: Mapping[str, Any]
    pictures: tuple[Picture, ...] = ()

    def __repr__(self) -> str:
        return f"{self.title}: {self.finding}"

    def __getitem__(self, name: str) -> Any:
        if name not in self.data:
            raise ConfigError(
                f"{self.title} has no {name!r}", expected=", ".join(self.data), received=repr(name)
            )
        return self.data[name]

    def figure(self, colours: Sequence[str] = COLOURS) -> Figure:
        """Return the pictures as one figure of matplotlib.

        Raises:
            DataError: there is nothing to draw.
        """
        from matplotlib.figure import Figure

        if not self.pictures:
            raise DataError(f"{self.title} has no picture", expected="something to draw", received="numbers")
        count = len(self.pictures)
        widths, heights = zip(*(picture.size for picture in self.pictures), strict=True)
        figure = Figure(figsize=(sum(widths), max(heights)), layout="constrained")
        for i, picture in enumerate(self.pictures):
            picture.draw(figure.add_subplot(1, count, i + 1), colours)
        return figure

    def save(self, path: Path | str) -> Path:
        """Write the figure to a file, in the format that its ending names; return the path."""
        target = Path(path)
        self.figure().savefig(target)
        return target
