"""Losses that no backward pass follows, and modules called without gradient: evaluation passes, by place."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from preceptor.observation._around import Around
from preceptor.observation._facts import Facts
from preceptor.observation._looks import Looks
from preceptor.observation._numbers import Numbers, number
from preceptor.observation._sites import line_of, user_frame, user_frame_above
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.steps import Pass, Passes, samples_in

__all__ = ["Evaluating", "per_sample"]

_PLACES = 200


class Evaluating(Around):
    """Tells evaluations from training, and writes down the mean loss of each pass."""

    def __init__(self, record: Record, protocol: Protocol, looks: Looks) -> None:
        super().__init__(protocol, Facts(record, protocol, looks.names), Numbers(record))
        self.record, self.looks = record, looks
        self.passes = Passes()
        self._training = True
        self._trained: set[int] = set()
        self._one: tuple[int, float | Tensor, int, str, bool] | None = None
        self._evaluations: dict[str, dict[str, Any]] = {}
        record.facts["evaluations"] = self._evaluations
        self._signatures: dict[Any, inspect.Signature] = {}

    def _maybe_evaluating(self, module: Any, place: int) -> None:
        """A module that is trained was called without gradient: an evaluation, even if no loss follows."""
        if id(module) in self._trained and (not module.training or self._loader != self._training_loader):
            key = ("forward", place, self._loader)
            found = self.passes.open.get(key)
            if found is None:
                event = self.protocol.event(place)
                where = f"{event.where}<{event.caller}" if event.caller else event.where
                found = self._open(key, where, Pass("", training=module.training, loader=self._loader))
            found.batches += 1

    def _evaluated(
        self, name: str, function: Any, args: Any, kwargs: Any, result: Any, place: int, frame: Any
    ) -> None:
        """A loss was computed without gradient."""
        event = self.protocol.event(place)
        self.looks.evaluation_loss(name, self._bound(function, args, kwargs), result, event.where)
        above = user_frame_above(user_frame(frame))
        caller = None if above is None else (id(above.f_code), above.f_lasti)
        key = (place, self._loader, caller)
        found = self.passes.open.get(key)
        if found is None:
            where = event.where if above is None else f"{event.where}<{line_of(above)}"
            found = self._open(key, where, Pass("", training=self._training, loader=self._loader))
        samples = samples_in(args)
        found.add(per_sample(number(result), samples, kwargs), samples)

    def _open_one(self) -> None:
        """Add the latest loss with gradient to those whose backward pass may never come."""
        if self._one is not None:
            place, value, samples, loader, training = self._one
            self._one = None
            key = (place, loader, None)
            found = self.passes.open.get(key)
            if found is None:
                where = self.protocol.event(place).where
                found = self._open(key, where, Pass("", training=training, grad=True, loader=loader))
            self.passes.last = key
            found.add(value, samples)

    def _open(self, key: Any, where: str, found: Pass) -> Pass:
        found.where = f"{where} {found.loader.partition(' (')[0]}" if found.loader else where
        self.passes.open[key] = found
        return found

    def _bound(self, function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        signature = self._signatures.get(function)
        if signature is None:
            signature = self._signatures[function] = inspect.signature(function)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _close_passes(self, *, backward: bool) -> None:
        closed = self.passes.close(backward=backward)
        for ended in [one for one in closed if one.samples] or closed[:1]:
            self.steps.evaluations += 1
            subject = f"evaluation:{ended.where}"
            if ended.samples:
                self.numbers.add("loss", self.steps.train, ended.mean, subject)
            known = self._evaluations.get(subject)
            if known is None and len(self._evaluations) < _PLACES:
                known = self._evaluations[subject] = {"passes": 0}
            if known is not None:
                known["passes"] += 1
                known.update(batches=ended.batches, training=ended.training, grad=ended.grad)


def per_sample(value: Any, samples: int, kwargs: Any) -> Any:
    """Return a loss as a mean: sums are divided by the number of samples."""
    return value / samples if kwargs.get("reduction") == "sum" else value
