"""Inspections of weights: units that are alike, and the symmetry that lets units change places."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.inspections.layers import evaluating
from preceptor.errors import ModelError

__all__ = ["permute_units", "weight_symmetry"]

_KIND = "inspection"
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PER_UNIT = ("weight", "bias", "running_mean", "running_var")


@registered(
    kind=_KIND,
    name="weights",
    aliases=("weight-visualization", "weight-visualisation", "identical-units", "weight-symmetry"),
    formula="rows (w_i, b_i) of a layer with ‖w_i − w_j‖ ≤ tolerance · max(‖w_i‖, ‖w_j‖): units that "
    "compute the same",
    shapes="model → by layer the groups of identical units, and the matrix as an image",
    when="a network whose hidden units do not become different: started with equal weights, they never will",
    pitfalls="identical units with different outgoing weights part during training, unless those are equal "
    "too",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4",
    example="""
        >>> layer = torch.nn.Linear(3, 4)
        >>> _ = torch.nn.init.constant_(layer.weight, 0.5), torch.nn.init.zeros_(layer.bias)
        >>> get('weights', torch.nn.Sequential(layer))['duplicates']
        {'0': [[0, 1, 2, 3]]}
        """,
)
def weight_symmetry(model: nn.Module, tolerance: float = 1e-6) -> Inspection:
    """Weights as images, with the units that are identical listed."""
    check_number("weights", "tolerance", tolerance, 0.0)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, _LAYERS)}
    if not layers:
        raise ModelError("no weights to look at", expected="linear or convolutional layers", received="none")
    groups: dict[str, list[list[int]]] = {}
    pictures: list[Picture] = []
    for name, layer in layers.items():
        rows = layer.weight.detach().flatten(1).double().cpu()
        if layer.bias is not None:
            rows = torch.cat([rows, layer.bias.detach().double().cpu()[:, None]], 1)
        found = _alike(rows, tolerance)
        if found:
            groups[name] = found
        pictures.append(Picture("image", {"weight": rows}, title=name, x_label="input", y_label="unit"))
    count = sum(len(g) for found in groups.values() for g in found)
    return Inspection(
        "Weights",
        f"{count} units that are like another, in {len(groups)} of {len(layers)} layers",
        {"duplicates": groups, "shapes": {n: tuple(m.weight.shape) for n, m in layers.items()}},
        tuple(pictures[:4]),
    )


def _alike(rows: Tensor, tolerance: float) -> list[list[int]]:
    sizes = torch.linalg.vector_norm(rows, dim=1)
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    near = distance <= tolerance * torch.maximum(sizes[:, None], sizes[None, :])
    left, groups = set(range(len(rows))), []
    for i in range(len(rows)):
        if i in left:
            group = [j for j in near[i].nonzero().flatten().tolist() if j in left]
            left -= set(group)
            if len(group) > 1:
                groups.append(group)
    return groups


@registered(
    kind=_KIND,
    name="permute-units",
    aliases=("weight-space-symmetry", "swap-units", "unit-permutation"),
    formula="W⁽ⁱ⁾ → P W⁽ⁱ⁾, b⁽ⁱ⁾ → P b⁽ⁱ⁾, W⁽ⁱ⁺¹⁾ → W⁽ⁱ⁺¹⁾ Pᵀ: the function stays; n hidden units give n! "
    "such points, and as many minima",
    shapes="model, layer name, order (units,), x (N, …) → a changed copy, and the largest difference of the "
    "outputs",
    when="to see that weights alone do not say what a network computes; before averaging two networks",
    pitfalls="through normalisation and flattening the order is carried along; where a shortcut or a "
    "grouped convolution uses the units as well, it is refused",
    source="Hecht-Nielsen, On the Algebraic Structure of Feedforward Network Weight Spaces, 1990",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        >>> get('permute-units', net, '0', [2, 0, 1], torch.randn(5, 2))['difference'] < 1e-6
        True
        """,
)
def permute_units(model: nn.Module, layer: str, order: Sequence[int], x: Tensor) -> Inspection:
    """Permutation of hidden units with their weights and biases: another point, the same function."""
    other = copy.deepcopy(model)
    leaves = [(n, m) for n, m in other.named_modules() if next(m.children(), None) is None]
    start = next((i for i, (n, _) in enumerate(leaves) if n == layer), None)
    if start is None or not isinstance(leaves[start][1], _LAYERS):
        known = ", ".join(n for n, m in leaves if isinstance(m, _LAYERS))
        raise ModelError("no such layer to permute", expected=known, received=repr(layer))
    units = leaves[start][1].weight.shape[0]
    if sorted(order) != list(range(units)):
        raise ModelError(
            "not a permutation", expected=f"each of 0 … {units - 1} once", received=f"{list(order)!r:.80}"
        )
    index = torch.as_tensor(list(order))
    with torch.no_grad():
        _carry([m for _, m in leaves[start:]], units, index)
    with evaluating(model), evaluating(other):
        before = model(x)
        difference = float((before - other(x)).abs().max())
        scale = float(before.abs().max()) or 1.0
    if not difference <= 1e-4 * scale:
        raise ModelError(
            f"the units of {layer} are used elsewhere too",
            expected="a layer whose outputs go to the next layer alone",
            received=f"outputs that differ by {difference:.3g}",
            hint="a layer inside a block, not beside its shortcut",
        )
    return Inspection(
        "Permutation of units",
        f"{units} units of {layer} in another order: outputs differ by at most {difference:.1e}",
        {
            "model": other,
            "difference": difference,
            "units": units,
            "equivalent_points": math.factorial(units),
        },
    )


def _carry(modules: Sequence[nn.Module], units: int, index: Tensor) -> None:
    """Permute the rows of the first module, what lies between, and the columns of the next layer."""
    first = modules[0]
    for name in ("weight", "bias"):
        tensor = getattr(first, name)
        if tensor is not None:
            tensor.copy_(tensor[index])
    for module in modules[1:]:
        if isinstance(module, _LAYERS):
            weight = module.weight
            width = weight.shape[1]
            if getattr(module, "groups", 1) != 1 or width % units:
                raise ModelError(
                    "the next layer does not take these units",
                    expected=f"inputs in blocks of {units}, ungrouped",
                    received=f"{type(module).__name__} with {width} inputs a unit",
                )
            # After flattening, every channel is a block of neighbouring columns.
            blocks = weight.reshape(len(weight), units, width // units, -1)
            weight.copy_(blocks[:, index].reshape(weight.shape))
            return
        for name in _PER_UNIT:
            tensor = getattr(module, name, None)
            if isinstance(tensor, Tensor) and tensor.shape == (units,):
                tensor.copy_(tensor[index])
    raise ModelError("these are the outputs", expected="a hidden layer", received="no layer after it")
