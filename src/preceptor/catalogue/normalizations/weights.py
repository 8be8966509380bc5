"""Normalisations of a layer's weights in place of its outputs."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["spectral_norm", "weight_norm"]


def _layer(owner: str, layer: nn.Module) -> nn.Module:
    weight = getattr(layer, "weight", None)
    if isinstance(weight, nn.Parameter) and weight.ndim > 1:
        return layer
    raise ModelError(
        f"{owner} needs a layer with a weight matrix",
        expected="nn.Linear, nn.Conv2d, …",
        received=type(layer).__name__,
    )


@registered(
    kind="normalization",
    name="weight-norm",
    aliases=("weight-normalization",),
    formula="w = g · v / ‖v‖ for each row (output unit), g and v learned in place of w",
    shapes="a layer → the same layer, its weight made of g and v",
    when="recurrent networks, reinforcement learning, generators: no batch is needed",
    pitfalls="fixes the length of the weights alone, not the size of the outputs; the first values of g "
    "and b "
    "are best taken from a batch",
    source="Salimans and Kingma, Weight Normalization, 2016",
    example=">>> layer = get('weight-norm', torch.nn.Linear(4, 3))\n"
    ">>> layer.parametrizations.weight.original0.shape\ntorch.Size([3, 1])",
    traits={"arguments": lambda: (nn.Linear(4, 3),), "takes": (2, 4), "gives": (2, 3)},
)
def weight_norm(layer: nn.Module) -> nn.Module:
    """Weight normalisation: length and direction of each unit's weights are learned apart."""
    normalized: nn.Module = parametrizations.weight_norm(_layer("weight-norm", layer))
    return normalized


@registered(
    kind="normalization",
    name="spectral-norm",
    aliases=("spectral-normalization",),
    formula="w / σ(w), σ the largest singular value, followed by iterations steps of the power method a pass",
    shapes="a layer → the same layer, its weight divided",
    when="discriminators, and wherever a network must not stretch its input",
    pitfalls="the power method runs in training only, and needs some passes to get near σ",
    source="Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018",
    example=">>> layer = get('spectral-norm', torch.nn.Linear(3, 3), iterations=20)\n"
    ">>> round(torch.linalg.matrix_norm(layer.weight, 2).item(), 2)\n1.0",
    traits={"arguments": lambda: (nn.Linear(4, 3),), "takes": (2, 4), "gives": (2, 3), "stateful": True},
)
def spectral_norm(layer: nn.Module, iterations: int = 1) -> nn.Module:
    """Spectral normalisation: the weight matrix stretches nothing by more than one."""
    count = check_count("spectral-norm", "iterations", iterations)
    return parametrizations.spectral_norm(_layer("spectral-norm", layer), n_power_iterations=count)
