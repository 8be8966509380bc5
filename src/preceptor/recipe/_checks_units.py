"""The check of hidden units before training: dead, saturated, or all alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject
from preceptor.training.evaluate import evaluation

__all__ = ["units"]

_DEAD = 0.8  # share of units; where a signal shrinks with depth biases decide, and half of them rest for good
_SATURATED = 0.5  # share of values
_LEAST = 16  # examples: of fewer, units rest by chance
_RECTIFIERS = ("relu", "relu_", "clamp_min", "clamp_min_", "hardtanh", "hardtanh_")
_BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@check(
    "units",
    decides="whether hidden units are alive, unsaturated and unlike each other before training",
    remedy="He's initialisation for ReLU, Xavier's for tanh; inputs standardised; never all weights alike",
    source="Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010",
)
def units(subject: Subject) -> Found:
    """Look at the outputs of every activation, function or module, on some examples."""
    x, _ = subject.looked_at
    model = subject.copy()
    with evaluation(model), _Activations(model) as seen:
        model(x)
    if not seen.dead and not seen.saturated:
        return passed("no hidden activations")
    alike = [name for name, equal in seen.alike.items() if equal]
    dead, saturated = (_worst(shares) for shares in (seen.dead, seen.saturated))
    facts: dict[str, Any] = {"dead": seen.dead, "saturated": seen.saturated, "alike": alike}
    if seen.deaf:
        return failed(f"no unit of {seen.deaf[0]} depends on the inputs", **facts, deaf=seen.deaf)
    if alike:
        return failed(f"all units of {alike[0]} are alike: they will stay so", **facts)
    if min(len(subject), seen.examples) < _LEAST:
        return skipped(f"dead units: {_LEAST} examples are needed to tell", **facts)
    if dead[1] > _DEAD:
        return failed(f"{dead[1]:.0%} of the units of {dead[0]} are dead", **facts)
    if saturated[1] > _SATURATED:
        return failed(f"{saturated[1]:.0%} of the values of {saturated[0]} are saturated", **facts)
    return passed("units alive" + (f" ({dead[1]:.0%} dead in {dead[0]})" if dead[1] >= 0.05 else ""), **facts)


def _worst(shares: dict[str, float]) -> tuple[str, float]:
    return max(shares.items(), key=lambda item: item[1], default=("", 0.0))


@dataclass(eq=False)
class _Activations(TorchDispatchMode):
    """Hears every activation of a pass, and the module that it belongs to."""

    model: nn.Module
    dead: dict[str, float] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)
    alike: dict[str, bool] = field(default_factory=dict)
    deaf: list[str] = field(default_factory=list)
    examples: int = 0

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no types
        self._path = [""]
        for name, module in self.model.named_modules():
            module.register_forward_pre_hook(lambda *_, name=name: self._path.append(name))
            module.register_forward_hook(lambda *_: self._left())

    def _left(self) -> None:
        self._path.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and look at its output."""
        out = func(*args, **(kwargs or {}))
        name = func._overloadpacket.__name__
        known = name in _RECTIFIERS or name.rstrip("_") in _BOUNDS
        if known and isinstance(out, Tensor) and out.is_floating_point() and out.ndim > 1 and len(out) > 1:
            self._look(name.rstrip("_"), out)
        return out

    def _look(self, kind: str, out: Tensor) -> None:
        place = f"{self._path[-1] or 'the model'} ({kind})"
        self.examples = max(self.examples, len(out))
        # Units lie along axis 1, in sequences along the last.
        ways = [out.movedim(1, -1).reshape(-1, out.shape[1])]
        ways += [out.reshape(-1, out.shape[-1])] if out.ndim == 3 else []
        if f"{kind}_" in _RECTIFIERS:
            self.dead[place] = min(float((w == 0).all(0).float().mean()) for w in ways)
        low, high = _BOUNDS.get(kind, (-math.inf, math.inf))
        if math.isfinite(high):
            near = 0.01 * (high - low)
            share = float(((out < low + near) | (out > high - near)).float().mean())
            self.saturated[place] = max(share, self.saturated.get(place, 0.0))
        equal = all(w.shape[1] > 1 and bool((w == w[:, :1]).all()) for w in ways)
        if equal and bool(out.any()):
            self.alike[place] = True
        if len(out) > 1 and bool((out == out[:1]).all()) and place not in self.deaf:
            self.deaf.append(place)
