"""A case: what rules read of a run, worked out once: curves, loss calls, optimizers, epochs, progress."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from preceptor.diagnosis._chance import chance
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Graph
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Event, Phrase, Protocol
from preceptor.observation.record import Record
from preceptor.observation.series import Series

__all__ = ["Case", "LossCall"]


@dataclass(frozen=True)
class LossCall:
    """One call of a loss function, or one kind of it; None where something could not be measured.

    Attributes:
        row: all that was noted: see `preceptor.observation.probes.Losses`.
    """

    row: dict[str, Any]

    @property
    def function(self) -> str:
        """The function of ``torch.nn.functional``."""
        return str(self.row["function"])

    @property
    def where(self) -> str:
        """The user's line."""
        return str(self.row["where"])

    @property
    def phase(self) -> str:
        """Whether it was in "train" or "evaluation"."""
        return str(self.row["phase"])

    @property
    def step(self) -> int:
        """The training step."""
        return int(self.row["step"])

    def shape(self, of: str = "input") -> tuple[int, ...]:
        """The shape of the "input" or the "target"; () where unknown."""
        return tuple(self.row.get(f"{of}_shape", ()))

    def number(self, key: str) -> float:
        """A measured number; NaN where there is none."""
        value = self.row.get(key)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def __getitem__(self, key: str) -> Any:
        return self.row.get(key)


class Case:
    """One run as rules see it. Everything is read only, and worked out when it is first asked for.

    Arguments:
        seen: what a watch observed.
        over: whether the run has ended; what judges its end waits until then.

    Example:
        >>> from preceptor.observation.protocol import Protocol
        >>> from preceptor.observation.record import Record
        >>> record = Record()
        >>> for step in range(50):
        ...     record.add("loss", step, 1 / (1 + step), "train")
        >>> case = Case(Observed(record, Protocol(), steps={"train": 50}))
        >>> case.losses.last, case.steps
        (0.02, 50)
    """

    def __init__(self, seen: Observed, *, over: bool = True) -> None:
        self.seen, self.over = seen, over

    @property
    def record(self) -> Record:
        """The signals, tables, facts, fingerprints."""
        return self.seen.record

    @property
    def protocol(self) -> Protocol:
        """Every call, in order."""
        return self.seen.protocol

    @property
    def graphs(self) -> dict[int, Graph]:
        """Recorded graphs by step."""
        return self.seen.graphs

    @property
    def notes(self) -> list[str]:
        """What the watch could not see."""
        return self.seen.notes

    @property
    def facts(self) -> dict[str, Any]:
        """What holds for the whole run: models, optimizers, loaders, classes, unoptimized."""
        return self.record.facts

    # ------------------------------------------------------------------ steps and epochs

    @cached_property
    def steps(self) -> int:
        """How many steps all optimizers made together."""
        return int(self.seen.steps.get("train", 0))

    @cached_property
    def epochs(self) -> int:
        """How often the loader that is trained from was gone through; 0 where there is no loader."""
        return int(self.seen.steps.get("epochs", 0))

    @cached_property
    def phrases(self) -> list[Phrase]:
        """The protocol: one phrase a step, equal ones in a row counted."""
        return list(self.protocol)

    @cached_property
    def events(self) -> list[Event]:
        """The events of one typical step."""
        return list(self.protocol.typical())

    # ------------------------------------------------------------------ curves

    @cached_property
    def losses(self) -> Curve:
        """The training loss at every step of the (first) optimizer."""
        return self.curve("train") if "train" in self.phases else Curve()

    @cached_property
    def phases(self) -> list[str]:
        """Phases with a loss, as "train", "train:1", "evaluation:train.py:41"."""
        return self.record.subjects("loss") if "loss" in self.record.names else []

    @cached_property
    def evaluations(self) -> dict[str, Curve]:
        """The mean loss of each evaluation pass, by phase."""
        return {phase: self.curve(phase) for phase in self.phases if phase.startswith("evaluation")}

    def curve(self, phase: str) -> Curve:
        """Return the loss of a phase."""
        series = self.signal("loss", phase)
        return Curve(series.steps, series.values)

    def signal(self, name: str, subject: str = "") -> Series:
        """Return one signal of exactly this subject; empty where it was never measured."""
        if name not in self.record.names or subject not in self.record.subjects(name):
            return Series(name, subject)
        return self.record.signal(name, subject=subject)

    def signals(self, name: str) -> dict[str, Series]:
        """Return one signal of all its subjects."""
        subjects = self.record.subjects(name) if name in self.record.names else []
        return {subject: self.record.signal(name, subject=subject) for subject in subjects}

    # ------------------------------------------------------------------ what was called

    @cached_property
    def optimizers(self) -> list[dict[str, Any]]:
        """Every optimizer: number, class, where, groups with their settings when first seen."""
        return list(self.facts.get("optimizers", []))

    @cached_property
    def loss_calls(self) -> list[LossCall]:
        """Every kind of call of a loss function, training and evaluation, in order."""
        return [LossCall(row) for row in self.record.tables.get("losses", []) if "function" in row]

    @cached_property
    def loss_call(self) -> LossCall | None:
        """The first training call of the loss that training minimises; None where it is written by hand.

        Of several, the one with the most inputs.
        """
        calls = [call for call in self.loss_calls if call.phase == "train"]
        return max(calls, key=lambda call: math.prod(call.shape() or (0,)), default=None) if calls else None

    # ------------------------------------------------------------------ graphs

    @cached_property
    def structures(self) -> dict[int, Structure]:
        """What the recorded graphs tell, by step."""
        return {step: Structure(graph) for step, graph in sorted(self.graphs.items()) if graph.losses}

    @cached_property
    def structure(self) -> Structure | None:
        """The earliest of them; None where no step was recorded."""
        return next(iter(self.structures.values()), None)

    # ------------------------------------------------------------------ how it goes

    @cached_property
    def chance(self) -> float | None:
        """The loss of the best constant prediction; None where it cannot be known."""
        return chance(self)

    @cached_property
    def ending(self) -> float:
        """The training loss at the end: mean of the last epoch where there were five, else of the last steps.

        Within an epoch the loss may go up and down, where batches come in a fixed order.
        """
        curve = self.losses
        batches = round(self.steps / self.epochs) if self.epochs else 0
        if not math.isfinite(curve.end) or not 0 < 5 * batches <= len(curve):
            return curve.end
        return float(curve.values[curve.steps > curve.steps[-1] - batches].mean())

    @cached_property
    def explained(self) -> float | None:
        """How much of the way from the best constant prediction to a perfect one was made: 1 − L / L₀.

        L = the loss at the end, L₀ = `chance`. About 0: nothing was learned; negative: worse than a constant.
        None where L₀ is not known.
        """
        if self.chance is None or self.chance <= 0 or not len(self.losses):
            return None
        return 1 - self.ending / self.chance

    @cached_property
    def improved(self) -> float:
        """The share of the first loss that is gone at the end: 1 − L_end / L_start; NaN where not known."""
        start = self.losses.start
        return 1 - self.ending / start if start > 0 else math.nan

    @cached_property
    def diverged(self) -> bool:
        """Whether the training loss is not finite any more, or far above where it began."""
        return self.losses.diverged
