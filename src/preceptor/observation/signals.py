"""Everything that a watch measures: one row a signal, with its formula and what the symbols stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["SIGNALS", "Cadence", "Combination", "Kind", "Signal"]

Kind = Literal["run", "phase", "parameter", "layer", "optimizer", "loader", "batch"]
Cadence = Literal["every step", "looks"]
Combination = Literal["norm", "ratio", "mean"]


@dataclass(frozen=True)
class Signal:
    """One quantity that is measured as training goes on.

    Arguments:
        name: what `Record.signal` takes.
        of: what a subject of it is: the run (subject ``""``), a phase, a parameter, a layer, …
        unit: of its values; ``1`` is a pure number, ``share`` one from 0 to 1.
        formula: how a value comes about, then its symbols.
        how: taken at every step, or only at looks (the steps that the governor picks).
        combine: how the parameters of one layer make the layer's value; None where they do not.

    Example:
        >>> SIGNALS["update_ratio"].formula
        '‖Δ‖₂ / ‖w‖₂; Δ = w after the step − w before it, w = the parameter before the step'
    """

    name: str
    of: Kind
    unit: str
    formula: str
    how: Cadence
    combine: Combination | None = None


_PHASE = (
    Signal("loss", "phase", "loss", "L; L = the scalar that backward starts from (train) or a loss call"
           " returns (evaluation)", "every step"),
)  # fmt: skip

_SPENT = "mean over the steps since the last look of t₁ − t₀; t₀, t₁ = wall clock at the start and end of "
_RUN = (
    Signal("step_seconds", "run", "s", f"{_SPENT}a step (from one optimizer step to the next)", "looks"),
    Signal("data_seconds", "run", "s", f"{_SPENT}waiting for the loader's next batch", "looks"),
    Signal("forward_seconds", "run", "s", f"{_SPENT}the outermost module's call", "looks"),
    Signal("backward_seconds", "run", "s", f"{_SPENT}backward", "looks"),
    Signal("optimizer_seconds", "run", "s", f"{_SPENT}the optimizer's step", "looks"),
    Signal("host_syncs", "run", "1", "n; n = calls in the step that make the host wait for the device",
           "looks"),
    Signal("memory_bytes", "run", "B", "m; m = bytes allocated on the device, or resident in memory"
           " without one",
           "looks"),
    Signal("look_seconds", "run", "s", "t; t = wall time that the watch itself spent on the look", "looks"),
    Signal("total_grad_norm", "run", "1", "√(Σₚ ‖gₚ‖₂²); gₚ = gradient of parameter p when the step begins",
           "looks"),
    Signal("grad_scale", "run", "1", "S; S = factor that the gradient scaler put on the loss", "every step"),
    Signal("clip_norm", "run", "1", "√(Σₚ ‖gₚ‖₂²) before clipping; gₚ = gradient of a clipped parameter p",
           "every step"),
    Signal("clipped", "run", "1", "1 if n > c, else 0; n = clip_norm, c = the norm that is allowed",
           "every step"),
)  # fmt: skip

_OPTIMIZER = (
    Signal("lr", "optimizer", "1", "η; η = learning rate of the group, where it changes", "every step"),
    Signal("momentum", "optimizer", "1", "μ; μ = momentum of the group, or β₁ of betas = (β₁, β₂)", "looks"),
    Signal("weight_decay", "optimizer", "1", "λ; λ = weight_decay of the group", "looks"),
    Signal(
        "update_cosine",
        "optimizer",
        "1",
        "Δ·Δ′ / (‖Δ‖₂ ‖Δ′‖₂); Δ = update of all its parameters, Δ′ = that at the look before",
        "looks",
    ),
    Signal(
        "slope_kept",
        "optimizer",
        "1",
        "(g·s) / (g′·s); g = gradient of all its parameters, g′ = that at the look before,"
        " s = what the weights moved in between; only where g′·s < 0",
        "looks",
    ),
)

_PARAMETER = (
    Signal("grad_norm", "parameter", "1", "‖g‖₂ = √(Σᵢ gᵢ²); g = the parameter's gradient when the"
           " step begins",
           "looks", "norm"),
    Signal("weight_norm", "parameter", "1",
           "‖w‖₂ = √(n/m · Σᵢ wᵢ²); w = the parameter before the step, m of its n elements, m ≤ 2,048",
           "looks", "norm"),
    Signal("update_norm", "parameter", "1",
           "‖Δ‖₂ = √(n/m · Σᵢ Δᵢ²); Δ = w after the step − w before it, at the same m of n elements",
           "looks", "norm"),
    Signal("distance", "parameter", "1",
           "√(n/m · Σᵢ (vᵢ − uᵢ)²); v = the parameter after the step, u = before the first step that was"
           " looked at, m of its n elements", "looks", "norm"),
    Signal("update_ratio", "parameter", "1",
           "‖Δ‖₂ / ‖w‖₂; Δ = w after the step − w before it, w = the parameter before the step",
           "looks", "ratio"),
    Signal("zero_grad_share", "parameter", "share",
           "#{i ∈ S: gᵢ = 0} / #S; g = the gradient, S = all elements, or a strided sample of a"
           " large parameter",
           "looks", "mean"),
    Signal("lost_update_share", "parameter", "share",
           "#{i ∈ S: gᵢ ≠ 0, Δᵢ = 0} / #S; g = the gradient, Δ = the update at a learning rate > 0,"
           " S = all elements, or a strided sample of a large parameter", "looks", "mean"),
    Signal("carried_grad_norm", "parameter", "1",
           "‖g₀‖₂; g₀ = gradient left over when the step's first backward begins (0 where None)",
           "looks", "norm"),
)  # fmt: skip

_ROWS = "a = the layer's first floating output, at most 32 of its rows"
_LAYER = (
    Signal("act_mean", "layer", "1", f"ā = Σᵢ aᵢ / n; n = number of elements, {_ROWS}", "looks"),
    Signal("act_std", "layer", "1", f"√(Σᵢ (aᵢ − ā)² / n); ā = act_mean, n = number of elements, {_ROWS}",
           "looks"),
    Signal("act_min", "layer", "1", f"minᵢ aᵢ; {_ROWS}", "looks"),
    Signal("act_max", "layer", "1", f"maxᵢ aᵢ; {_ROWS}", "looks"),
    Signal("inactive_units", "layer", "share",
           "#{u: inactive on every row of the window} / #u; u = unit (channel, or last axis),"
           " window = the rows of the last looks, never of one batch only", "looks"),
    Signal("saturated_share", "layer", "share",
           f"#{{i: aᵢ within 2 % of a bound}} / n; bound = of the activation's range, n = number of elements,"
           f" {_ROWS}", "looks"),
    Signal("constant_output", "layer", "share", f"#{{u: aᵤ equal on all rows}} / #u; u = unit, {_ROWS}",
           "looks"),
    Signal("nonfinite_share", "layer", "share",
           f"#{{i: aᵢ is NaN or ±∞}} / n; n = number of elements, {_ROWS}", "looks"),
)  # fmt: skip

_X = "x = the first floating input of the outermost module"
_Y = "y = the target of the loss call"
_BATCH = (
    Signal("input_mean", "batch", "1", f"x̄ = Σᵢ xᵢ / n; n = number of elements, {_X}", "looks"),
    Signal("input_std", "batch", "1", f"√(Σᵢ (xᵢ − x̄)² / n); x̄ = input_mean, n = number of elements, {_X}",
           "looks"),
    Signal("input_min", "batch", "1", f"minᵢ xᵢ; {_X}", "looks"),
    Signal("input_max", "batch", "1", f"maxᵢ xᵢ; {_X}", "looks"),
    Signal("nonfinite_inputs", "batch", "1", f"#{{i: xᵢ is NaN or ±∞}}; {_X}", "looks"),
    Signal("target_mean", "batch", "1", f"ȳ = Σᵢ yᵢ / n; n = number of elements, {_Y}", "looks"),
    Signal("target_std", "batch", "1", f"√(Σᵢ (yᵢ − ȳ)² / n); ȳ = target_mean, n = number of elements, {_Y}",
           "looks"),
    Signal("target_min", "batch", "1", f"minᵢ yᵢ; {_Y}", "looks"),
    Signal("target_max", "batch", "1", f"maxᵢ yᵢ; {_Y}", "looks"),
)  # fmt: skip

SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {s.name: s for s in (*_PHASE, *_RUN, *_OPTIMIZER, *_PARAMETER, *_LAYER, *_BATCH)}
)
"""Every signal by its name."""
