"""What happens around forward, backward and step: data, schedules, clipping, loss scaling, modes."""

from __future__ import annotations

import time
import types
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from preceptor.observation._facts import Facts
from preceptor.observation._listener import Listener
from preceptor.observation._numbers import Numbers, number
from preceptor.observation.protocol import Protocol
from preceptor.observation.steps import Clock, Steps

__all__ = ["Around"]

_now = time.perf_counter
_RECURSIVE = ("train", "state_dict", "load_state_dict")
_MODULE_FILE = nn.Module.__init__.__code__.co_filename
_SCALER = {"scale": "scale", "unscale_": "unscale", "step": "scaler_step", "update": "scaler_update"}


@dataclass
class _Iteration:
    """A loader that is gone through."""

    loader: weakref.ref[Any]
    label: str
    iterator: weakref.ref[Any]
    batches: int = 0

    @property
    def subject(self) -> Any:
        """The loader, or its label once it is gone; never asked for its truth, which may want a length."""
        loader = self.loader()
        return self.label if loader is None else loader


class Around(Listener):
    """Notes those calls, and knows from which loader the latest batch came."""

    def __init__(self, protocol: Protocol, facts: Facts, numbers: Numbers) -> None:
        super().__init__()
        self.protocol, self.facts, self.numbers = protocol, facts, numbers
        self.names, self.steps, self.clock = facts.names, Steps(), Clock()
        self.syncs = 0
        self._loader = self._training_loader = ""
        self._loaders: dict[int, _Iteration] = {}
        self._longest: dict[str, int] = {}
        self._unscaled: Tensor | None = None

    # ------------------------------------------------------------------ the rest of the protocol

    def scheduled(self, schedule: Any, frame: types.FrameType) -> None:
        initial = frame.f_code.co_name == "_initial_step"
        if initial or not frame.f_code.co_filename.endswith("lr_scheduler.py"):
            self.protocol.note("scheduler", schedule, 4 if initial else 0, frame)
            self.facts.schedule(schedule, frame)

    def clipped(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        self.protocol.note("clip", name, 0, frame)
        if isinstance(result, Tensor):
            limit = kwargs.get("max_norm", args[1] if len(args) > 1 else float("inf"))
            self.facts.clips(name, limit)
            value = number(result)
            self.numbers.add("clip_norm", self.steps.train, value)
            self.numbers.add("clipped", self.steps.train, value > limit)

    def scaler(self, name: str, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        if not args[0].is_enabled():
            return
        subject = args[1] if name in ("unscale_", "step") and len(args) > 1 else ""
        self.protocol.note(_SCALER[name], subject, 0, frame)
        if name == "scale" and len(args) > 1 and isinstance(args[1], Tensor):
            self._unscaled = args[1].detach()
        elif name == "update" and isinstance(getattr(args[0], "_scale", None), Tensor):
            self.numbers.add("grad_scale", self.steps.train, number(args[0]._scale))
            self.losses.clear()  # of a step that was left out

    def mode(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        if not _from_itself(frame):
            training = kwargs.get("mode", args[1] if len(args) > 1 else True)
            self.protocol.note("train" if training else "eval", args[0], 0, frame)
            self.names.handled(args[0])

    def state(self, name: str, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        if _from_itself(frame):
            return
        self.protocol.note(name, args[0], 0, frame)
        if name == "state_dict":
            self.facts.taken(args[0], self.steps.train, frame)
        else:
            state = kwargs.get("state_dict", args[1] if len(args) > 1 else None)
            if isinstance(state, Mapping):
                self.facts.restored(args[0], state, self.steps.train, frame)

    def saved(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        self.facts.saved(self.steps.train)

    def host_sync(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        if args[0].device.type not in ("cpu", "meta"):
            self.syncs += 1

    # ------------------------------------------------------------------ data

    def counted(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        self.facts.counted(args[0], frame)

    def loader_begins(self, loader: Any, iterator: Any, frame: types.FrameType) -> None:
        label = self.facts.loader(loader, frame)
        self.protocol.note("epoch", loader, 0, frame)
        key = id(iterator)
        self._left(key)
        self._loaders[key] = _Iteration(
            weakref.ref(loader), label, weakref.ref(iterator, lambda _: self._left(key))
        )

    def before_batch(self, iterator: Any) -> Any:
        return _now()

    def after_batch(self, token: Any, iterator: Any, batch: Any, frame: types.FrameType) -> None:
        self.clock.parts["data"] += _now() - token
        known = self._loaders.get(id(iterator))
        if known is not None:
            known.batches += 1
            self._loader = known.label
            self.protocol.note("batch", known.subject, 0, frame)

    def loader_ended(self, iterator: Any, frame: types.FrameType) -> None:
        known = self._closed(id(iterator))
        if known is not None:
            self.protocol.note("epoch_end", known.subject, 0, frame)
            self._longest[known.label] = known.batches
            self.steps.epochs += known.label == self._training_loader

    def _left(self, key: int) -> None:
        """An iterator is asked no more, exhausted or not: some trainers count batches themselves."""
        known = self._closed(key)
        if known is not None and known.batches >= self._longest.get(known.label, 2):
            self._longest[known.label] = known.batches
            self.steps.epochs += known.label == self._training_loader

    def _closed(self, key: int) -> _Iteration | None:
        known, untold = self._loaders.pop(key, None), self.untold.pop(key, 0)
        if known is not None:
            known.batches += untold
        return known


def _from_itself(frame: types.FrameType) -> bool:
    """Whether torch's own recursion over submodules made the call."""
    return frame.f_code.co_name in _RECURSIVE and frame.f_code.co_filename == _MODULE_FILE
