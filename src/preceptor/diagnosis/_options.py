"""What an operator was told besides its tensors, read back from the text that the graph keeps."""

from __future__ import annotations

from preceptor.observation.graph import Node

__all__ = ["axes_of", "named", "normalised_axis", "numbers"]

_SOFTMAX_ON_FIRST = (0, 1, 3)


def named(node: Node) -> dict[str, str]:
    """Return the arguments of an operator by name; the others by their place: "0", "1".

    Example:
        >>> named(Node(0, "softmax", "", "", "", (), options="dim=1, _stacklevel=3"))["dim"]
        '1'
    """
    found: dict[str, str] = {}
    for place, part in enumerate(_parts(node.options)):
        name, equals, value = part.partition("=")
        found[name if equals else str(place)] = value if equals else part
    return found


def numbers(node: Node) -> list[float]:
    """Return the plain numbers among the arguments without a name, in order.

    Example:
        >>> numbers(Node(0, "clamp", "", "", "", (), options="1e-07, 0.5"))
        [1e-07, 0.5]
    """
    return [float(value) for name, value in named(node).items() if name.isdigit() and _is_number(value)]


def axes_of(node: Node, rank: int) -> tuple[int, ...]:
    """Return the axes that ``dim`` (by name or first) says, counted from 0; () where none is given.

    Example:
        >>> axes_of(Node(0, "sum", "", "", "", (), options="dim=(-1), keepdim=True"), 3)
        (2,)
    """
    given = named(node)
    text = given.get("dim", given.get("axis", given.get("0", "")))
    parts = [part.strip() for part in text.strip("()").split(",")]
    return tuple(int(part) % rank for part in parts if rank and _is_integer(part))


def normalised_axis(node: Node) -> int | None:
    """Return the axis that a softmax or log-softmax runs over; None where it cannot be known.

    Without ``dim`` torch takes axis 0 of tensors with 0, 1 or 3 axes, else axis 1.
    """
    rank = len(node.inputs[0].shape) if node.inputs else 0
    if rank == 0:
        return None
    axes = axes_of(node, rank)
    if axes:
        return axes[0]
    return 0 if rank in _SOFTMAX_ON_FIRST else 1


def _parts(text: str) -> list[str]:
    """Split at the commas that stand outside brackets."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    last = text[begin:].strip()
    return [*parts, last] if last else parts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_integer(text: str) -> bool:
    return text.lstrip("-").isdigit()
