"""The layout of weights in memory: channels-last lets convolutions on a CPU run a quarter faster."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from preceptor.data import generators
from preceptor.errors import ConfigError

__all__ = ["align_moments", "lay_out"]


def lay_out(model: nn.Module, sample: Any, wanted: str, *, flat_gradients: bool) -> str:
    """Lay out a model's weights as ``wanted`` and return the layout that was chosen.

    ``"auto"`` is channels-last for convolutions on images on a CPU, unless the model's code cannot follow
    (it flattens with ``view``) or the optimizer takes each gradient as one flat vector.

    Arguments:
        model: laid out in place; its values stay.
        sample: a few inputs, N × …, on the model's device.
        wanted: ``"auto"``, ``"contiguous"`` or ``"channels-last"``.
        flat_gradients: whether the optimizer needs contiguous gradients, as L-BFGS does.

    Raises:
        ConfigError: ``"channels-last"`` was asked for, and model or optimizer cannot follow.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
        >>> lay_out(net, torch.zeros(2, 1, 5, 5), "auto", flat_gradients=False)
        'channels-last'
    """
    suits = (
        isinstance(sample, Tensor)
        and sample.ndim == 4
        and sample.device.type == "cpu"
        and not flat_gradients
        and any(isinstance(module, nn.Conv2d) for module in model.modules())
    )
    if wanted == "contiguous" or (wanted == "auto" and not suits):
        return "contiguous"
    problem = "the optimizer takes all gradients as one vector" if flat_gradients else _trial(model, sample)
    if problem is None:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack a layout alone
        return "channels-last"
    if wanted == "auto":
        return "contiguous"
    raise ConfigError(
        "channels-last does not suit this training",
        expected="a model and an optimizer that take tensors in any layout",
        received=problem,
        hint="reshape in place of view, or memory_format auto",
    )


def _trial(model: nn.Module, sample: Any) -> str | None:
    """Run a copy of the model in both modes; return what went wrong, None where nothing did."""
    before = generators.capture()
    try:
        with torch.no_grad():
            trial = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack a layout alone
            trial.eval()(sample)
            trial.train()(sample)
    except (RuntimeError, TypeError, ValueError) as error:
        return str(error).partition("\n")[0]
    finally:
        generators.restore(before)
    return None


def align_moments(optimizer: Optimizer) -> None:
    """Lay out an optimizer's moments as their parameters are, which a fused kernel takes for granted.

    A state that was stored comes back contiguous, whatever it was before.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
