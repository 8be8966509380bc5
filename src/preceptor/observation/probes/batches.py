"""What the model is fed and what it is to learn: types, ranges, classes, their order, fingerprints."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._fingerprints import fingerprints
from preceptor.observation.probes._predictions import Predictions, predicted
from preceptor.observation.probes._sources import Matches, Sources
from preceptor.observation.probes._targets import Target, target_of
from preceptor.observation.probes._tensors import dense_sample, floating, readable, single, tensors_in
from preceptor.observation.probes.finite import found

__all__ = ["Batches", "range_kind"]

_SAMPLE, _FEW = 1 << 16, 1 << 13
_ROWS_OF_A_PHASE = 64
_SEEN, _RESTS = "batches.seen", "batches.rests"
_DENSE = 16


class Batches(Probe):
    """Inputs of the outermost module and targets of loss calls.

    The input is the first floating tensor among the arguments, else the first tensor. ``input_mean``,
    ``input_std``, ``input_min``, ``input_max``, ``nonfinite_inputs`` = #{xᵢ is NaN or ±∞}, scaled up where
    only a sample of 65,536 elements was looked at (8,192 for mean and deviation); ``target_mean`` … likewise,
    from the look's first loss call. In accumulating steps they are of the first micro-batch. All have the
    phase as their subject.

    Table ``batches``: a row (``what`` = "input") whenever type, shape of a sample or kind of range is new,
    and one (``what`` = "target") with the share of equal neighbouring labels at each of the first 64 looks
    of a phase. ``facts["classes"][phase]``: how often each class was seen at looks.
    ``facts["predictions"][phase]``: which class was predicted how often for which, at the latest eight
    or so.

    By source, which is the phase, for evaluations with the place and the loader, and for each further model
    anew: ``facts["sources"][source]`` = type, shape, largest batch, and of the columns at first looks count,
    mean, std, min and max (see `Features`). ``samples``: fingerprints of at most 128 rows of each batch, or
    32,768 elements; ``facts["fingerprints"][source]``: type and elements of a row.

    Of training looks where one input has one target: ``facts["pairs"]``, whether inputs that come again have
    the same target (see `Pairs`), and ``facts["relation"]``, whether the two depend on each other at all (see
    `relation`).

    From the 17th look at a training step on, every second one is left out.

    Arguments:
        hashes: whether to take fingerprints.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record, probe = Record(), Batches()
        >>> look = Look(0, "train", record)
        >>> probe.inputs(look, (torch.tensor([[0.0, 255.0], [3.0, 9.0]]),), {})
        >>> look.finish()
        >>> record.tables["batches"][0]["range"]
        'bytes'
    """

    def __init__(self, hashes: bool = True) -> None:
        self.hashes = hashes
        self._looks = 0
        self._sources, self._matches = Sources(), Matches()
        self._predictions: dict[str, Predictions] = {}
        self._kinds: set[tuple[Any, ...]] = set()
        self._rows: Counter[tuple[str, str]] = Counter()

    def inputs(self, look: Look, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Measure the input, and hash its rows."""
        if self._rests(look):
            return
        tensors = [tensor for tensor in tensors_in((args, kwargs)) if readable(tensor)]
        if not tensors:
            return
        tensor = next(filter(floating, tensors), tensors[0])
        seen = look.shared.setdefault(_SEEN, set())
        finite = "input" not in seen and self._input(look, tensor)
        if look.phase != "train" or look.source.key not in seen:
            self._sources.tell(look, tensor, finite)
        seen.update({"input", look.source.key})
        if self.hashes and tensor.dim() > 1:
            hashes = self._hash(look, tensor)
            if look.phase == "train":
                self._matches.feed(look, tensor, tensors, hashes)

    def loss(self, look: Look, function: str, arguments: dict[str, Any], result: Any, where: str) -> None:
        """Count the target's classes; the first call of the look gives its signals."""
        target = None if self._rests(look) else target_of(look, arguments)
        if target is None:
            return
        seen = look.shared.setdefault(_SEEN, set())
        first, new = "target" not in seen, (function, where) not in seen
        seen.update({"target", (function, where)})
        if self.hashes and look.phase == "train":
            self._matches.aim(look, target, arguments["target"])
        if first and (self._looks <= _DENSE or self._looks % 4 == 1 or look.phase != "train"):
            self._predict(look, function, arguments, target)
        ignored = arguments.get("ignore_index")
        look.after(lambda: self._target(look, target, function, where, ignored, first, new))

    def _rests(self, look: Look) -> bool:
        """Whether the look is one of those, in the long run every second, at which nothing is measured."""
        rests: bool | None = look.shared.get(_RESTS)
        if rests is None:
            training = look.phase == "train"
            self._looks += training
            rests = training and not look.closer and self._looks > _DENSE and self._looks % 2 == 0
            look.shared[_RESTS] = rests
        return rests

    # ------------------------------------------------------------------ inputs

    def _input(self, look: Look, tensor: Tensor) -> bool:
        """Measure the input; return whether all of it is known to be finite."""
        exact = look.closer or (tensor.numel() <= _SAMPLE and tensor.is_contiguous())
        values = single(tensor if exact else dense_sample(tensor, _SAMPLE))
        few = values if look.closer else dense_sample(values, _FEW).contiguous()
        mean = few.mean()
        measured = [*torch.aminmax(values), mean, torch.linalg.vector_norm(few - mean)]
        root = math.sqrt(few.numel())
        finite = _finite_on_host(*measured[:2])
        if not finite:
            measured.append((values * 0).ne_(0).sum())
        scale = tensor.numel() / values.numel()
        shape, dtype, device = (
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            str(tensor.device),
        )
        suspects = found(look)

        def receive(numbers: list[float]) -> None:
            low, high, mean, std, *more = numbers
            std, bad = std / root, more[0] if more else 0.0
            for name, value in (("mean", mean), ("std", std), ("min", low), ("max", high)):
                look.record.add(f"input_{name}", look.step, value, look.phase)
            look.record.add("nonfinite_inputs", look.step, float(round(bad * scale)), look.phase)
            if bad:
                suspects.append(("input", 0, "input"))
            row = {
                "step": look.step,
                "phase": look.phase,
                "what": "input",
                "dtype": dtype,
                "shape": list(shape),
            }
            kind = range_kind(low, high, mean, std)
            row |= {"range": kind, "min": low, "max": high, "mean": mean, "std": std, "device": device}
            self._tell_of_new(look, row, (look.phase, dtype, shape[1:], kind, device))

        look.later(torch.stack(measured), receive)
        return finite and exact

    def _tell_of_new(self, look: Look, row: dict[str, Any], kind: tuple[Any, ...]) -> None:
        counted = (look.phase, "input")
        if kind not in self._kinds and self._rows[counted] < _ROWS_OF_A_PHASE:
            self._kinds.add(kind)
            self._rows[counted] += 1
            look.record.table("batches", row)

    def _hash(self, look: Look, tensor: Tensor) -> Tensor:
        record, source = look.record, look.source.key
        row = tensor.numel() // tensor.shape[0]
        of_source = record.facts.setdefault("fingerprints", {})
        of_source.setdefault(source, {"dtype": str(tensor.dtype).removeprefix("torch."), "elements": row})

        def receive(hashes: list[float]) -> None:
            record.samples.add(source, np.array(hashes, dtype=np.int64).view(np.uint64))

        found = fingerprints(tensor)
        look.later(found, receive)
        return found

    # ------------------------------------------------------------------ targets

    def _predict(self, look: Look, function: str, arguments: dict[str, Any], target: Target) -> None:
        classes = predicted(function, arguments.get("input"), arguments["target"])
        if classes is None:
            return
        found = self._predictions.setdefault(look.phase, Predictions())

        def receive(values: list[float]) -> None:
            found.add(look.step, target.values, values)
            if found.due:
                look.record.facts.setdefault("predictions", {})[look.phase] = found.to_plain()

        look.later(classes, receive)

    def _target(
        self,
        look: Look,
        target: Target,
        function: str,
        where: str,
        ignored: int | None,
        first: bool,
        new: bool,
    ) -> None:
        record, step, phase = look.record, look.step, look.phase
        counts = target.counts(ignored)
        if counts:
            classes = record.facts.setdefault("classes", {}).setdefault(phase, {})
            for label, count in counts.items():
                classes[str(label)] = classes.get(str(label), 0) + count
        if first:
            for name, value in (
                ("mean", target.mean),
                ("std", target.std),
                ("min", target.low),
                ("max", target.high),
            ):
                record.add(f"target_{name}", step, value, phase)
        if not math.isfinite(target.mean):
            found(look).append(("input", 1, f"target of {function} at {where}"))
        if new and self._rows[phase, "target"] < _ROWS_OF_A_PHASE:
            self._rows[phase, "target"] += 1
            equal, shuffled = target.equal_neighbours() or (None, None)
            row = {
                "step": step,
                "phase": phase,
                "what": "target",
                "dtype": target.dtype,
                "function": function,
            }
            row |= {"shape": list(target.shape), "where": where, "min": target.low, "max": target.high}
            row |= {"distinct": len(target.tally), "equal_neighbours": equal, "equal_if_shuffled": shuffled}
            record.table("batches", row)


def range_kind(low: float, high: float, mean: float, std: float) -> str:
    """Return in words where values lie.

    "not finite", "constant", "unit" ([0, 1]), "symmetric" ([−1, 1]), "bytes" ([0, 255], beyond 1.5),
    "standard" (|mean| ≤ 0.5, 0.3 ≤ std ≤ 3), "large" (a magnitude over 1,000), else "other"; the first that
    holds.

    Example:
        >>> range_kind(-2.1, 2.6, 0.02, 1.01)
        'standard'
    """
    if not all(map(math.isfinite, (low, high, mean, std))):
        return "not finite"
    kinds = (
        ("constant", low == high),
        ("unit", low >= 0 and high <= 1),
        ("symmetric", low >= -1 and high <= 1),
        ("bytes", low >= 0 and 1.5 < high <= 255 and high > 15),
        ("standard", abs(mean) <= 0.5 and 0.3 <= std <= 3),
        ("large", max(-low, high) > 1000),
    )
    return next((name for name, holds in kinds if holds), "other")


def _finite_on_host(low: Tensor, high: Tensor) -> bool:
    """Whether both ends are known to be finite without waiting for a device."""
    return low.device.type == "cpu" and math.isfinite(float(low)) and math.isfinite(float(high))
