"""The gain of an activation: by how much weights must make up for what it takes from a signal."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.errors import ConfigError

__all__ = ["activation_gain", "gain_of"]

_REACH, _POINTS = 12.0, 4001  # beyond 12 standard deviations a normal distribution holds less than 1e-32


@registered(
    kind="initialization",
    name="activation-gain",
    aliases=("gain", "calculate-gain"),
    formula="gain = 1 / √E[f(z)²], z ~ N(0, 1), by Simpson's rule: a layer fed by f with Var(w) = gain² / "
    "fan_in "
    "has outputs of variance 1 again",
    shapes="the name of an activation, a module or a callable → a number",
    when="the scale of weights behind an activation that has no rule of its own",
    pitfalls="says what happens to the signal, not to the gradient: for tanh and sigmoid the two differ",
    source="He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015; Klambauer et al., Self-Normalizing "
    "Neural Networks, 2017",
    differs="torch.nn.init.calculate_gain has 5/3 for tanh (this one 1.5925) and 1 for sigmoid (1.8462), and "
    "knows only some names; both say √2 for relu",
    example=">>> round(get('activation-gain', 'relu'), 4), round(get('activation-gain', 'tanh'), 4)\n"
    "(1.4142, 1.5925)",
)
def activation_gain(activation: str | nn.Module | Callable[[], nn.Module]) -> float:
    """Gain of an activation: the factor that keeps the mean square of a standard normal signal.

    Raises:
        UnknownName: no activation has that name.
        ConfigError: the activation returns zero, or nothing finite, for every input.

    Example:
        >>> activation_gain("identity")
        1.0
        >>> round(activation_gain("gelu"), 3)
        1.534
    """
    unit = make_activation(activation).double()
    half = torch.linspace(0.0, _REACH, _POINTS, dtype=torch.float64)
    density = torch.exp(-(half**2) / 2) / math.sqrt(2 * math.pi)
    pieces = int(getattr(unit, "pieces", 1))
    if pieces > 1:  # the largest of k normal numbers has the density k φ Φ^(k−1)
        below = torch.special.ndtr(torch.stack([-half, half]))
        moment = (half**2 * density * pieces * below ** (pieces - 1)).sum(0)
    else:
        # Each side has its own points, since many activations have a kink at zero.
        with torch.no_grad():
            moment = (unit(-half).square() + unit(half).square()) * density
    mean_square = _simpson(moment, _REACH / (_POINTS - 1))
    if not (math.isfinite(mean_square) and mean_square > 0):
        raise ConfigError(
            "the activation has no gain",
            expected="finite values, not all of them zero",
            received=f"mean square {mean_square:g} for {activation!r}",
        )
    return round(1 / math.sqrt(mean_square), 9)


def _simpson(values: Tensor, step: float) -> float:
    weights = torch.full_like(values, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return float((weights * values).sum()) * step / 3


def gain_of(owner: str, gain: float | str | nn.Module) -> float:
    """Return a gain given as a number, or as the activation that follows, by name or as a module.

    Raises:
        ConfigError: it is negative or no number.
        UnknownName: no activation has that name.

    Example:
        >>> gain_of("xavier-normal", "relu")
        1.414213562
    """
    if isinstance(gain, (str, nn.Module)):
        return activation_gain(gain)
    return check_number(owner, "gain", gain, 0.0)
