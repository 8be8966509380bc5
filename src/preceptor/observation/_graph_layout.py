"""Where the boxes of a drawn graph stand: in layers, what is read above what reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Box", "layout"]


@dataclass
class Box:
    """One box of the picture and the boxes it reads, with the text on each edge."""

    key: str
    lines: list[str]
    kind: str
    where: str
    sources: dict[str, str] = field(default_factory=dict)


def layout(boxes: dict[str, Box], width: float, height: float) -> dict[str, tuple[float, float]]:
    """Return the corner of every box: layers by longest path, order within a layer by the mean of neighbours.

    Boxes must come after the boxes that they read; edges that run back are ignored.

    Example:
        >>> a, b = Box("a", [], "input", ""), Box("b", [], "operator", "", {"a": ""})
        >>> layout({"a": a, "b": b}, 10, 5)
        {'a': (0.0, 0.0), 'b': (0.0, 5.0)}
    """
    order = {key: i for i, key in enumerate(boxes)}
    rank: dict[str, int] = {}
    for key, box in boxes.items():
        rank[key] = max((rank[s] + 1 for s in box.sources if order[s] < order[key]), default=0)
    readers: dict[str, list[str]] = {key: [] for key in boxes}
    for key, box in boxes.items():
        for source in box.sources:
            readers[source].append(key)
    for key, box in boxes.items():  # what enters the step stands right above its first reader
        if not box.sources and readers[key]:
            rank[key] = max(0, min(rank[reader] for reader in readers[key]) - 1)
    layers: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for key in boxes:
        layers[rank[key]].append(key)
    for sweep in range(4):
        neighbours = {key: list(boxes[key].sources) if sweep % 2 == 0 else readers[key] for key in boxes}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _sort(layer, layers, rank, neighbours)
    widest = max((len(layer) for layer in layers), default=0)
    return {
        key: ((i + (widest - len(layer)) / 2) * width, float(rank[key] * height))
        for layer in layers
        for i, key in enumerate(layer)
    }


def _sort(
    layer: list[str], layers: list[list[str]], rank: dict[str, int], neighbours: dict[str, list[str]]
) -> None:
    position = {key: i / max(1, len(row)) for row in layers for i, key in enumerate(row)}
    here = {key: i for i, key in enumerate(layer)}

    def weight(key: str) -> tuple[float, int]:
        near = [position[other] for other in neighbours[key] if rank[other] != rank[key]]
        return (sum(near) / len(near) if near else position[key], here[key])

    layer.sort(key=weight)
