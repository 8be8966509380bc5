"""Inspections of what happens inside a network: activations, feature maps, drift, redundant layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._places import is_activation
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = [
    "DriftMonitor",
    "activation_histograms",
    "feature_maps",
    "first_layer_filters",
    "layer_redundancy",
]

_KIND = "inspection"
_BOUNDED = {
    nn.Tanh: (-1.0, 1.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
}
_LEARNING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@contextmanager
def _looking(modules: dict[str, nn.Module], see: Callable[[str, Any, Tensor], Any]) -> Iterator[None]:
    """Call ``see(name, inputs, output)`` at each pass through a module; what it returns is the new output."""

    def hook(name: str) -> Callable[..., Any]:
        return lambda _, inputs, output: see(name, inputs, output)

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run without gradients, every module in evaluation mode, and put the modes back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _outputs(model: nn.Module, x: Tensor, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    with evaluating(model), _looking(modules, lambda n, _, z: seen.__setitem__(n, z.detach())):
        model(x)
    return seen


def _named(
    model: nn.Module, layers: Sequence[str] | None, suits: Callable[[nn.Module], bool]
) -> dict[str, nn.Module]:
    known = {name: module for name, module in model.named_modules() if name}
    if layers is None:
        known = {name: module for name, module in known.items() if suits(module)}
    elif missing := [name for name in layers if name not in known]:
        raise ModelError(
            "the model has no such layer", expected=", ".join(known), received=", ".join(map(repr, missing))
        )
    else:
        known = {name: known[name] for name in layers}
    if not known:
        raise ModelError(
            "the model has no layer to look at",
            expected="named layers of the kind that is inspected",
            received=type(model).__name__,
            hint='layers=["…"] names them',
        )
    return known


def _by_unit(z: Tensor) -> Tensor:
    """Return (examples and places, units): dimension 1 holds the units, in sequences the last."""
    return z.movedim(1, -1).reshape(-1, z.shape[1]) if z.ndim != 3 else z.reshape(-1, z.shape[-1])


@registered(
    kind=_KIND,
    name="activation-histograms",
    aliases=("activation-histogram", "activation-histograms-per-layer", "dead-units", "activations-by-layer"),
    formula="per layer: histogram of a; dead units: a = 0 on all examples; saturated: a within 1 % of a "
    "bound of tanh or sigmoid; zeros: share of all a that are 0",
    shapes="model, x (N, …) → per layer mean, std, dead, saturated, counts and edges",
    when="at the start, to see whether the signal keeps its size; later, for dead and saturated units",
    pitfalls="half of all ReLU outputs are zero in a healthy net: a unit is dead only if all of its outputs "
    "are",
    source="Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU())
        >>> _ = torch.nn.init.constant_(net[0].bias, -100.0)
        >>> get('activation-histograms', net, torch.randn(8, 2))['dead']
        {'1': 1.0}
        """,
)
def activation_histograms(
    model: nn.Module, x: Tensor, layers: Sequence[str] | None = None, bins: int = 40
) -> Inspection:
    """Activation histograms by layer, with dead and saturated units counted."""
    check_count("activation-histograms", "bins", bins)
    modules = _named(model, layers, is_activation)
    facts: dict[str, dict[str, Any]] = {}
    pictures = []
    for name, z in _outputs(model, x, modules).items():
        units = _by_unit(z.float())
        if not bool(units.isfinite().all()):
            raise ModelError(
                "activations are not finite", expected="numbers", received=f"NaN or inf in {name}"
            )
        low, high = _BOUNDED.get(type(modules[name]), (float("-inf"), float("inf")))
        margin = 0.01 * (high - low)
        counts, edges = torch.histogram(units.flatten().cpu(), bins)
        facts[name] = {
            "mean": float(units.mean()),
            "std": float(units.std(correction=0)),
            "dead": float((units == 0).all(0).float().mean()),
            "zeros": float((units == 0).float().mean()),
            "saturated": float(((units < low + margin) | (units > high - margin)).float().mean())
            if high < float("inf")
            else 0.0,
            "counts": counts,
            "edges": edges,
        }
        pictures.append(
            Picture("lines", {"count": counts}, (edges[1:] + edges[:-1]) / 2, f"layer {name}", "activation")
        )
    dead = {name: f["dead"] for name, f in facts.items()}
    worst = max(dead, key=dead.__getitem__)
    return Inspection(
        "Activations by layer",
        f"{len(facts)} layers; most dead units in {worst}: {dead[worst]:.1%}",
        {"layers": facts, "dead": dead, "saturated": {n: f["saturated"] for n, f in facts.items()}},
        tuple(pictures[:6]),
    )


@registered(
    kind=_KIND,
    name="first-layer-filters",
    aliases=("filters", "filter-images"),
    formula="the weights (F, C, H, W) of a convolution as F images, each scaled to its own range; with the "
    "shape (C, H, W) of the images also the rows of a linear layer, the first of all by default",
    shapes="model → images (F, H, W), or (F, H, W, 3) for three channels",
    when="after training on images: edges and colours are a good sign, noise or copies are not",
    pitfalls="only the first layer's can be read as pictures of the input; other channels are averaged",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural "
    "Networks, 2012",
    example=">>> get('first-layer-filters', torch.nn.Sequential(torch.nn.Conv2d(1, 6, "
    "5)))['filters'].shape\ntorch.Size([6, 5, 5])",
)
def first_layer_filters(
    model: nn.Module, layer: str | None = None, shape: Sequence[int] | None = None
) -> Inspection:
    """Filters of a convolution as images, the first layer's unless another is named."""
    kinds = (nn.Conv2d,) if shape is None else (nn.Conv2d, nn.Linear)
    modules = _named(model, None if layer is None else [layer], lambda m: isinstance(m, kinds))
    name, module = next(iter(modules.items()))
    if not isinstance(module, kinds):
        raise ModelError("filters are of convolutions", expected="a Conv2d", received=type(module).__name__)
    weights = module.weight.detach().cpu()
    if isinstance(module, nn.Linear) and shape is not None:
        if module.in_features != math.prod(shape):
            received = f"{module.in_features} inputs in {name}"
            raise ModelError("filters are of images", expected=f"{tuple(shape)}", received=received)
        weights = weights.reshape(len(weights), *shape)
    images = weights.movedim(1, -1) if weights.shape[1] == 3 else weights.mean(1)
    return Inspection(
        "Filters",
        f"{len(images)} filters of {weights.shape[2]}×{weights.shape[3]} in {name}",
        {"filters": images, "layer": name},
        (Picture("tiles", {"filters": images}, title=name),),
    )


@registered(
    kind=_KIND,
    name="feature-maps",
    aliases=("activation-maps", "feature-map-images"),
    formula="the outputs of the convolutions for one example, one image a filter",
    shapes="model, x (1, C, H, W) → by layer (F, H', W')",
    when="to see what each filter answers to",
    pitfalls="each image is scaled to its own range: a map that is almost zero looks as strong as the others",
    source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014",
    example="""
        >>> seen = get('feature-maps', torch.nn.Sequential(torch.nn.Conv2d(1, 6, 5)), torch.zeros(1, 1, 8, 8))
        >>> seen['maps']['0'].shape
        torch.Size([6, 4, 4])
        """,
)
def feature_maps(model: nn.Module, x: Tensor, layers: Sequence[str] | None = None) -> Inspection:
    """Feature maps: what every filter makes of one image."""
    modules = _named(model, layers, lambda m: isinstance(m, nn.Conv2d))
    maps = {name: z[0].cpu() for name, z in _outputs(model, x[:1], modules).items() if z.ndim == 4}
    if not maps:
        raise ModelError("there are no maps", expected="layers with outputs (N, F, H, W)", received="others")
    pictures = tuple(Picture("tiles", {"maps": z}, title=name) for name, z in list(maps.items())[:6])
    return Inspection(
        "Feature maps", f"{sum(map(len, maps.values()))} maps of {len(maps)} layers", {"maps": maps}, pictures
    )


@registered(
    kind=_KIND,
    name="layer-redundancy",
    aliases=("layer-redundancy-ablation", "layer-ablation", "redundant-layers"),
    formula="loss(model with block f replaced by the identity) − loss(model), for every block whose output "
    "has the shape of its input",
    shapes="model, loss: outputs → (), x (N, …), blocks by name (default: the outermost that keep the shape)",
    when="which layers of a deep network could be left out; residual blocks can often be",
    pitfalls="one block at a time: two may be redundant each, but not both; without a shortcut most are "
    "needed",
    source="Veit, Wilber and Belongie, Residual Networks Behave Like Ensembles of Relatively Shallow "
    "Networks, 2016",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(3, 3))
        >>> seen = get('layer-redundancy', net, lambda z: z.square().mean(), torch.randn(8, 3))
        >>> seen['changes']['0']
        0.0
        """,
)
def layer_redundancy(
    model: nn.Module, loss: Callable[[Tensor], Tensor], x: Tensor, blocks: Sequence[str] | None = None
) -> Inspection:
    """Layer redundancy: what the loss becomes without each block in turn."""
    modules = _named(model, blocks, lambda _: True)
    kept: dict[str, bool] = {}

    def compare(name: str, inputs: Any, output: Any) -> None:
        given = inputs[0] if inputs else None
        kept[name] = isinstance(output, Tensor) and isinstance(given, Tensor) and given.shape == output.shape

    with evaluating(model):
        with _looking(modules, compare):
            base = float(loss(model(x)))
        names = [n for n, fits in kept.items() if fits]
        if blocks is None:
            names = [n for n in names if not any(n.startswith(f"{other}.") for other in names)]
        changes: dict[str, float] = {}
        for name in names:
            with _looking({name: modules[name]}, lambda _, inputs, output: inputs[0]):
                changes[name] = float(loss(model(x))) - base
    if not changes:
        raise ModelError(
            "no block can be left out", expected="one that keeps its input's shape", received="none"
        )
    least = min(changes, key=lambda n: abs(changes[n]))
    return Inspection(
        "Layer redundancy",
        f"{len(changes)} blocks; least missed: {least}, loss {changes[least]:+.3g} from {base:.3g}",
        {"loss": base, "changes": changes},
        (Picture("bars", {"change of the loss": list(changes.values())}, list(changes)),),
    )


@registered(
    kind=_KIND,
    name="internal-covariate-shift",
    aliases=("covariate-drift", "layer-input-drift", "ics"),
    formula="between two records of a layer's inputs on the same examples: mean over units of |μ' − μ| / σ "
    "+ |ln(σ'/σ)|",
    shapes="model, x (N, …) → record() after steps; result() gives the mean drift by layer",
    when="how much the layers below move what a layer sees; with and without batch normalisation",
    pitfalls="whether this drift is why batch normalisation helps is disputed; units that never vary are "
    "left out",
    source="Ioffe and Szegedy, Batch Normalization, 2015; Santurkar et al., How Does Batch Normalization "
    "Help Optimization?, 2018",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        >>> monitor = get('internal-covariate-shift', net, torch.randn(16, 2))
        >>> monitor.record(); monitor.record()
        >>> monitor.result()['drift']
        {'0': 0.0, '2': 0.0}
        """,
)
class DriftMonitor:
    """Internal covariate shift: how the inputs of every layer move while the layers below learn."""

    def __init__(self, model: nn.Module, x: Tensor, layers: Sequence[str] | None = None) -> None:
        self.model, self.x = model, x
        self.modules = _named(model, layers, lambda m: isinstance(m, _LEARNING))
        self.moments: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in self.modules}

    def record(self) -> None:
        """Take the moments of every layer's inputs now, in the mode that the model is in."""

        def see(name: str, inputs: Any, output: Any) -> None:
            units = _by_unit(inputs[0].detach().float())
            self.moments[name].append((units.mean(0), units.std(0, correction=0)))

        buffers = {name: b.clone() for name, b in self.model.named_buffers()}
        with torch.no_grad(), _looking(self.modules, see):
            self.model(self.x)
            for name, buffer in self.model.named_buffers():
                buffer.copy_(buffers[name])  # looking must not move running statistics

    def result(self) -> Inspection:
        """Return the mean drift between consecutive records, by layer.

        Raises:
            ModelError: fewer than two records.
        """
        series = {name: [_drift(a, b) for a, b in pairwise(m)] for name, m in self.moments.items()}
        if not all(series.values()):
            raise ModelError("no drift yet", expected="at least two records", received="fewer")
        drift = {name: sum(values) / len(values) for name, values in series.items()}
        worst = max(drift, key=drift.__getitem__)
        return Inspection(
            "Internal covariate shift",
            f"the inputs of {worst} move most: {drift[worst]:.3g} deviations between records",
            {"drift": drift, "series": series},
            (Picture("lines", series, x_label="record", y_label="drift"),),
        )


def _drift(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> float:
    (mean, std), (new_mean, new_std) = before, after
    alive = (std > 1e-6) & (new_std > 1e-6)
    if not bool(alive.any()):
        return 0.0
    shift = (new_mean - mean)[alive].abs() / std[alive] + (new_std[alive] / std[alive]).log().abs()
    return float(shift.mean())
