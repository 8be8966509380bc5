"""Gradients, weights and what a step made of them: norms, ratios, and updates that rounding swallows."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._paths import Path, cosine, kept
from preceptor.observation.probes._tensors import dense_sample, floating, plan, readable, single, sums
from preceptor.observation.probes.finite import found

__all__ = ["Updates"]

_SAMPLE = 2048
_TOTAL = "updates.total"
_BACKWARDS = "updates.backwards"
_PATH = "updates.path"
_COMPLEX = frozenset({torch.complex64, torch.complex128, torch.complex32})


@dataclass
class _Member:
    """One parameter of an optimizer, as it was before the step."""

    name: str
    tensor: Tensor
    rate: float
    raw: Tensor
    gradient: Tensor | None = None


@dataclass
class _Batch:
    """The parameters of one device and type: what is measured of them together."""

    optimizer: Any
    index: int
    members: list[_Member] = field(default_factory=list)
    before: Tensor | None = None
    gradients: list[Tensor] = field(default_factory=list)
    sampled: Tensor | None = None


class _Fact(NamedTuple):
    """What remains known of a parameter when its numbers arrive: no tensor."""

    name: str
    rate: float
    sampled: int
    dense: bool


class Updates(Probe):
    """Norms of gradients, weights and updates, and the settings of every parameter group.

    ``grad_norm`` uses every element; of the weights, m of a parameter's n elements are looked at (all of
    them up to ``sample``): ``weight_norm`` = √(n/m Σ wᵢ²), ``update_norm`` = √(n/m Σ Δᵢ²), ``update_ratio``
    = √(Σ Δᵢ² / Σ wᵢ²), left out where w = 0; w before the step, Δ = w after it − w. ``zero_grad_share`` =
    #{gᵢ = 0} / m; ``lost_update_share`` = #{gᵢ ≠ 0, Δᵢ = 0} / m at a learning rate > 0 and a finite
    gradient. The same elements at every look, so that a curve has no noise of sampling. ``distance`` =
    √(n/m Σ (vᵢ − uᵢ)²), v after the step, u before the first one that was looked at; ``update_cosine`` and
    ``slope_kept`` compare an update and its gradient with those of the look before, all parameters of an
    optimizer together. Gradients are those that the optimizer meets: unscaled and clipped; where it
    computes them itself (closures), those it leaves behind.

    Arguments:
        shares: whether to measure the two shares.
        sample: elements of a parameter that are looked at.

    Example:
        >>> from preceptor.observation.record import Record
        >>> layer, record, probe = torch.nn.Linear(2, 1), Record(), Updates()
        >>> sgd, look = torch.optim.SGD(layer.parameters(), lr=0.5), Look(0, "train", record)
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> with torch.no_grad():
        ...     probe.before_step(look, sgd)
        ...     sgd.step()
        ...     probe.after_step(look, sgd)
        ...     probe.end(look)
        >>> look.finish()
        >>> round(record.signal("update_norm", subject="optimizer.0.0.1").last, 4)
        0.5
    """

    def __init__(self, shares: bool = True, *, sample: int = _SAMPLE) -> None:
        self.shares, self.sample = shares, sample
        self._indices: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._paths: weakref.WeakKeyDictionary[Any, dict[Any, Path]] = weakref.WeakKeyDictionary()
        self._met = 0

    def before_backward(self, look: Look) -> None:
        """Measure what earlier steps have left in ``.grad``, before the look's first backward pass."""
        look.shared[_BACKWARDS] = look.shared.get(_BACKWARDS, 0) + 1
        if look.shared[_BACKWARDS] > 1:
            return
        clean: list[str] = []
        carried: dict[tuple[torch.device, torch.dtype], list[tuple[str, Tensor]]] = {}
        for optimizer, index in list(self._indices.items()):
            for name, parameter, _ in _parameters(look, optimizer, index):
                gradient = _values(parameter.grad)
                if gradient is None:
                    clean.append(name)
                else:
                    carried.setdefault((gradient.device, gradient.dtype), []).append((name, gradient))
        look.record.add_many("carried_grad_norm", look.step, clean, [0.0] * len(clean))
        for pairs in carried.values():
            norms = torch.stack(_norms([gradient for _, gradient in pairs]))
            look.put("carried_grad_norm", [name for name, _ in pairs], norms)

    def before_step(self, look: Look, optimizer: Any) -> None:
        """Keep a sample of the weights, and the norms of weights and gradients."""
        index = self._indices.get(optimizer)
        if index is None:
            index = self._indices[optimizer] = look.number(optimizer, self._met)
            self._met += 1
        _settings(look, optimizer, index)
        batches: dict[tuple[torch.device, torch.dtype], _Batch] = {}
        for name, raw, rate in _parameters(look, optimizer, index):
            parameter = _real(raw)
            if parameter is None:
                continue
            key = (parameter.device, parameter.dtype)
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = _Batch(optimizer, index)
            batch.members.append(_Member(name, parameter, rate, raw))
        for batch in batches.values():
            self._before(look, batch)
        look.shared["updates.open", id(optimizer)] = look.shared.get(_BACKWARDS, 0), batches

    def after_step(self, look: Look, optimizer: Any) -> None:
        """Compare with the weights as they are now."""
        backwards, batches = look.shared.pop(("updates.open", id(optimizer)), (0, {}))
        for batch in batches.values():
            if (
                look.shared.get(_BACKWARDS, 0) > backwards
            ):  # a closure: the gradients are of this step only now
                self._read_gradients(look, batch)
            self._after(look, batch)

    def end(self, look: Look) -> None:
        """Leave the norm over all parameters to be worked out of their norms."""
        squares: list[float] = look.shared.get(_TOTAL, [])
        record, step = look.record, look.step
        if look.shared.get(_TOTAL) is not None:
            look.after(lambda: record.add("total_grad_norm", step, math.sqrt(sum(squares))))
        paths: dict[int, list[float]] = look.shared.get(_PATH, {})
        if paths:
            look.after(lambda: _tell_paths(record, step, paths))

    # ------------------------------------------------------------------ measuring

    def _before(self, look: Look, batch: _Batch) -> None:
        tensors = [member.tensor for member in batch.members]
        batch.before = single(torch.cat([dense_sample(tensor, self.sample) for tensor in tensors]))
        self._read_gradients(look, batch)

    def _read_gradients(self, look: Look, batch: _Batch) -> None:
        for member in batch.members:
            member.gradient = _values(member.raw.grad)
        present = [member.gradient for member in batch.members if member.gradient is not None]
        batch.gradients = _norms(present)
        batch.sampled = None
        if self.shares and present:
            samples = [
                dense_sample(
                    g if g is not None and g.shape == member.tensor.shape else member.tensor, self.sample
                )
                for member in batch.members
                for g in (member.gradient,)
            ]
            batch.sampled = single(torch.cat(samples))

    def _after(self, look: Look, batch: _Batch) -> None:
        if batch.before is None:
            return
        tensors = [member.tensor for member in batch.members]
        lengths = tuple(plan(tensor.shape, self.sample)[0] for tensor in tensors)
        change = single(torch.cat([dense_sample(tensor, self.sample) for tensor in tensors])) - batch.before
        parts = [change * change, batch.before * batch.before]
        path = self._path(look, batch, batch.before, change)
        if path is not None:
            from_origin = (batch.before - path.origin).add_(change)
            parts.append(from_origin.mul_(from_origin))
        if batch.sampled is not None:
            # `eq_` leaves ones and zeros of the same type, which is several times faster than booleans
            zero = batch.sampled.eq_(0)
            unmoved = change.eq_(0)
            parts += [zero, torch.addcmul(unmoved, unmoved, zero, value=-1)]
        totals = sums(torch.cat(parts), lengths, len(parts))
        values = [totals]
        if batch.gradients:
            values.append(torch.stack(batch.gradients).to(totals.dtype))
        look.later(torch.cat(values), self._receiver(look, batch.members, lengths, path is not None))

    def _path(self, look: Look, batch: _Batch, before: Tensor, change: Tensor) -> Path | None:
        """The path of a batch's weights, with this update on it."""
        paths = self._paths.get(batch.optimizer)
        if paths is None:
            paths = self._paths[batch.optimizer] = {}
        first = batch.members[0].tensor
        key, gradient = (first.device, first.dtype), batch.sampled
        if gradient is not None and any(
            member.gradient is None or member.gradient.shape != member.tensor.shape
            for member in batch.members
        ):
            gradient = None
        path = paths.get(key)
        if path is None or not path.fits(before):
            begun = Path.begun(before, change, gradient)
            if begun is not None:
                paths[key] = begun
            return begun
        products = path.advance(before, change, gradient)
        together: list[float] = look.shared.setdefault(_PATH, {}).setdefault(batch.index, [])

        def receive(values: list[float]) -> None:
            together[:] = [a + b for a, b in zip(together or [0.0] * len(values), values, strict=False)]

        look.later(products, receive)
        return path

    def _receiver(
        self, look: Look, members: list[_Member], lengths: tuple[int, ...], travelled: bool
    ) -> Callable[[list[float]], None]:
        facts = [
            _Fact(m.name, m.rate, number, m.gradient is not None and m.gradient.shape == m.tensor.shape)
            for m, number in zip(members, lengths, strict=True)
        ]
        scales = [m.tensor.numel() / number for m, number in zip(members, lengths, strict=True)]
        graded = [place for place, member in enumerate(members) if member.gradient is not None]
        record, step = look.record, look.step
        squares: list[float] = look.shared.setdefault(_TOTAL, [])
        suspects = found(look)

        def receive(values: list[float]) -> None:
            count = len(facts)
            start = len(values) - len(graded)
            gradients: list[float | None] = [None] * count
            for place, norm in zip(graded, values[start:], strict=True):
                gradients[place] = norm
                squares.append(norm * norm)
            pieces = [values[at : at + count] for at in range(0, start, count)]
            told = _Told(facts, scales, pieces, gradients, pieces.pop(2) if travelled else None)
            _suspect(suspects, facts, pieces, gradients)
            for signal, pairs in told.signals():
                if pairs:
                    record.add_many(signal, step, [name for name, _ in pairs], [value for _, value in pairs])

        return receive


@dataclass
class _Told:
    """What came back of a batch, to be made into signals."""

    facts: list[_Fact]
    scales: list[float]
    pieces: list[list[float]]
    gradients: list[float | None]
    travelled: list[float] | None = None

    def signals(self) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Yield every signal with (name of the parameter, value)."""
        facts, scales, moved, old = self.facts, self.scales, self.pieces[0], self.pieces[1]
        names = [fact.name for fact in facts]
        yield "weight_norm", [(n, _root(w * f)) for n, w, f in zip(names, old, scales, strict=True)]
        yield "update_norm", [(n, _root(d * f)) for n, d, f in zip(names, moved, scales, strict=True)]
        if self.travelled is not None:
            yield (
                "distance",
                [(n, _root(d * f)) for n, d, f in zip(names, self.travelled, scales, strict=True)],
            )
        yield "update_ratio", [(n, _root(d / w)) for n, d, w in zip(names, moved, old, strict=True) if w > 0]
        graded = [(fact, norm) for fact, norm in zip(facts, self.gradients, strict=True) if norm is not None]
        yield "grad_norm", [(fact.name, norm) for fact, norm in graded]
        if len(self.pieces) > 2:
            dense = [(place, fact) for place, fact in enumerate(facts) if fact.dense]
            zero, lost = self.pieces[2:]
            yield "zero_grad_share", [(f.name, zero[i] / f.sampled) for i, f in dense]
            yield (
                "lost_update_share",
                [
                    (f.name, lost[i] / f.sampled)
                    for i, f in dense
                    if f.rate > 0 and math.isfinite(self.gradients[i] or 0.0)
                ],
            )


def _tell_paths(record: Any, step: int, paths: dict[int, list[float]]) -> None:
    for index, products in paths.items():
        for signal, value in (("update_cosine", cosine(products)), ("slope_kept", kept(products))):
            if value is not None:
                record.add(signal, step, value, str(index))


def _suspect(
    suspects: list[tuple[str, int, str]],
    facts: list[_Fact],
    pieces: list[list[float]],
    gradients: list[float | None],
) -> None:
    finite = math.isfinite
    if finite(sum(pieces[0]) + sum(pieces[1]) + sum(norm for norm in gradients if norm is not None)):
        return
    for place, fact in enumerate(facts):
        gradient = gradients[place]
        if not finite(pieces[1][place]):
            suspects.append(("parameter", place, fact.name))
        if gradient is not None and not finite(gradient):
            suspects.append(("gradient", place, fact.name))
        if not finite(pieces[0][place]):
            suspects.append(("update", place, fact.name))


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else math.nan


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    if not tensors:
        return []
    if tensors[0].dtype in (torch.float16, torch.bfloat16):
        return list(torch._foreach_norm(list(tensors), 2, dtype=torch.float32))
    return list(torch._foreach_norm(list(tensors)))


def _parameters(look: Look, optimizer: Any, index: int) -> Iterator[tuple[str, Tensor, float]]:
    """Name, tensor and learning rate of each parameter of an optimizer."""
    for number, group in enumerate(optimizer.param_groups):
        rate = _host(group.get("lr"))
        for position, parameter in enumerate(group["params"]):
            if isinstance(parameter, Tensor):
                name = look.parameter(parameter) or f"optimizer.{index}.{number}.{position}"
                yield name, parameter, rate


def _real(tensor: Any) -> Tensor | None:
    """The tensor, complex numbers as pairs; None if its elements cannot be read."""
    if not isinstance(tensor, Tensor) or torch.nn.parameter.is_lazy(tensor):
        return None
    if tensor.dtype in _COMPLEX and tensor.layout is torch.strided and not tensor.is_meta:
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor if floating(tensor) else None


def _values(gradient: Tensor | None) -> Tensor | None:
    """A gradient's values: of a sparse one those that it holds."""
    if gradient is None:
        return None
    if gradient.layout is torch.sparse_coo and not gradient.is_meta:
        gradient = gradient.coalesce()._values()
        return gradient if readable(gradient) else None
    return _real(gradient)


def _settings(look: Look, optimizer: Any, index: int) -> None:
    for number, group in enumerate(optimizer.param_groups):
        subject = f"{index}.{number}"
        momentum = group.get("momentum", (group.get("betas") or (None,))[0])
        for name, value in (
            ("lr", lr if isinstance(lr := group.get("lr"), Tensor) else None),  # others are seen at each step
            ("momentum", momentum),
            ("weight_decay", group.get("weight_decay")),
        ):
            if isinstance(value, Tensor):
                if readable(value) and value.numel() == 1:
                    look.put(name, [subject], value.detach().clone().reshape(1))
            elif isinstance(value, (int, float)):
                look.record.add(name, look.step, float(value), subject)


def _host(value: Any) -> float:
    """A learning rate that can be read without waiting for a device; one on a device counts as positive."""
    if isinstance(value, Tensor):
        return float(value) if value.device.type == "cpu" and readable(value) and value.numel() == 1 else 1.0
    return float(value) if isinstance(value, (int, float)) else math.nan
