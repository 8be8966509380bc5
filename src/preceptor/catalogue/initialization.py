"""What a model's start is worth: the audit of every layer, and a scale fitted to the data layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._places import is_activation
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["InitializationAudit", "LayerStart", "audit", "unit_variance"]

_KIND = "initialization"
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Tanh: (-1.0, 1.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}
_NEAR = 0.005  # of the range: |tanh| above 0.99, a sigmoid below 0.005 or above 0.995
_FADED = 1e-3  # a gradient this much smaller than the last layer's no longer moves its layer


@dataclass(frozen=True)
class LayerStart:
    """One layer with weights, at the start.

    Attributes:
        name: its place in the model.
        std: standard deviation of its outputs, before the activation.
        after: standard deviation after the activation; equal to ``std`` where there is none.
        dead: share of its units whose activation is zero for every example.
        saturated: share of activations within 0.5 % of a bound; 0 for unbounded ones.
        gradient: root mean square of its weights' gradient, as a multiple of the last layer's.
        equal: whether all its units have the same weights.
        faults: what is wrong, in words; empty if all is well.
        rescale: the factor for its weights that would bring ``std`` to 1.
    """

    name: str
    std: float
    after: float
    dead: float
    saturated: float
    gradient: float
    equal: bool
    faults: tuple[str, ...]
    rescale: float


@dataclass(frozen=True)
class InitializationAudit:
    """Every layer of a model at its start; prints as a table."""

    layers: tuple[LayerStart, ...]

    @property
    def sound(self) -> bool:
        """Whether no layer has a fault."""
        return not self.faults

    @property
    def faults(self) -> dict[str, tuple[str, ...]]:
        """The layers that have faults, with what is wrong."""
        return {layer.name: layer.faults for layer in self.layers if layer.faults}

    def __str__(self) -> str:
        """Return one row a layer."""
        rows = ["layer            std    after   dead  saturated  gradient  ×        faults"]
        rows += [
            f"{x.name:<14}{x.std:>8.3g}{x.after:>8.3g}{x.dead:>7.0%}{x.saturated:>10.0%}"
            f"{x.gradient:>11.2g}  {x.rescale:<8.3g}{'; '.join(x.faults) or '–'}"
            for x in self.layers
        ]
        return "\n".join(row.rstrip() for row in rows)


@registered(
    kind=_KIND,
    name="initialization-audit",
    aliases=("audit", "initialisation-audit", "init-audit", "mid-range-check"),
    formula="a layer is sound if low ≤ std(z) ≤ high for its outputs z = W x + b over the examples (before "
    "tanh "
    "and other bounded activations: fewer than saturation of the values at a bound, and std above a third of "
    "low), if fewer than dead of its units are zero for every example, and if its gradient is neither 0 nor "
    "below 1e-3 or above 1e3 times the last layer's",
    shapes="a model, inputs (N, …), N some hundred → an audit with one record a layer",
    when="before a training that is deep, or whose weights you set yourself",
    pitfalls="judges the start alone: residual branches may start at zero on purpose, and a normalisation "
    "behind a layer makes its scale irrelevant",
    source="Glorot and Bengio, 2010; Mishkin and Matas, All You Need Is a Good Init, 2016",
    example="""
    >>> model = get('mlp', (64,), 10, hidden=[100] * 6, activation='tanh', init='normal')
    >>> report = get('initialization-audit', model, torch.randn(256, 64))
    >>> report.sound, report.layers[2].faults[0]
    (False, 'too small')
    """,
)
def audit(
    model: nn.Module,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor] | None = None,
    low: float = 0.3,
    high: float = 3.0,
    saturation: float = 0.1,
    dead: float = 0.25,
) -> InitializationAudit:
    """Audit of a model's initialisation: which layers are dead, saturated, equal, too small or too large.

    A copy of the model runs once forward and backward over ``inputs``; the model and the random generator are
    left as they were. Without a ``loss`` of the outputs, a random direction of them is followed backward.

    Raises:
        ModelError: the model has no layer with weights, or its output is no tensor.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 1))
        >>> _ = nn.init.constant_(model[0].weight, 0.1)
        >>> audit(model, torch.randn(200, 20)).layers[0].faults
        ('all units are equal',)
    """
    for name, value in {"low": low, "high": high, "saturation": saturation, "dead": dead}.items():
        check_number("initialization-audit", name, value, 0.0)
    twin = copy.deepcopy(model)
    places = {name: layer for name, layer in twin.named_modules() if isinstance(layer, _WEIGHTED)}
    if not places:
        raise ModelError("nothing to audit", expected="linear or convolutional layers", received="none")
    devices = [inputs.device] if inputs.is_cuda else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        seen = _run(twin, inputs, loss)
    last = list(seen)[-1] if seen else None  # by the order of running, not of registration
    scale = _rms(last.weight.grad) if isinstance(last, _WEIGHTED) else 0.0
    limits = (low, high, saturation, dead)
    layers = []
    for name, layer in places.items():
        own = _rms(layer.weight.grad)
        if layer not in seen:
            faults: tuple[str, ...] = ("never runs",)
            start = LayerStart(name, 0.0, 0.0, 0.0, 0.0, 0.0, _equal(layer.weight), faults, 1.0)
        else:
            start = _measured(name, layer.weight, *seen[layer], gradient=own / scale if scale else 0.0)
            bounded = type(seen[layer][2]) in _BOUNDS
            faults = _faults(start, bounded, layer is last, limits, moved=own > 0)
        layers.append(replace(start, faults=faults))
    return InitializationAudit(tuple(layers))


def _measured(
    name: str, weight: Tensor, z: Tensor, h: Tensor, unit: nn.Module, *, gradient: float
) -> LayerStart:
    std = _std(z)
    return LayerStart(
        name=name,
        std=std,
        after=_std(h),
        dead=_dead(h, unit),
        saturated=_saturated(h, unit),
        gradient=gradient,
        equal=_equal(weight),
        faults=(),
        rescale=1 / std if std > 0 else float("inf"),
    )


def _faults(
    x: LayerStart, bounded: bool, last: bool, limits: tuple[float, float, float, float], *, moved: bool
) -> tuple[str, ...]:
    low, high, saturation, dead = limits
    # An output layer may start at zero, and one unit alone is equal to itself.
    small = x.std < (low / 3 if bounded else low) and not last
    large = x.saturated > saturation if bounded else x.std > high
    checks = {
        "all units are equal": x.equal,
        "too small": small,
        ("saturated" if bounded else "too large"): large,
        "dead units": x.dead > dead and not last,
        "no gradient": not moved,
        "gradient vanishes": moved and 0 < x.gradient < _FADED,
        "gradient explodes": x.gradient > 1 / _FADED,
    }
    return tuple(text for text, wrong in checks.items() if wrong)


def _run(
    twin: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor] | None
) -> dict[nn.Module, tuple[Tensor, Tensor, nn.Module]]:
    """Run forward and backward; return for each layer its output, what follows the activation, and that."""
    order: list[tuple[nn.Module, Tensor]] = []
    leaves = [m for m in twin.modules() if not list(m.children())]
    with _hooked(leaves, lambda module, output: order.append((module, output.detach()))):
        output = twin(inputs)
    if not isinstance(output, Tensor):
        raise ModelError(
            "cannot audit", expected="a model that returns a tensor", received=type(output).__name__
        )
    objective = loss(output) if loss is not None else (output * torch.randn_like(output)).sum()
    twin.zero_grad()
    if objective.requires_grad:
        torch.autograd.backward(objective)
    seen: dict[nn.Module, tuple[Tensor, Tensor, nn.Module]] = {}
    for at, (module, value) in enumerate(order):
        if isinstance(module, _WEIGHTED):
            unit, after = _next_activation(order[at + 1 :])
            seen[module] = (value, value if after is None else after, unit)
    return seen


def _next_activation(later: list[tuple[nn.Module, Tensor]]) -> tuple[nn.Module, Tensor | None]:
    for module, value in later:
        if isinstance(module, _WEIGHTED):
            break
        if is_activation(module):
            return module, value
    return nn.Identity(), None


@contextmanager
def _hooked(modules: list[nn.Module], note: Callable[[nn.Module, Tensor], None]) -> Iterator[None]:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            note(module, output)

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _std(x: Tensor) -> float:
    return float(x.float().std()) if x.numel() > 1 else 0.0


def _rms(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.float().square().mean().sqrt())


def _equal(weight: Tensor) -> bool:
    rows = weight.detach().flatten(1)
    return len(rows) > 1 and bool((rows == rows[0]).all())


def _dead(h: Tensor, unit: nn.Module) -> float:
    if isinstance(unit, nn.Identity) or h.ndim < 2:
        return 0.0
    units = h.movedim(1, -1).reshape(-1, h.shape[1]) if h.ndim > 2 else h
    return float((units == 0).all(0).float().mean())


def _saturated(h: Tensor, unit: nn.Module) -> float:
    bounds = _BOUNDS.get(type(unit))
    if bounds is None:
        return 0.0
    near = _NEAR * (bounds[1] - bounds[0])
    return float(((h < bounds[0] + near) | (h > bounds[1] - near)).float().mean())


@registered(
    kind=_KIND,
    name="unit-variance",
    aliases=("lsuv", "layer-sequential-unit-variance", "mid-range", "init-range"),
    formula="layer by layer, w ← w · std / s, s the deviation of the layer's outputs over the examples, "
    "until "
    "|s − std| ≤ tolerance · std or rounds passes were made",
    shapes="a model, inputs (N, …) → the same model, its weights rescaled in place",
    when="a start whose activations sit mid-range, for any architecture and activation",
    pitfalls="needs real inputs, scaled as in the training; weights of one sign stay so: start random",
    source="Mishkin and Matas, All You Need Is a Good Init, 2016",
    differs="the paper starts from orthogonal weights; this keeps whatever weights there are",
    example="""
    >>> model = get('mlp', (8,), 2, hidden=[32, 32], activation='tanh', init='normal')
    >>> x = torch.randn(256, 8)
    >>> fitted = get('unit-variance', model, x)
    >>> all(abs(layer.std - 1) < 0.1 for layer in get('audit', fitted, x).layers)
    True
    """,
)
def unit_variance(
    model: nn.Module, inputs: Tensor, std: float = 1.0, tolerance: float = 0.05, rounds: int = 10
) -> nn.Module:
    """Scale fitted to the data: every layer's outputs get the same deviation, from the first to the last.

    Raises:
        ModelError: a layer's outputs are all equal, so that no scale can help.
        ConfigError: a number is out of range.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 3))
        >>> x = torch.randn(99, 4)
        >>> round(unit_variance(model, x)(x).std().item(), 1)
        1.0
    """
    check_number("unit-variance", "std", std, 1e-12)
    check_number("unit-variance", "tolerance", tolerance, 0.0)
    check_count("unit-variance", "rounds", rounds)
    for name, layer in model.named_modules():
        if not isinstance(layer, _WEIGHTED):
            continue
        for _ in range(rounds):
            found = _output_std(model, layer, inputs)
            if not found > 0:
                raise ModelError(
                    f"the layer {name!r} cannot be rescaled",
                    expected="outputs that differ from one another",
                    received=f"standard deviation {found:g}",
                    hint="start from random weights",
                )
            if abs(found - std) <= tolerance * std:
                break
            with torch.no_grad():
                layer.weight.mul_(std / found)
    return model


def _output_std(model: nn.Module, layer: nn.Module, inputs: Tensor) -> float:
    held: list[Tensor] = []
    with torch.no_grad(), _hooked([layer], lambda module, output: held.append(output)):
        model(inputs)
    return _std(held[-1]) if held else 0.0
