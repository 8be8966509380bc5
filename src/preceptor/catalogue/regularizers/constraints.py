"""What acts on the weights themselves at each step, or makes them one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.catalogue.regularizers.penalties import parameters_named
from preceptor.errors import ConfigError

__all__ = ["MaxNorm", "ParameterSharing", "WeightDecay"]

_KIND = "regularizer"


@registered(
    kind=_KIND,
    name="weight-decay",
    aliases=("decoupled-weight-decay",),
    formula="w ← (1 − lr · strength) w before each step of the optimizer",
    shapes="the weights of a model, changed in place; biases and normalisations' scales only with bias",
    when="with Adam, RMSProp and AdaGrad, which would rescale the gradient of an L2 penalty",
    pitfalls="for plain gradient descent it is the L2 penalty; follows the learning rate, and its schedule",
    source="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019",
    differs="torch's AdamW decays biases and normalisations as well; the optimizers' own weight_decay (but "
    "AdamW's) is an L2 penalty",
    example=">>> layer = torch.nn.Linear(1, 1)\n>>> layer.weight.data.fill_(2.0)\ntensor([[2.]])\n"
    ">>> get('weight-decay', strength=0.1).attach(layer).before_step(lr=0.5)\n"
    ">>> round(layer.weight.item(), 4)\n1.9",
    traits={"moment": "before_step"},
)
class WeightDecay(Regularizer):
    """Weight decay: all weights shrink by a small share at each step."""

    def __init__(self, strength: float = 1e-2, bias: bool = False) -> None:
        self.strength = check_number("weight-decay", "strength", strength, 0.0)
        self.every = bias

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """Multiply the weights by 1 − lr · strength."""
        torch._foreach_mul_(tuple(self.weights), 1 - lr * self.strength)


@registered(
    kind=_KIND,
    name="max-norm",
    aliases=("maxnorm", "max-norm-constraint", "norm-constraint"),
    formula="after each step w ← w · min(1, limit / ‖w‖) for the weights w of each unit (a row, a filter)",
    shapes="the weights of a model, changed in place",
    when="with dropout and large learning rates: weights cannot grow without bound",
    pitfalls="limit depends on the number of inputs; 3 or 4 is usual after dropout",
    source="Srebro and Shraibman, Rank, Trace-Norm and Max-Norm, 2005; Srivastava et al., Dropout, 2014",
    differs="Keras' axis=0 is torch's axis 1: here, as there, the norm of a unit's incoming weights",
    example=">>> layer = torch.nn.Linear(2, 1)\n>>> layer.weight.data = torch.tensor([[3.0, 4.0]])\n"
    ">>> get('max-norm', limit=1.0).attach(layer).after_step(lr=0.1)\n>>> layer.weight.data\n"
    "tensor([[0.6000, 0.8000]])",
    traits={"moment": "after_step"},
)
class MaxNorm(Regularizer):
    """Max-norm constraint: each unit's incoming weights are at most so long."""

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = check_number("max-norm", "limit", limit, 1e-12)

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """Shorten the units' weights that are too long."""
        for w in self.weights:
            norms = torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim)), keepdim=True)
            w.mul_((self.limit / norms.clamp(min=1e-30)).clamp(max=1.0))


@registered(
    kind=_KIND,
    name="parameter-sharing",
    aliases=("weight-sharing", "weight-tying", "tie-hard", "hard-tying"),
    formula="w_A = w_B: one parameter, whose gradient is the sum of those of its uses",
    shapes="groups of parameter names → the model with one parameter for each group",
    when="an autoencoder's decoder, a language model's input and output embedding, siamese networks",
    pitfalls="only what has one shape can be shared; the last start is lost, the first name's is kept",
    source="LeCun, Generalization and Network Design Strategies, 1989",
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))\n"
    ">>> _ = get('parameter-sharing', [('0.weight', '1.weight')]).attach(model)\n"
    ">>> model[0].weight is model[1].weight, sum(p.numel() for p in model.parameters())\n(True, 8)",
    traits={"moment": "attach", "model": True},
)
class ParameterSharing(Regularizer):
    """Parameter sharing: several parameters are made one."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self.groups = [parameters_named("parameter-sharing", group) for group in groups]

    def attach(self, model: nn.Module) -> ParameterSharing:
        """Put the first parameter of each group in the place of the others."""
        for first, *others in self.groups:
            kept = _find(model, first)
            for name in others:
                if _find(model, name).shape != kept.shape:
                    raise ConfigError(
                        "parameter-sharing: the parameters differ in shape",
                        expected=f"{tuple(kept.shape)}, as {first}",
                        received=f"{tuple(_find(model, name).shape)} for {name}",
                    )
                owner, _, last = name.rpartition(".")
                setattr(model.get_submodule(owner), last, kept)
        return self


def _find(model: nn.Module, name: str) -> nn.Parameter:
    known = dict(model.named_parameters(remove_duplicate=False))
    if name not in known:
        raise ConfigError(
            "parameter-sharing: there is no such parameter",
            expected=", ".join(list(known)[:12]),
            received=name,
        )
    return known[name]
