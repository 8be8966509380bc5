"""What the entries of optimizers share: checks of their options, the fused kernels, the shown example."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_number
from preceptor.errors import ConfigError, ModelError

__all__ = ["KIND", "SHAPES", "Params", "check_betas", "make", "show"]

Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]]

_O = TypeVar("_O", bound=torch.optim.Optimizer)
KIND = "optimizer"
SHAPES = "parameters of any shape, updated in place; gradients are read from .grad"
_HIGHEST = {
    **dict.fromkeys(
        (
            *("lr", "weight_decay", "eps", "momentum_decay"),
            *("tolerance_grad", "tolerance_change", "damping", "memory_gb"),
        ),
        math.inf,
    ),
    **dict.fromkeys(("momentum", "alpha", "rho"), 1.0),
}


def show(
    name: str, shown: str, *, start: float = 0.0, gradient: float = 1.0, steps: int = 1, **options: Any
) -> str:
    """Return the example that moves one weight under a constant gradient."""
    chosen = "".join(f", {k}={v!r}" for k, v in options.items())
    return f"""
        >>> w = torch.tensor([{start}], requires_grad=True)
        >>> optimizer = get({name!r}{chosen})([w])
        >>> w.grad = torch.tensor([{gradient}])
        >>> for _ in range({steps}):
        ...     _ = optimizer.step()
        >>> round(w.item(), 5)
        {shown}
        """


def make(cls: type[_O], params: Params, *, fused_on: tuple[str, ...] = (), **options: Any) -> _O:
    """Make the optimizer, with the fused kernel where every parameter lies on a device that has it.

    Raises:
        ModelError: there are no parameters.
        ConfigError: an option is out of range, or the class does not take it.
    """
    groups: list[Any] = list(params)
    tensors = [t for g in groups for t in (list(g["params"]) if isinstance(g, dict) else [g])]
    if not tensors:
        raise ModelError(
            "there is nothing to optimise",
            expected="at least one parameter",
            received="none",
            hint="does the model have layers with weights, and were they assigned in __init__?",
        )
    for option in options.keys() & _HIGHEST.keys():
        check_number(cls.__name__, option, options[option], 0.0, _HIGHEST[option])
    if fused_on and all(t.device.type in fused_on and t.is_floating_point() for t in tensors):
        options["fused"] = True
    try:
        return cls(groups, **options)
    except ConfigError:
        raise
    except (TypeError, ValueError) as problem:
        raise ConfigError(
            f"{cls.__name__} does not take these settings",
            received=", ".join(f"{k}={v!r}" for k, v in options.items() if k not in ("fused", "foreach")),
            hint=str(problem),
        ) from problem


def check_betas(betas: Any) -> tuple[float, float]:
    """Return two decay rates in [0, 1) as a tuple.

    Raises:
        ConfigError: they are not.
    """
    if isinstance(betas, (tuple, list)) and len(betas) == 2 and all(map(_is_decay, betas)):
        return float(betas[0]), float(betas[1])
    raise ConfigError(
        "betas is not usable",
        expected="two numbers in [0, 1)",
        received=f"betas={betas!r}",
        hint="betas=[0.9, 0.999]",
    )


def _is_decay(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1
