"""The Jacobian of a network's outputs by its parameters, example by example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["jacobian"]

_EXAMPLES = 256  # in one vectorised backward pass


def jacobian(model: nn.Module, x: Any, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return outputs and their derivatives by the parameters.

    Where all of these belong to fully connected layers that are called once, J comes from one forward pass
    and one backward pass an output: ∂z_n/∂W = δ_n aᵀ_n, with a_n the layer's input and δ_n the derivative by
    its output. Other networks are differentiated example by example, vectorised.

    Arguments:
        model: each example's output depends on that example alone.
        x: a batch of N inputs.
        parameters: P numbers in all; J's columns are in their order.

    Returns:
        outputs as (N, D), and J as (N · D, P), without graph.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> jacobian(layer, torch.tensor([[3.0, 4.0]]), list(layer.parameters()))[1]
        tensor([[3., 4., 1.]])

    Source: Hagan and Menhaj, Training Feedforward Networks with the Marquardt Algorithm (1994).
    """
    layers = _layers(model, parameters)
    found = None if layers is None else _by_layers(model, x, parameters, layers)
    return _by_examples(model, x, parameters) if found is None else found


def _layers(model: nn.Module, parameters: Sequence[Tensor]) -> list[nn.Linear] | None:
    """Return the linear layers that hold the parameters; None where others hold some, or two share one."""
    wanted = {id(p) for p in parameters}
    owners = [m for m in model.modules() for p in m.parameters(recurse=False) if id(p) in wanted]
    if len(owners) != len(wanted):
        return None
    layers = [m for m in dict.fromkeys(owners) if type(m) is nn.Linear]
    return layers if len(layers) == len(set(owners)) else None


def _by_layers(
    model: nn.Module, x: Any, parameters: Sequence[Tensor], layers: list[nn.Linear]
) -> tuple[Tensor, Tensor] | None:
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append((layer, inputs[0].detach(), output))

    hooks: list[Any] = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.enable_grad():
            output = model(x)
            outputs = output.reshape(len(output), -1)
    finally:
        for hook in hooks:
            hook.remove()
    N = len(output)
    once = len(seen) == len(layers) == len({id(layer) for layer, _, _ in seen})
    if not once or any(a.ndim != 2 or len(a) != N for _, a, _ in seen):
        return None
    D = outputs.shape[1]
    J = outputs.new_zeros(N, D, sum(p.numel() for p in parameters))
    at = dict(zip(map(id, parameters), _starts(parameters), strict=True))
    heads = [z for _, _, z in seen]
    for d in range(D):
        with torch.enable_grad():
            total = outputs[:, d].sum()
        deltas = torch.autograd.grad(total, heads, retain_graph=d < D - 1, allow_unused=True)
        for (layer, a, _), delta in zip(seen, deltas, strict=True):
            if delta is not None:
                _place(J[:, d], layer, a, delta, at)
    return outputs.detach(), J.reshape(N * D, -1)


def _place(J: Tensor, layer: Any, a: Tensor, delta: Tensor, at: dict[int, int]) -> None:
    """Write a layer's columns: the outer products δ aᵀ for its weight, δ for its bias."""
    if id(layer.weight) in at:
        columns = J[:, at[id(layer.weight)] :][:, : layer.weight.numel()]
        torch.mul(delta[:, :, None], a[:, None, :], out=columns.view(len(a), *layer.weight.shape))
    if layer.bias is not None and id(layer.bias) in at:
        J[:, at[id(layer.bias)] :][:, : layer.bias.numel()] = delta


def _starts(parameters: Sequence[Tensor]) -> list[int]:
    starts, at = [], 0
    for p in parameters:
        starts.append(at)
        at += p.numel()
    return starts


def _by_examples(model: nn.Module, x: Any, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    names = {id(p): name for name, p in model.named_parameters()}
    held = {names[id(p)]: p.detach() for p in parameters}

    def outputs(values: dict[str, Tensor], example: Tensor) -> tuple[Tensor, Tensor]:
        output = torch.func.functional_call(model, values, (example[None],)).reshape(-1)
        return output, output

    each: Callable[..., Any] = torch.func.vmap(
        torch.func.jacrev(outputs, has_aux=True), in_dims=(None, 0), chunk_size=_EXAMPLES
    )
    derivatives, output = each(held, x)
    N, D = output.shape
    J = torch.cat([derivatives[names[id(p)]].reshape(N * D, -1) for p in parameters], 1)
    return output.detach(), J.detach()
