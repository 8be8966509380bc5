"""The penalty that holds weights near those that a training started from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer

__all__ = ["L2SP"]


@registered(
    kind="regularizer",
    name="l2-sp",
    aliases=("l2sp", "starting-point-penalty", "distance-from-start"),
    formula="L + ½ · strength · Σ (w − w⁰)² + ½ · head · Σ w², the first sum over the weights that were "
    "loaded, w⁰ as they came, the second over those that are new",
    shapes="the weights of a model → a number; biases and normalisations' scales are left out",
    when="fine-tuning with few examples: what was learned before is forgotten only for a reason",
    pitfalls="beside weight decay the weights are pulled to zero as well: leave that out; from a random "
    "start it holds the net near noise",
    source="Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional "
    "Networks, 2018",
    example=">>> layer = torch.nn.Linear(1, 1)\n>>> held = get('l2-sp', strength=0.5).attach(layer)\n"
    ">>> layer.weight.data += 2\n>>> round(held.penalty().item(), 5)\n1.0",
    traits={"moment": "penalty"},
)
class L2SP(Regularizer):
    """L2-SP: the squared distance of the weights from those that the training started from."""

    def __init__(self, strength: float = 1e-2, head: float = 1e-2) -> None:
        self.strength = check_number("l2-sp", "strength", strength, 0.0)
        self.head = check_number("l2-sp", "head", head, 0.0)

    def attach(self, model: nn.Module) -> L2SP:
        """Remember the weights as they are."""
        super().attach(model)
        self._names = {id(p): name for name, p in model.named_parameters()}
        self.start = {self._names[id(w)]: w.detach().clone() for w in self.weights}
        return self

    def forget(self, names: Collection[str]) -> None:
        """Take some weights for new: they are held near zero, with the head's strength."""
        self.start = {name: start for name, start in self.start.items() if name not in names}

    def penalty(self) -> Tensor:
        """Return the penalty."""
        terms = [torch.zeros(())]
        for w in self.weights:
            start = self.start.get(self._names[id(w)])
            if start is None:
                terms.append(self.head * w.square().sum())
            else:
                terms.append(self.strength * (w - start).square().sum())
        return 0.5 * torch.stack([term.to(terms[-1]) for term in terms]).sum()

    def state_dict(self) -> dict[str, Any]:
        """Return what the weights are held near."""
        return {"start": dict(self.start)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over, on the devices where the weights lie."""
        where = {self._names[id(w)]: w for w in self.weights}
        self.start = {
            name: start.to(where[name]) if name in where else start for name, start in state["start"].items()
        }
