"""What can be done to the batch normalisations of a model: recompute, undo, fold away, relieve of biases."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from preceptor.catalogue._registry import registered
from preceptor.catalogue.normalizations.batch import batch_norms
from preceptor.errors import DataError, ModelError

__all__ = ["bias_removal", "fold", "identity", "population_statistics"]

_IOFFE = "Ioffe and Szegedy, Batch Normalization, 2015"
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _Moments:
    """Mean and variance of a layer's inputs over batches, merged exactly, in float64."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].detach().double().transpose(0, 1).flatten(1)
        count, mean = x.shape[1], x.mean(1)
        squares = (x - mean[:, None]).square().sum(1)
        delta, total = mean - self.mean, self.count + count
        self.squares = self.squares + squares + delta.square() * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    def give(self, layer: _BatchNorm) -> None:
        if layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.copy_(self.mean)
            layer.running_var.copy_(self.squares / max(self.count - 1, 1))


@registered(
    kind="model-transform",
    name="population-statistics",
    aliases=("recompute-statistics", "bn-population", "precise-bn", "update-bn"),
    formula="running mean ← mean, running variance ← n / (n − 1) · variance of each batch normalisation's "
    "inputs over all batches together. Earlier normalisations use their batches' statistics, or, with "
    "layerwise, the ones just recomputed, one pass for each layer: then the network at test has mean 0 and "
    "variance (n − 1) / n exactly",
    shapes="a model and batches x or (x, y), which can be iterated over again → the same model",
    when="after training, after averaging weights, or where moving averages lag behind the weights",
    pitfalls="batches must be the training examples, as they are at test: no augmentation",
    source=_IOFFE + ", algorithm 2",
    differs="torch's update_bn averages the batches' variances, and leaves out that between their means",
    example=">>> model = torch.nn.Sequential(torch.nn.BatchNorm1d(1))\n"
    ">>> x = torch.tensor([[1.0], [3.0], [5.0], [7.0]])\n"
    ">>> get('population-statistics', model, [x[:2], x[2:]])[0].running_mean\ntensor([4.])",
)
def population_statistics(
    model: nn.Module, batches: Iterable[Any], layerwise: bool = False, only: Collection[str] | None = None
) -> nn.Module:
    """Batch normalisation's statistics recomputed over the training examples.

    ``only`` names the layers whose statistics may change; default: all.
    """
    layers = [layer for name, layer in batch_norms(model).items() if only is None or name in only]
    if not layers and only is not None:
        return model
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            if layerwise:
                for layer in _in_order(model, layers, batches):
                    _recompute(model, [layer], batches)
            else:
                for layer in layers:
                    layer.train()
                _recompute(model, layers, batches)
    finally:
        for module, mode in modes:
            module.training = mode
    return model


def _recompute(model: nn.Module, layers: list[_BatchNorm], batches: Iterable[Any]) -> None:
    moments = [_Moments() for _ in layers]
    kept = [layer.num_batches_tracked.clone() for layer in layers if layer.num_batches_tracked is not None]
    hooks = [layer.register_forward_pre_hook(m) for layer, m in zip(layers, moments, strict=True)]
    try:
        for x in _inputs(batches):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, collected in zip(layers, moments, strict=True):
        if not collected.count:
            raise DataError(
                "no batch reached a batch normalisation", expected="at least one", received="none"
            )
        collected.give(layer)
    for layer, count in zip(layers, kept, strict=False):
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.copy_(count)


def _in_order(model: nn.Module, layers: list[_BatchNorm], batches: Iterable[Any]) -> list[_BatchNorm]:
    met: list[_BatchNorm] = []

    def meet(module: nn.Module, inputs: object) -> None:
        if isinstance(module, _BatchNorm):
            met.append(module)

    hooks = [layer.register_forward_pre_hook(meet) for layer in layers]
    first = next(_inputs(batches), None)
    if first is not None:
        model(first)
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(met))


def _inputs(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield batch[0] if isinstance(batch, (tuple, list)) else batch


@registered(
    kind="model-transform",
    name="batch-norm-identity",
    aliases=("bn-undo", "undo-batch-norm"),
    formula="γ = √(σ² + eps), β = μ: y = x. μ and σ² are those kept for test, or those of inputs, if given",
    shapes="a batch normalisation → the same layer",
    when="to see that the layer can represent the identity, and so takes nothing away",
    pitfalls="γ = √σ² without eps is not exact",
    source=_IOFFE,
    example=">>> layer = get('batch-norm-identity', torch.nn.BatchNorm1d(2)).eval()\n"
    ">>> layer(torch.tensor([[1.0, 2.0]])).detach().round(decimals=4)\ntensor([[1., 2.]])",
)
def identity(layer: nn.Module, inputs: Tensor | None = None) -> nn.Module:
    """Batch normalisation set to give back its input."""
    if not isinstance(layer, _BatchNorm) or not layer.affine:
        raise ModelError(
            "only a batch normalisation with γ and β can be undone",
            expected="batch-norm with affine=True",
            received=type(layer).__name__,
        )
    mean, variance = layer.running_mean, layer.running_var
    if inputs is not None:
        flat = inputs.transpose(0, 1).flatten(1)
        mean, variance = flat.mean(1), flat.var(1, correction=0)
    if mean is None or variance is None:
        raise ModelError(
            "the layer keeps no statistics", expected="inputs to take them from", received="none"
        )
    with torch.no_grad():
        layer.weight.copy_((variance + layer.eps).sqrt())
        layer.bias.copy_(mean)
    return layer


@registered(
    kind="model-transform",
    name="batch-norm-folding",
    aliases=("bn-fold", "fold-batch-norm", "fuse-batch-norm"),
    formula="w' = w γ / √(σ² + eps), b' = (b − μ) γ / √(σ² + eps) + β, σ² and μ those kept for test",
    shapes="a model → a copy in evaluation mode without the batch normalisations that follow a linear or "
    "convolutional layer within a Sequential",
    when="inference: fewer operations, the same outputs up to rounding",
    pitfalls="the copy cannot be trained further as the model was",
    source="Jacob et al., Quantization and Training of Neural Networks, 2018",
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), "
    "torch.nn.ReLU())\n"
    ">>> [type(m).__name__ for m in get('batch-norm-folding', model)]\n['Linear', 'Identity', 'ReLU']",
)
def fold(model: nn.Module) -> nn.Module:
    """Batch normalisations merged into the layers before them."""
    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for at, (layer, norm) in enumerate(pairwise(list(module))):
            if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
                continue
            if isinstance(layer, nn.Linear):
                module[at], module[at + 1] = fuse_linear_bn_eval(layer, norm), nn.Identity()
            elif isinstance(layer, _CONVOLUTIONS):
                module[at], module[at + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return folded


@registered(
    kind="model-transform",
    name="bias-removal",
    aliases=("bn-bias", "redundant-bias"),
    formula="(W x + b) − mean(W x + b) = W x − mean(W x): ∂L/∂b = 0, so b is taken out",
    shapes="a model → the names of the layers that lost their bias",
    when="networks of your own with a bias before batch or instance normalisation; the catalogue's have none",
    pitfalls="changes the model in place; before layer or group normalisation a bias still does something",
    source=_IOFFE,
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))\n"
    ">>> get('bias-removal', model), model[0].bias\n(['0'], None)",
)
def bias_removal(model: nn.Module) -> list[str]:
    """Biases that a batch normalisation takes away again are left out."""
    names = []
    for prefix, module in model.named_modules():
        if not isinstance(module, nn.Sequential):
            continue
        for (name, layer), norm in zip(module.named_children(), list(module)[1:], strict=False):
            linear = isinstance(layer, (nn.Linear, *_CONVOLUTIONS))
            if linear and layer.bias is not None and isinstance(norm, _BatchNorm):
                layer.register_parameter("bias", None)
                names.append(f"{prefix}.{name}".removeprefix("."))
    return names
