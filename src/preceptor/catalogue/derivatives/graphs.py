"""Computational graphs: of an expression, with values and gradients, and of a network, with shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.derivatives.engine import Scalar
from preceptor.errors import ConfigError, ModelError

__all__ = ["computational_graph", "network_graph"]

_KIND = "derivative"
_DRAWN = 60  # nodes of a picture that can still be read
Edges = Sequence[tuple[int, int]]


@registered(
    kind=_KIND,
    name="computational-graph",
    aliases=("expression-graph", "graph-of-an-expression"),
    formula="nodes: inputs and gates (+, ×, /, exp, log, …); edges: what flows into what; every node with "
    "its value v and the gradient ∂out/∂v",
    shapes="f: Scalars → Scalar, inputs by name → nodes, edges, text, dot, a picture",
    when="to follow the chain rule by eye",
    pitfalls="one node to a number: for whole tensors and networks take network-graph, for a real training "
    "step preceptor.observation.capture",
    source="Bauer, Computational Graphs and Rounding Error, 1974",
    example="""
        >>> graph = get('computational-graph', lambda x, y, z: (x + y) * z, {'x': 1, 'y': -3, 'z': 4})
        >>> print(graph['text'])
        x      1  gradient 4
        y     -3  gradient 4
        +     -2  gradient 4
        z      4  gradient -2
        ×     -8  gradient 1
        """,
)
def computational_graph(f: Callable[..., Scalar], inputs: Mapping[str, float]) -> Inspection:
    """Computational graph of an expression, with every value and every gradient."""
    out = f(**{name: Scalar(value, name) for name, value in inputs.items()})
    if not isinstance(out, Scalar):
        raise ConfigError(
            "the expression has no graph", expected="a function of Scalars", received=type(out).__name__
        )
    out.backward()
    order = out.order()
    place = {id(node): i for i, node in enumerate(order)}
    edges = [(place[id(source)], i) for i, node in enumerate(order) for source, _ in node.edges]
    labels = [node.name or node.gate or "constant" for node in order]
    lines = [
        f"{label:<4} {node.value:>3g}  gradient {node.grad:g}"
        for label, node in zip(labels, order, strict=True)
    ]
    shown = [f"{label}\n{n.value:g}\n{n.grad:g}" for label, n in zip(labels, order, strict=True)]
    return Inspection(
        "Computational graph",
        f"{len(order)} nodes, {len(edges)} edges, value {out.value:g}",
        {
            "value": out.value,
            "nodes": order,
            "edges": edges,
            "gradients": {node.name: node.grad for node in order if node.name},
            "text": "\n".join(lines),
            "dot": _dot(shown, edges),
        },
        _pictures(shown, edges),
    )


@registered(
    kind=_KIND,
    name="network-graph",
    aliases=("nn-as-graph", "model-graph", "module-graph"),
    formula="nodes: inputs, layers and operators in order of execution; edges: the tensors between them, "
    "with shapes",
    shapes="model, x (N, …) → nodes with name, operator and shape; edges; text, dot, a picture",
    when="to see what a model computes, and where shapes change",
    pitfalls="a model that decides by the values of its tensors is shown as it ran for x",
    source="Reed et al., torch.fx: Practical Program Capture and Transformation for Deep Learning, 2022",
    differs="torch.fx.symbolic_trace; where that fails, the operators that ran (make_fx)",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
        >>> for node in get('network-graph', net, torch.zeros(2, 4))['nodes']:
        ...     print(node['operator'], node['shape'])
        input (2, 4)
        Linear (2, 3)
        ReLU (2, 3)
        output (2, 3)
        """,
)
def network_graph(model: nn.Module, x: Tensor) -> Inspection:
    """Network as a computational graph: layers and operators with the shapes between them."""
    traced, modules = _traced(model, x)
    place: dict[fx.Node, int] = {}
    nodes: list[dict[str, Any]] = []
    edges: list[tuple[int, int]] = []
    for node in traced.graph.nodes:
        if node.op == "get_attr":
            continue
        place[node] = len(nodes)
        edges += [(place[source], len(nodes)) for source in node.all_input_nodes if source in place]
        nodes.append({"name": node.name, "operator": _operator(node, modules), "shape": _shape(node)})
    labels = [f"{node['operator']}\n{_times(node['shape'])}" for node in nodes]
    counts = Counter(node["operator"] for node in nodes)
    return Inspection(
        "Network as a graph",
        f"{len(nodes)} nodes, {len(edges)} edges: "
        + ", ".join(f"{n} {op}" for op, n in counts.most_common(5)),
        {
            "nodes": nodes,
            "edges": edges,
            "text": "\n".join(f"{n['name']:<24} {n['operator']:<20} {_times(n['shape'])}" for n in nodes),
            "dot": _dot(labels, edges),
        },
        _pictures(labels, edges),
    )


class _Tracer(fx.Tracer):
    """Keeps every layer whole, torch's or one's own; only what holds layers is opened."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or next(m.children(), None) is None


def _traced(model: nn.Module, x: Tensor) -> tuple[fx.GraphModule, dict[str, nn.Module]]:
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.passes.shape_prop import ShapeProp

    training, modules = model.training, dict(model.named_modules())
    model.eval()
    try:
        with torch.no_grad():
            try:
                traced = fx.GraphModule(model, _Tracer().trace(model))
                ShapeProp(traced).propagate(x)
            except Exception:  # noqa: BLE001 - whatever keeps it from being traced symbolically
                traced = make_fx(model)(x)
    except Exception as error:
        raise ModelError(
            "the model cannot be traced",
            expected="a model whose forward pass takes x",
            received=f"{type(error).__name__}: {error}"[:200],
            hint="preceptor.observation.capture records the operators of a real training step",
        ) from error
    finally:
        model.train(training)
    return traced, modules


def _operator(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    if node.op == "placeholder":
        return "input"
    if node.op == "output":
        return "output"
    if node.op == "call_module":
        return type(modules[str(node.target)]).__name__
    target = (
        node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    )
    return target.partition(".")[0]


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta", node.meta.get("val"))
    if meta is None and node.op == "output" and node.all_input_nodes:
        return _shape(node.all_input_nodes[-1])
    return tuple(getattr(meta, "shape", ()))


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _dot(labels: Sequence[str], edges: Edges) -> str:
    """Return the graph in the language of Graphviz."""
    quoted = (label.replace('"', "'").replace("\n", "\\n") for label in labels)
    lines = [f'  {i} [shape=box, label="{label}"];' for i, label in enumerate(quoted)]
    lines += [f"  {source} -> {target};" for source, target in edges]
    return "\n".join(["digraph {", *lines, "}"])


def _pictures(labels: Sequence[str], edges: Edges) -> tuple[Picture, ...]:
    """Place every node below what it depends on; none where it could not be read."""
    if len(labels) > _DRAWN:
        return ()
    depth = [0] * len(labels)
    for source, target in edges:
        depth[target] = max(depth[target], depth[source] + 1)
    beside: Counter[int] = Counter()
    places = []
    for row in depth:
        places.append(float(beside[row]))
        beside[row] += 1
    x = [place - (beside[row] - 1) / 2 for place, row in zip(places, depth, strict=True)]
    y = [-float(row) for row in depth]
    return (Picture("graph", {"labels": list(labels), "x": x, "y": y, "edges": list(edges)}),)
