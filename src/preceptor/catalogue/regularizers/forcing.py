"""Teacher forcing: how much of the truth a network that writes sequences is given while it learns."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import ConfigError, ModelError

__all__ = ["ScheduledSampling", "TeacherForcing"]

_EXAMPLE = ">>> net = get('seq2seq', (9,), 30, hidden=8)\n"
_RULES = ("linear", "exponential", "inverse-sigmoid")
_LEAST, _STEEP = 0.01, 6.0


@registered(
    kind="regularizer",
    name="teacher-forcing",
    aliases=("teacher", "teacher-forcing-ratio"),
    formula="the input at step t is the true y_{t−1} with probability ratio, else a draw from the network's "
    "own P(y_{t−1} | …), a coin for each symbol; ratio=1: always true, which is how training goes without it",
    shapes="a model that has `forcing`, such as seq2seq; targets stay true",
    when="ratio below 1: the network is to get used to its own mistakes",
    pitfalls="with ratio=0 and a network that knows nothing it learns slowly; below 1 every step waits for "
    "the one before it",
    source="Williams and Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural "
    "Networks, 1989; by chance: Bengio, Vinyals, Jaitly and Shazeer, Scheduled Sampling for Sequence "
    "Prediction with Recurrent Neural Networks, 2015",
    example=_EXAMPLE + ">>> _ = get('teacher-forcing', ratio=0.8).attach(net)\n>>> net.forcing\n0.8",
    traits={"moment": "examples", "random": True},
)
class TeacherForcing(Regularizer):
    """Teacher forcing: true symbols as inputs, all of them or a share."""

    def __init__(self, ratio: float = 0.5) -> None:
        self.first = check_number("teacher-forcing", "ratio", ratio, 0.0, 1.0)

    def attach(self, model: nn.Module) -> Any:
        """Find what writes in the model."""
        self.models: list[Any] = [
            m for m in model.modules() if isinstance(getattr(m, "forcing", None), float)
        ]
        if not self.models:
            raise ModelError(
                "no part of the model can be given its own outputs",
                expected="a model with `forcing`, such as seq2seq or seq2seq-attention",
                received=type(model).__name__,
            )
        self._set()
        return super().attach(model)

    @property
    def ratio(self) -> float:
        """The share of true symbols at the present step."""
        return self.first

    def _set(self) -> None:
        for model in self.models:
            model.forcing = self.ratio

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Tell the model the share of this step."""
        self._set()
        return x, y


@registered(
    kind="regularizer",
    name="scheduled-sampling",
    aliases=("teacher-forcing-schedule", "curriculum-sampling"),
    formula="teacher forcing by ratio_i = last + (first − last) · f(s), s = min(1, i / (share · steps of the "
    "training)): f = 1 − s ('linear'), (0.01^s − 0.01) / 0.99 ('exponential'), or σ(6 − 12 s), moved and "
    "stretched to begin with 1 and end with 0 ('inverse-sigmoid')",
    shapes="a model that has `forcing`, such as seq2seq; targets stay true",
    when="sequences that are written freely in the end: the network goes over from the truth to its own "
    "outputs while it learns",
    pitfalls="the gradient does not flow through draws, and what they should be followed by is the truth all "
    "the same: towards last=0 it can learn to ignore its inputs",
    source="Bengio, Vinyals, Jaitly and Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent "
    "Neural Networks, 2015",
    differs="the paper gives the decay by step; here by the share of the training",
    example=_EXAMPLE + ">>> sampling = get('scheduled-sampling').attach(net)\n>>> sampling.plan(4)\n"
    ">>> ratios = []\n>>> for _ in range(5):\n...     ratios.append(sampling.ratio)\n"
    "...     sampling.after_step(0.1)\n>>> ratios\n[1.0, 0.75, 0.5, 0.25, 0.0]",
    traits={"moment": "after_step", "random": True},
)
class ScheduledSampling(TeacherForcing):
    """Scheduled sampling: from true symbols as inputs to the network's own, over the training."""

    def __init__(
        self, first: float = 1.0, last: float = 0.0, rule: str = "linear", share: float = 1.0
    ) -> None:
        owner = "scheduled-sampling"
        self.first = check_number(owner, "first", first, 0.0, 1.0)
        self.last = check_number(owner, "last", last, 0.0, 1.0)
        self.rule = check_choice(owner, "rule", rule, _RULES)
        self.share = check_number(owner, "share", share, 0.0, 1.0)
        if not self.share:
            raise ConfigError(
                f"{owner}: share is not usable", expected="a share above 0, up to 1", received="share=0"
            )
        self.done, self.steps = 0, 0

    def plan(self, total_steps: int) -> None:
        """Take in over how many steps the share falls."""
        self.steps = total_steps

    @property
    def ratio(self) -> float:
        """The share of true symbols at the present step; the first one as long as nothing is planned."""
        s = min(1.0, self.done / (self.share * self.steps)) if self.steps else 0.0
        return self.last + (self.first - self.last) * _fallen(self.rule, s)

    def after_step(self, lr: float) -> None:
        """Count the step."""
        self.done += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the count."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the count."""
        self.done = int(state["done"])


def _fallen(rule: str, s: float) -> float:
    if rule == "linear":
        return 1 - s
    if rule == "exponential":
        return float(_LEAST**s - _LEAST) / (1 - _LEAST)
    low, value = (1 / (1 + math.exp(-z)) for z in (-_STEEP, _STEEP * (1 - 2 * s)))
    return (value - low) / (1 - 2 * low)
