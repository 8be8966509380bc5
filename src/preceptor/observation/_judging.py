"""What a program does with predictions in an evaluation: the few operators between a model and a score."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from preceptor.observation import _graph_calls as calls
from preceptor.observation import _graph_modes as modes
from preceptor.observation._graph_frames import call_as, caller_of_hook, unwrapped, user_line
from preceptor.observation._numbers import is_transformed
from preceptor.observation.capture import compiling
from preceptor.observation.look import Look
from preceptor.observation.record import Record

__all__ = ["Judges", "Judging"]

_COMPARES = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "sub", "rsub", "isclose", "logical_xor"})
_PICKS = frozenset({"argmax", "argmin", "max", "min", "topk", "sort", "argsort", "softmax", "log_softmax"})
_OPERATORS, _FEW, _BATCHES = 64, 4, 2


class Judges:
    """Reads on after the first batches of each evaluation; rows go into the table ``judging``."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._running: Judging | None = None
        self._times: dict[str, int] = {}
        self._told: set[tuple[str, str, str]] = set()

    def start(self, look: Look | None, output: Any) -> None:
        """A model has returned a prediction."""
        if look is None or self._running is not None:
            return
        source, step = look.source.key, look.step
        times = self._times[source] = self._times.get(source, 0) + 1
        if times > _BATCHES or is_transformed() or torch._C._len_torch_dispatch_stack() > 0 or compiling():
            return

        def tell(row: dict[str, Any]) -> None:
            key = source, str(row["where"]), str(row["op"])
            if key not in self._told:
                self._told.add(key)
                self._record.table("judging", {"step": step, "source": source, **row})

        self._running = Judging(output, tell)
        self._running.start()

    def stop(self) -> None:
        """The program goes on to something else."""
        if self._running is not None:
            running, self._running = self._running, None
            running.stop()


class Judging(TorchFunctionMode):
    """Reads names and shapes of what is computed from a prediction, until `stop`; computes nothing itself.

    Rows: ``kind`` "compare" = two tensors meet element by element and spread each other out: ``shapes`` of
    both and of the result, and whether the prediction is in ``first``, ``second`` or both; "pick" = the
    largest or smallest, or shares, are taken along an axis of something of the prediction's shape: ``axis``,
    ``shape``; each with operator and line.

    Arguments:
        output: what the model has returned.
        tell: takes each row.
    """

    def __init__(self, output: Any, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._tell = tell
        self._own: dict[int, weakref.ref[Tensor]] = {}
        self._left = _OPERATORS
        self._inside = 0
        self._shapes = {tensor.shape for tensor in calls.tensors_in(output)[:_FEW]}
        self._keep(calls.tensors_in(output)[:_FEW])

    def start(self) -> None:
        """Begin to read."""
        modes.insert(self)

    def stop(self) -> None:
        """End, wherever the mode stands."""
        self._left = 0
        if not modes.remove(self) and self._inside:
            modes.remove_later(self, lambda: self._inside > 0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch._C._is_tracing() or self._left <= 0 or calls.is_plain_attribute(func):
            return self._call(func, args, kwargs)
        result = self._call(func, args, kwargs)
        self._left -= 1
        try:
            with torch._C.DisableTorchFunction():
                self._read(calls.op_name(unwrapped(func)), args, kwargs, result)
        except Exception:  # noqa: BLE001 the program never sees our errors
            self._left = 0
        return result

    def _call(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self._inside += 1
        try:
            return call_as(caller_of_hook(sys._getframe(2)), unwrapped(func), args, kwargs)
        except BaseException as error:
            trace = error.__traceback__
            for _ in range(2):  # our own frame, then the call made in the caller's name
                trace = trace.tb_next if trace is not None else None
            error.__traceback__ = trace
            raise
        finally:
            self._inside -= 1

    # ------------------------------------------------------------------ reading

    def _keep(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            self._own[id(tensor)] = weakref.ref(tensor)

    def _is_own(self, tensor: Any) -> bool:
        known = self._own.get(id(tensor))
        return known is not None and known() is tensor

    def _read(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        given = calls.tensors_in((args, kwargs))
        own = [self._is_own(tensor) for tensor in given]
        if not any(own):
            return
        self._keep(calls.tensors_in(result))
        if name in _COMPARES and len(given) == 2 and isinstance(result, Tensor):
            if result.numel() > max(tensor.numel() for tensor in given) > 1:
                shapes = [list(tensor.shape) for tensor in (*given, result)]
                self._note(
                    {"kind": "compare", "op": name, "shapes": shapes, "first": own[0], "second": own[1]}
                )
        elif name in _PICKS and given[0].dim() > 0 and given[0].shape in self._shapes:
            axis = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
            if isinstance(axis, int) and not isinstance(axis, bool):
                row = {"kind": "pick", "op": name, "shape": list(given[0].shape)}
                self._note({**row, "axis": axis % given[0].dim()})

    def _note(self, row: dict[str, Any]) -> None:
        frame = sys._getframe(3)
        self._tell({**row, "where": user_line(frame)[0]})
