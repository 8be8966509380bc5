"""A graph as plain JSON values and back: structure and statistics, not the tensors that a replay needs."""

from __future__ import annotations

from typing import Any

from preceptor.observation.graph import Graph, Node, Parameter, Statistics, Value

__all__ = ["graph_from_plain", "graph_to_plain"]

_NODE = ("op", "module", "module_type", "where", "options", "random", "escapes")
_VALUE = ("kind", "name", "shape", "dtype", "device", "requires_grad", "where", "key")


def graph_to_plain(graph: Graph) -> dict[str, Any]:
    """Return lists and numbers that `graph_from_plain` makes the same structure of."""
    return {
        "nodes": [[getattr(node, name) for name in _NODE] + _edges(node) for node in graph.nodes],
        "values": [[getattr(value, name) for name in _VALUE] + _measured(value) for value in graph.values],
        "losses": [value.index for value in graph.losses],
        "parameters": [list(parameter) for parameter in graph.module_parameters],
        "backward": graph.backward,
    }


def graph_from_plain(data: dict[str, Any]) -> Graph:
    """Return the graph; it can be drawn and queried, but not replayed."""
    values = [_value(index, row) for index, row in enumerate(data["values"])]
    nodes = [_node(index, row, values) for index, row in enumerate(data["nodes"])]
    for value, row in zip(values, data["values"], strict=True):
        value.producer = nodes[row[-1]] if row[-1] >= 0 else None
    parameters = [
        Parameter(name, tuple(shape), trainable, key) for name, shape, trainable, key in data["parameters"]
    ]
    return Graph(
        nodes,
        values,
        [values[index] for index in data["losses"]],
        module_parameters=parameters,
        backward=data["backward"],
        broken=("its tensors were not saved", None),
    )


def _edges(node: Node) -> list[Any]:
    return [
        [value.index for value in node.inputs],
        [value.index for value in node.outputs],
        [value.index for value in node.mutates],
        list(node.depends),
        list(node.from_python),
    ]


def _measured(value: Value) -> list[Any]:
    statistics, gradient = value.statistics, value.gradient
    return [
        list(statistics) if statistics is not None else None,
        list(gradient) if gradient is not None else None,
        -1 if value.producer is None else value.producer.index,
    ]


def _value(index: int, row: list[Any]) -> Value:
    *named, statistics, gradient, _ = row
    value = Value(index, **dict(zip(_VALUE, named, strict=True)))
    value.shape = tuple(value.shape)
    value.raw_statistics = Statistics(*map(float, statistics)) if statistics is not None else None
    value.raw_gradient = Statistics(*map(float, gradient)) if gradient is not None else None
    return value


def _node(index: int, row: list[Any], values: list[Value]) -> Node:
    *named, inputs, outputs, mutates, depends, from_python = row
    known = dict(zip(_NODE, named, strict=True))
    return Node(
        index,
        inputs=tuple(values[i] for i in inputs),
        outputs=tuple(values[i] for i in outputs),
        mutates=tuple(values[i] for i in mutates),
        depends=tuple(depends),
        from_python=tuple(from_python),
        **known,
    )
