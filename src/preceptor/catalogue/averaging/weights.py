"""Averages of one model's weights over the steps of its training."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.averaging.models import ModelAverage
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import ConfigError

__all__ = ["EMA", "SWA", "Polyak", "Snapshots", "WeightAverage"]

_SHAPES = "the weights of a model → weights of the same shapes; named among a training's regularizers, the "
_SHAPES += "average is what is measured, kept as the best and left in the model"


class WeightAverage(Regularizer):
    """Keeps an average of a model's parameters beside them; subclasses say how much a step counts."""

    every = True

    def attach(self, model: nn.Module) -> WeightAverage:
        """Begin the average at the present weights."""
        super().attach(model)
        self.steps = 0
        self.average = [w.detach().clone() for w in self.weights]
        return self

    def plan(self, total_steps: int) -> None:
        """Hear, before the first step, how many there will be at most."""

    @abstractmethod
    def share(self) -> float:
        """Return the weight of the step's parameters in the new average; 1 forgets all before."""

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """Take the step's weights into the average."""
        self.steps += 1
        torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], self.share())

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the average into the model, and the step's weights back at the end."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average."""
        for w, mean in zip(self.weights, self.average, strict=True):
            kept = w.clone()
            w.copy_(mean)
            mean.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of steps."""
        return {"steps": self.steps, "average": list(self.average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over an average."""
        self.steps = int(state["steps"])
        for mean, value in zip(self.average, state["average"], strict=True):
            mean.copy_(value)


@registered(
    kind="averaging",
    name="polyak-averaging",
    aliases=("polyak", "weight-averaging", "iterate-averaging", "polyak-ruppert", "ens-poly"),
    formula="w̄ ← w̄ + (w − w̄) / n after each step, n the steps since start: w̄ = mean of w over them; "
    "before start, w̄ = w; start < 1: that share of the training's steps",
    shapes=_SHAPES,
    when="a constant or cyclic learning rate: the steps swing about a point that their mean comes nearer to",
    pitfalls="a mean from the start on remembers bad weights for long: start late; batch-norm's statistics "
    "are those of the single models and must be recomputed (a training does)",
    source="Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992",
    differs="torch's AveragedModel keeps a second model, and leaves batch-norm to update_bn",
    example=">>> layer = torch.nn.Linear(1, 1, bias=False)\n"
    ">>> mean = get('polyak-averaging', kind='averaging').attach(layer)\n"
    ">>> for value in (1.0, 2.0, 6.0):\n...     _ = layer.weight.data.fill_(value)\n"
    "...     mean.after_step(lr=0.1)\n>>> mean.average[0].item()\n3.0",
    traits={"moment": "after_step"},
)
class Polyak(WeightAverage):
    """Polyak averaging: the mean of the weights over the steps since a start."""

    owner = "polyak-averaging"

    def __init__(self, start: float = 0) -> None:
        share = isinstance(start, float) and 0 < start < 1
        self.start = start if share else check_count(self.owner, "start", start, 0)
        self.first = 0 if share else int(start)

    def plan(self, total_steps: int) -> None:
        """Turn a start that is a share of the training into a step."""
        if 0 < self.start < 1:
            self.first = int(self.start * total_steps)

    def share(self) -> float:
        """Return 1/n."""
        return 1.0 / max(self.steps - self.first, 1)


@registered(
    kind="averaging",
    name="stochastic-weight-averaging",
    aliases=("swa",),
    formula="polyak-averaging over the last quarter of a training: start = 0.75",
    shapes=_SHAPES,
    when="a flatter minimum, and often a better one, for the price of one training; with a constant or "
    "cyclic rate",
    pitfalls="a training that stops early may stop before the average begins: patience=None; batch-norm's "
    "statistics must be recomputed (a training does)",
    source="Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018",
    differs="the paper, and torch's AveragedModel in its usual place, average once an epoch and not every "
    "step",
    example=">>> layer = torch.nn.Linear(1, 1, bias=False)\n>>> mean = get('swa').attach(layer)\n>>> "
    "mean.plan(total_steps=4)\n>>> for value in (1.0, 2.0, 3.0, 8.0):\n...     _ = "
    "layer.weight.data.fill_(value)\n...     mean.after_step(lr=0.1)\n>>> mean.average[0].item()\n8.0",
    traits={"moment": "after_step"},
)
class SWA(Polyak):
    """Stochastic weight averaging: the mean of the weights over the last part of a training."""

    owner = "stochastic-weight-averaging"

    def __init__(self, start: float = 0.75) -> None:
        super().__init__(start)


@registered(
    kind="averaging",
    name="exponential-moving-average",
    aliases=("ema", "ema-weights", "moving-average"),
    formula="w̄ ← d w̄ + (1 − d) w after each step, d = min(decay, (1 + t) / (10 + t)) with warmup, else decay",
    shapes=_SHAPES,
    when="almost any training: a steadier model at the price of its size in memory",
    pitfalls="decay 0.999 looks back over some 1,000 steps: too far for short trainings; batch-norm's "
    "statistics must be recomputed (a training does)",
    source="Ruppert, 1988; Tarvainen and Valpola, Mean Teachers are Better Role Models, 2017",
    differs="warmup is TensorFlow's num_updates; torch's get_ema_multi_avg_fn has none",
    example=">>> layer = torch.nn.Linear(1, 1, bias=False)\n>>> _ = layer.weight.data.fill_(0.0)\n"
    ">>> mean = get('ema', decay=0.5, warmup=False).attach(layer)\n>>> _ = layer.weight.data.fill_(8.0)\n"
    ">>> mean.after_step(lr=0.1)\n>>> mean.average[0].item()\n4.0",
    traits={"moment": "after_step"},
)
class EMA(WeightAverage):
    """Exponential moving average of the weights: later steps count more."""

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        self.decay = check_number("exponential-moving-average", "decay", decay, 0.0, 1.0)
        self.warmup = warmup

    def share(self) -> float:
        """Return 1 − d."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        return 1 - decay


@registered(
    kind="averaging",
    name="snapshot-ensemble",
    aliases=("snapshots", "ens-snap"),
    formula="the weights after every every-th step, the latest members of them; their predictions are "
    "averaged",
    shapes="the steps of one training → models; named among a training's regularizers",
    when="an ensemble for the price of one training, under a cyclic learning rate whose minima every meets",
    pitfalls="snapshots of one valley are alike: without a cycle between them little is gained",
    source="Huang et al., Snapshot Ensembles: Train 1, Get M for Free, 2017",
    example=">>> layer = torch.nn.Linear(1, 1)\n>>> kept = get('snapshot-ensemble', every=2).attach(layer)\n"
    ">>> for _ in range(6):\n...     kept.after_step(lr=0.1)\n>>> len(kept.models())\n3",
    traits={"moment": "after_step"},
)
class Snapshots(Regularizer):
    """Snapshot ensemble: one training's weights at several moments, as members."""

    def __init__(self, every: int = 1000, members: int = 5) -> None:
        self.interval = check_count("snapshot-ensemble", "every", every)
        self.members = check_count("snapshot-ensemble", "members", members)
        self.steps = 0
        self.kept: list[dict[str, Tensor]] = []

    def attach(self, model: nn.Module) -> Snapshots:
        """Take hold of the model, and begin to count."""
        self.model = model
        self.steps, self.kept = 0, []
        return self

    def after_step(self, lr: float) -> None:
        """Keep the weights, where it is their turn."""
        self.steps += 1
        if self.steps % self.interval == 0:
            self.kept.append({k: v.detach().clone() for k, v in self.model.state_dict().items()})
            del self.kept[: -self.members]

    def models(self) -> list[nn.Module]:
        """Return a model for each snapshot."""
        made = []
        for weights in self.kept:
            made.append(copy.deepcopy(self.model))
            made[-1].load_state_dict(weights)
        return made

    def average(self, of: str = "probabilities") -> nn.Module:
        """Return the snapshots as one model that averages their predictions.

        Raises:
            ConfigError: there are none yet.
        """
        if not self.kept:
            raise ConfigError(
                "there are no snapshots", expected=f"at least {self.interval} steps", received=f"{self.steps}"
            )
        return ModelAverage(self.models(), of=of)

    def state_dict(self) -> dict[str, Any]:
        """Return the snapshots."""
        return {"steps": self.steps, "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the snapshots."""
        self.steps, self.kept = int(state["steps"]), list(state["kept"])
