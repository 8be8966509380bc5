"""What the methods of second order share: all parameters as one vector, line searches, a size limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count
from preceptor.errors import ConfigError

__all__ = ["Flat", "backtrack", "weak_wolfe"]


class Flat(torch.optim.Optimizer):
    """An optimizer that sees all parameters as one vector θ of P numbers.

    Arguments:
        params: what to optimise, in one group.
        matrices: how many P × P matrices a step holds at once.
        defaults: the options; ``memory_gb`` limits what those matrices may take.

    Raises:
        ConfigError: several groups, or more parameters than the memory allows.
    """

    def __init__(self, params: Any, matrices: int, **defaults: Any) -> None:
        super().__init__(params, defaults)
        if len(self.param_groups) > 1:
            raise ConfigError(
                f"{self.title} steers all parameters at once",
                expected="one group of parameters",
                received=f"{len(self.param_groups)} groups",
            )
        check_count(self.title, "max_iter", defaults["max_iter"])
        self.size = sum(p.numel() for p in self.parameters)
        self.require_memory(matrices * self.size**2, f"{matrices} matrices of {self.size:,} × {self.size:,}")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the one group."""
        group: dict[str, Any] = self.param_groups[0]
        return group

    @property
    def title(self) -> str:
        """What messages call the method."""
        return type(self).__name__

    @property
    def parameters(self) -> list[Tensor]:
        """What is optimised, in order."""
        return [p for p in self.options["params"] if p.requires_grad]

    @property
    def kept(self) -> dict[str, Any]:
        """The state, which stands under the first parameter."""
        state: dict[str, Any] = self.state[self.parameters[0]]
        return state

    def require_memory(self, numbers: int, what: str) -> None:
        """Refuse what would not fit: so many numbers of eight bytes.

        Raises:
            ConfigError: they take more than ``memory_gb``.
        """
        gigabytes = 8 * numbers / 1e9
        if gigabytes > self.options["memory_gb"]:
            raise ConfigError(
                f"{self.title} is for small networks: memory grows with the square of the "
                "parameters, time with the cube",
                expected=f"at most memory_gb={self.options['memory_gb']:g}",
                received=f"{gigabytes:,.1f} GB for {what}",
                hint="l-bfgs, whose memory grows in proportion, or a smaller network",
            )

    def point(self) -> Tensor:
        """Return a copy of θ, (P,)."""
        return torch.cat([p.detach().reshape(-1) for p in self.parameters])

    def place(self, vector: Tensor) -> None:
        """Write θ into the parameters."""
        at = 0
        for p in self.parameters:
            p.copy_(vector[at : at + p.numel()].view_as(p))
            at += p.numel()

    def gradient(self) -> Tensor:
        """Return what the parameters' ``.grad`` hold, (P,)."""
        return torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self.parameters]
        )

    def leave_gradient(self, vector: Tensor) -> None:
        """Leave a gradient, (P,), in ``.grad`` for whoever looks on."""
        at = 0
        for p in self.parameters:
            p.grad = vector[at : at + p.numel()].view_as(p).to(p.dtype)
            at += p.numel()


Probe = Callable[[float], tuple[float, Tensor]]


def weak_wolfe(
    probe: Probe, value: float, direction: Tensor, slope: float, start: float, tries: int
) -> tuple[float, float, Tensor] | None:
    """Find a step length by bisection: the loss falls enough, and its slope has lost a tenth.

    f(t) ≤ f(0) + 10⁻⁴ t f'(0) and f'(t) ≥ 0.9 f'(0), for f(t) the loss at θ + t · direction.

    Arguments:
        probe: gives loss and gradient at a step length.
        value: f(0).
        direction: downhill, (P,).
        slope: f'(0) = gradient · direction < 0.
        start: the first step length to be tried.
        tries: evaluations at most.

    Returns:
        step length, loss and gradient there; None where no step was found on which the loss falls.

    Source: Lewis and Overton, Nonsmooth Optimization via Quasi-Newton Methods (2013), algorithm 2.6.
    """
    low, high, t = 0.0, math.inf, start
    falling = None
    for _ in range(tries):
        reached, gradient = probe(t)
        if not reached <= value + 1e-4 * t * slope:  # a NaN is too far as well
            high = t
        else:
            falling = (t, reached, gradient)
            if float(gradient @ direction) >= 0.9 * slope:
                break
            low = t
        t = 2 * low if high == math.inf else (low + high) / 2
    return falling


def backtrack(
    probe: Callable[[float], float], value: float, slope: float, start: float, tries: int
) -> tuple[float, float] | None:
    """Halve a step length until the loss falls enough: f(t) ≤ f(0) + 10⁻⁴ t f'(0).

    Returns:
        step length and loss there; None where there is none.

    Source: Armijo, Minimization of Functions Having Lipschitz Continuous First Partial Derivatives (1966).
    """
    t = start
    for _ in range(tries):
        reached = probe(t)
        if reached <= value + 1e-4 * t * slope:
            return t, reached
        t /= 2
    return None
