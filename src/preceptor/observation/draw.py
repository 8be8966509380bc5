"""A graph as text, as DOT, and as one SVG picture."""

from __future__ import annotations

from html import escape

from preceptor.observation._graph_layout import Box, layout
from preceptor.observation.graph import Graph, Node, Statistics, Value

__all__ = ["to_dot", "to_html", "to_svg", "to_text"]

_FILL = {
    "parameter": "#fdebd0",
    "buffer": "#f5eef8",
    "input": "#d6eaf8",
    "operator": "#ffffff",
    "loss": "#fadbd8",
}
_SYMBOLS = {
    "add": "+",
    "sub": "−",
    "mul": "·",
    "truediv": "/",
    "div": "/",
    "matmul": "@",
    "neg": "−",
    "pow": "^",
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 58, 26, 44, 16


def to_text(graph: Graph) -> str:
    """Return one line for every tensor: what made it, its shape, its value, its gradient.

    A scalar shows its value; a larger tensor mean ± standard deviation.

    Example:
        >>> import torch
        >>> from preceptor.observation.capture import capture
        >>> x, y, z = (torch.tensor(v, requires_grad=True) for v in (1.0, -3.0, 4.0))
        >>> with capture(names={"x": x, "y": y, "z": z}) as captured:
        ...     ((x + y) * z).backward()
        >>> print(to_text(captured.graph))
        x   parameter    ()   1  gradient 4
        y   parameter    ()  -3  gradient 4
        %2  x + y        ()  -2  gradient 4
        z   parameter    ()   4  gradient -2
        %4  %2 · z       ()  -8  gradient 1
    """
    rows = [
        (
            value.label,
            expression(value.producer) if value.producer else value.kind,
            _shape(value),
            number(value.statistics),
            f"gradient {number(value.gradient)}" if value.gradient else "",
            value.producer.module if value.producer else "",
        )
        for value in graph.values
    ]
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    widths[1] = max(widths[1], 11)
    lines = []
    for name, made, shape, shown, gradient, module in rows:
        parts = [name.ljust(widths[0]), made.ljust(widths[1]), shape.rjust(widths[2]), shown.rjust(widths[3])]
        lines.append("  ".join([*parts, gradient, module and f"[{module}]"]).rstrip())
    return "\n".join(lines)


def to_dot(graph: Graph) -> str:
    """Return the graph in Graphviz's language: boxes for operators, ellipses for what entered the step.

    Example:
        >>> print(to_dot(Graph([], [], [])))
        digraph step {
          rankdir=TB; node [shape=box, fontname="Helvetica"];
        }
    """
    lines = ["digraph step {", '  rankdir=TB; node [shape=box, fontname="Helvetica"];']
    for value in graph.leaves:
        label = _quoted("\\n".join(_leaf_lines(value)))
        lines.append(
            f"  v{value.index} [label={label}, shape=ellipse, style=filled, fillcolor={_fill(value)}];"
        )
    for node in graph.nodes:
        lines.append(f"  n{node.index} [label={_quoted(_node_text(node))}];")
        for value in node.inputs:
            source = f"v{value.index}" if value.producer is None else f"n{value.producer.index}"
            shown = f"grad {number(value.gradient)}" if value.gradient else ""
            lines.append(f"  {source} -> n{node.index} [label={_quoted(shown)}];")
    return "\n".join([*lines, "}"])


def to_svg(graph: Graph, *, limit: int = 400) -> str:
    """Return one self-contained SVG: what entered the step above, the loss below, gradients on the edges.

    Above ``limit`` boxes the operators of one module are drawn as one box.

    Example:
        >>> to_svg(Graph([], [], [])).startswith("<svg")
        True
    """
    boxes = _boxes(graph, limit)
    places = layout(boxes, _WIDTH + _GAP_X, _HEIGHT + _GAP_Y)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + 2 * _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="Helvetica, sans-serif" font-size="11">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>',
    ]
    for box in boxes.values():
        for source, shown in box.sources.items():
            parts.append(_edge(places[source], places[box.key], shown))
    parts += [_drawn(box, places[box.key]) for box in boxes.values()]
    return "\n".join([*parts, "</svg>"])


def to_html(graph: Graph, *, lines: int = 400) -> str:
    """Return the graph for a notebook: the drawing, which scrolls, and under it the first lines as text.

    Example:
        >>> "<svg" in to_html(Graph([], [], []))
        True
    """
    told = to_text(graph).splitlines()
    rest = f"\n… and {len(told) - lines:,} more lines" if len(told) > lines else ""
    return (
        f"<div><p>{escape(repr(graph))}</p>"
        f'<div style="overflow:auto;max-height:40em;background:#fff">{to_svg(graph)}</div>'
        f"<details><summary>as text</summary><pre>{escape(chr(10).join(told[:lines]) + rest)}</pre></details>"
        "</div>"
    )


def expression(node: Node) -> str:
    """Return an operator with its inputs as a person would write it: "x + y", "softmax(%3)"."""
    names = [value.label for value in node.inputs]
    if node.op in _SYMBOLS and len(names) == 2:
        return f"{names[0]} {_SYMBOLS[node.op]} {names[1]}"
    shown = names[:4] + (["…"] if len(names) > 4 else [])
    return f"{node.op}({', '.join(shown)})"


def number(statistics: Statistics | None) -> str:
    """Return a constant as one number, anything else as mean ± standard deviation.

    Example:
        >>> number(Statistics(-8.0, -8.0, -8.0, 0.0)), number(Statistics(-1.0, 1.0, 0.0, 0.5))
        ('-8', '0 ± 0.5')
    """
    if statistics is None:
        return ""
    if statistics.minimum == statistics.maximum:
        return f"{statistics.mean:.4g}"
    return f"{statistics.mean:.3g} ± {statistics.std:.2g}" + ("" if statistics.finite else " (not finite)")


def _boxes(graph: Graph, limit: int) -> dict[str, Box]:
    grouped = len(graph.nodes) + len(graph.leaves) > limit
    keys = {node.index: _group(node) if grouped else f"n{node.index}" for node in graph.nodes}
    losses = {loss.producer.index for loss in graph.losses if loss.producer is not None}
    boxes: dict[str, Box] = {}
    for value in [] if grouped else graph.leaves:
        boxes[f"v{value.index}"] = Box(f"v{value.index}", _leaf_lines(value), value.kind, value.where)
    for node in graph.nodes:
        key = keys[node.index]
        kind = "loss" if node.index in losses else "operator"
        box = boxes.setdefault(key, Box(key, [], kind, node.where))
        box.lines = [key.partition(":")[2]] if grouped else _node_lines(node)
        box.kind = kind if kind == "loss" else box.kind
        for value in node.inputs:
            source = f"v{value.index}" if value.producer is None else keys[value.producer.index]
            if source in boxes and source != key:
                box.sources[source] = f"∂ {number(value.gradient)}" if value.gradient else ""
    return boxes


def _group(node: Node) -> str:
    return f"g:{node.module or node.op}"


def _node_text(node: Node) -> str:
    return "\\n".join(_node_lines(node))


def _node_lines(node: Node) -> list[str]:
    out = node.outputs[0] if node.outputs else None
    head = node.op + (f"  [{node.module}]" if node.module else "")
    shown = [f"{_shape(out)} {number(out.statistics)}".strip()] if out is not None else []
    return [head, *shown, node.where]


def _leaf_lines(value: Value) -> list[str]:
    return [value.label, f"{_shape(value)} {number(value.statistics)}".strip(), value.kind]


def _shape(value: Value) -> str:
    return "(" + "×".join(str(size) for size in value.shape) + ")"


def _fill(value: Value) -> str:
    return _quoted(_FILL.get(value.kind, "#eeeeee"))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'


def _edge(start: tuple[float, float], end: tuple[float, float], shown: str) -> str:
    x1, y1 = start[0] + _MARGIN + _WIDTH / 2, start[1] + _MARGIN + _HEIGHT
    x2, y2 = end[0] + _MARGIN + _WIDTH / 2, end[1] + _MARGIN
    bend = max(_GAP_Y / 2, (y2 - y1) / 2)
    path = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    middle = f'x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2:.0f}"'
    label = f'<text {middle} fill="#b03a2e" text-anchor="middle">{escape(shown)}</text>'
    return f'<path d="{path}" fill="none" stroke="#999" marker-end="url(#tip)"/>' + (label if shown else "")


def _drawn(box: Box, place: tuple[float, float]) -> str:
    x, y = place[0] + _MARGIN, place[1] + _MARGIN
    fill = _FILL.get(box.kind, "#eeeeee")
    corner = 4 if box.kind in ("operator", "loss") else 20
    size = f'width="{_WIDTH}" height="{_HEIGHT}" rx="{corner}"'
    rect = f'<rect x="{x:.0f}" y="{y:.0f}" {size} fill="{fill}" stroke="#555"/>'
    lines = [
        f'<text x="{x + _WIDTH / 2:.0f}" y="{y + 17 + 15 * i:.0f}" text-anchor="middle"'
        f"{' font-weight=' + chr(34) + 'bold' + chr(34) if i == 0 else ''}>{escape(line[:30])}</text>"
        for i, line in enumerate(box.lines)
    ]
    return f"<g><title>{escape(' '.join([*box.lines, box.where]))}</title>{rect}{''.join(lines)}</g>"
