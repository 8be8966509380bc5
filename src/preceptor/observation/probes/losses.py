"""What loss functions are called with: shapes, types and ranges that tell whether the loss suits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._targets import Target, target_of
from preceptor.observation.probes._tensors import floating, single
from preceptor.observation.probes.finite import found

__all__ = ["Losses"]

_ROWS, _WIDTH = 64, 1 << 16
_FIRST = 3
_DENSE, _EVERY = 8, 4
_SITES, _KINDS = 64, 16
_SEEN = "losses.seen"
_ELEMENTWISE = frozenset(
    {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "kl_div"}
    | {"binary_cross_entropy_with_logits", "gaussian_nll_loss", "poisson_nll_loss", "soft_margin_loss"}
)
_LOGARITHMIC = frozenset({"cross_entropy", "nll_loss"})


class Losses(Probe):
    """Calls of loss functions, by function and place, in the table ``losses``.

    A row tells of one call: shapes and types of ``input`` and ``target``; ``input_min``, ``input_max``, and
    with two axes or more ``row_sum_off`` = maxᵢ |Σⱼ xᵢⱼ − 1|, for cross-entropy and likelihood
    ``row_exp_sum_off`` = maxᵢ |log Σⱼ exp xᵢⱼ| over axis 1 (0: probabilities, log-probabilities);
    ``in_unit`` = share of the input within [0, 1]; of the target ``target_min``, ``target_max``,
    ``target_distinct`` and whether it is ``integral``; ``reduction``, ``weighted``, ``label_smoothing``;
    ``broadcast``: the function works element by element and the shapes differ; ``value`` = the (mean of
    the) result. At most 64 rows of the input are looked at. The first three calls of each place that were
    looked at have a row, later ones only where something about them is of
    another kind; from the ninth look on, every fourth is examined.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record, probe = Record(), Losses()
        >>> look = Look(0, "train", record)
        >>> x, y = torch.tensor([[0.25, 0.75]]), torch.tensor([1])
        >>> loss = torch.nn.functional.cross_entropy(x, y)
        >>> probe.loss(look, "cross_entropy", {"input": x, "target": y}, loss, "train.py:9")
        >>> look.finish()
        >>> record.tables["losses"][0]["row_sum_off"]
        0.0
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], list[Any]] = {}
        self._looks: dict[tuple[str, str, str], int] = {}
        self._counts: dict[tuple[str, str, str], int] = {}

    def loss(self, look: Look, function: str, arguments: dict[str, Any], result: Any, where: str) -> None:
        """Measure one call: the first of each place in a look."""
        site = (look.phase, function, where)
        seen = look.shared.setdefault(_SEEN, set())
        if site in seen or (site not in self._kinds and len(self._kinds) >= _SITES):
            return
        order = len(seen)
        seen.add(site)
        tensor = arguments.get("input")
        parts = [_value(result)]
        looks = self._looks[site] = self._looks.get(site, 0) + 1
        if looks > _DENSE and looks % _EVERY:
            self._value_only(look, site, order, parts[0])
            return
        row = _facts(look, function, arguments, where)
        target = target_of(look, arguments)
        if floating(tensor):
            parts += _input(single(_rows(tensor)), function in _LOGARITHMIC)
        kinds = {part.dtype for part in parts}
        if len(kinds) > 1 or len({part.device for part in parts}) > 1:
            parts = [part.to(dtype=torch.float64, device=parts[0].device) for part in parts]
        look.later(torch.stack(parts), self._receiver(look, site, row, target, order))

    def _value_only(self, look: Look, site: tuple[str, str, str], order: int, value: Tensor) -> None:
        suspects = found(look)

        def receive(values: list[float]) -> None:
            if not math.isfinite(values[0]):
                suspects.append(("loss", order, f"{site[1]} at {site[2]}"))

        look.later(value, receive)

    def _receiver(
        self,
        look: Look,
        site: tuple[str, str, str],
        row: dict[str, Any],
        target: Target | None,
        order: int,
    ) -> Callable[[list[float]], None]:
        suspects = found(look)

        def receive(values: list[float]) -> None:
            row["value"] = values[0]
            if not math.isfinite(values[0]):
                suspects.append(("loss", order, f"{site[1]} at {site[2]}"))
            row.update(_measured(values[1:]))
            if target is not None:
                row.update(target_min=target.low, target_max=target.high, target_distinct=len(target.tally))
                row["integral"] = all(math.isfinite(v) and v == int(v) for v in target.tally)
            self._tell(look, site, row)

        return receive

    def _tell(self, look: Look, site: tuple[str, str, str], row: dict[str, Any]) -> None:
        kinds = self._kinds.setdefault(site, [])
        kind = _kind(row)
        count = self._counts[site] = self._counts.get(site, 0) + 1
        new = kind not in kinds and len(kinds) < _KINDS
        if new:
            kinds.append(kind)
        if new or count <= _FIRST:
            look.record.table("losses", row)


def _facts(look: Look, function: str, arguments: dict[str, Any], where: str) -> dict[str, Any]:
    """What is known without reading a tensor."""
    given, aim = arguments.get("input"), arguments.get("target")
    row: dict[str, Any] = {"step": look.step, "phase": look.phase, "function": function, "where": where}
    for name, tensor in (("input", given), ("target", aim)):
        if isinstance(tensor, Tensor):
            row[f"{name}_shape"] = list(tensor.shape)
            row[f"{name}_dtype"] = str(tensor.dtype).removeprefix("torch.")
    row["reduction"] = arguments.get("reduction")
    row["weighted"] = any(arguments.get(name) is not None for name in ("weight", "pos_weight"))
    row["label_smoothing"] = arguments.get("label_smoothing") or 0.0
    row["broadcast"] = (
        function in _ELEMENTWISE
        and isinstance(given, Tensor)
        and isinstance(aim, Tensor)
        and given.shape != aim.shape
    )
    return row


def _kind(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a call another kind of call; the number of samples and the exact range do not."""
    close = row.get("row_sum_off", math.inf) < 1e-3
    log_close = row.get("row_exp_sum_off", math.inf) < 1e-3
    return (
        tuple(row.get("input_shape", ())[1:]),
        tuple(row.get("target_shape", ())[1:]),
        len(row.get("input_shape", ())),
        row.get("input_dtype"),
        row.get("target_dtype"),
        row["reduction"],
        row["weighted"],
        row["broadcast"],
        row.get("in_unit") == 1.0,
        close,
        log_close,
        math.isfinite(row["value"]),
        row.get("integral"),
    )


def _rows(tensor: Tensor) -> Tensor:
    """At most 64 samples, spread over the batch."""
    if tensor.dim() == 0:
        return tensor.reshape(1)
    return tensor[:: -(-tensor.shape[0] // _ROWS)] if tensor.shape[0] > _ROWS else tensor


def _input(values: Tensor, logarithmic: bool) -> list[Tensor]:
    measured = [*torch.aminmax(values), values.clamp(0, 1).eq_(values).mean()]
    if values.dim() > 1:
        measured += torch.aminmax(values.sum(1))
        if logarithmic:
            measured += torch.aminmax(values.exp().sum(1))
    return measured


def _measured(values: list[float]) -> dict[str, float]:
    """Name what `_input` has measured."""
    named = dict(zip(("input_min", "input_max", "in_unit"), values, strict=False))
    if len(values) > 3:
        named["row_sum_off"] = _larger(abs(values[3] - 1), abs(values[4] - 1))
    if len(values) > 5:
        named["row_exp_sum_off"] = _larger(_log_off(values[5]), _log_off(values[6]))
    return named


def _larger(a: float, b: float) -> float:
    return math.nan if a != a or b != b else max(a, b)


def _log_off(value: float) -> float:
    return abs(math.log(value)) if 0 < value < math.inf else math.nan if value != value else math.inf


def _value(result: Any) -> Tensor:
    """The loss, of several their mean; NaN where there is none to read."""
    if floating(result):
        return single(result).mean() if result.dim() else single(result).detach().clone()
    return torch.tensor(math.nan, dtype=torch.float32, device="cpu")
