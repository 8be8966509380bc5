"""What does not change from step to step: models, optimizers, loaders, the machine."""

from __future__ import annotations

import itertools
import platform
import types
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.observation._divisors import divides_hits
from preceptor.observation._graph_frames import kind_of_file
from preceptor.observation._names import Names
from preceptor.observation._sites import column_of, line_of, user_frame, user_frame_above
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record

__all__ = ["Facts"]

_MOST = 200
_FEW = 20
_GROUP_SETTINGS = (int, float, bool, str, type(None))


class Facts:
    """Fills ``record.facts`` with plain JSON values, once for each object."""

    def __init__(self, record: Record, protocol: Protocol, names: Names) -> None:
        self.protocol, self.names = protocol, names
        self._facts = record.facts
        for kind in ("models", "optimizers", "loaders", "schedules", "restored", "divisors"):
            self._facts[kind] = []
        self._facts["environment"] = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
            "devices": _devices(),
        }
        self._loaders: dict[tuple[str, str, str], tuple[weakref.ref[Any], str]] = {}
        self._roots: list[weakref.ref[nn.Module]] = []
        self._schedules: dict[int, weakref.ref[Any]] = {}
        self._taken: dict[int, tuple[int, str]] = {}
        self._counted: set[tuple[str, int, int]] = set()
        self._built = 0

    def clips(self, function: str, limit: Any) -> None:
        """Gradients are clipped at ``limit``."""
        if isinstance(limit, (int, float)):
            self._facts["clipping"] = {"function": function, "limit": float(limit)}

    def model(self, module: nn.Module, frame: types.FrameType) -> None:
        """An outermost module is called for the first time."""
        module = self.names.owner(module)
        name = self.names.learn(module)
        self._roots.append(weakref.ref(module))
        counts = [(p.numel(), p.requires_grad) for p in module.parameters() if _sized(p)]
        self._add(
            "models",
            {
                "name": name,
                "class": type(module).__name__,
                "modules": sum(1 for _ in module.modules()),
                "parameters": sum(n for n, _ in counts),
                "trainable": sum(n for n, trainable in counts if trainable),
                "where": line_of(user_frame(frame)),
            },
        )

    def optimizer(self, optimizer: Any, frame: types.FrameType) -> int:
        """Return an optimizer's number, in the order in which they were first seen."""
        known = self.names.optimizer(optimizer)
        if known is not None:
            return known
        number, self._built = self._built, self._built + 1
        self.names.optimizers[id(optimizer)] = (weakref.ref(optimizer), number)
        self._add(
            "optimizers",
            {
                "number": number,
                "label": self.protocol.label("optimizer", optimizer),
                "class": type(optimizer).__name__,
                "where": line_of(user_frame(frame)),
                "groups": [_group(group) for group in optimizer.param_groups],
            },
        )
        return number

    def follow(self, number: int, counts: dict[str, int]) -> None:
        """Let an optimizer's row tell how fresh the gradients of its first steps are."""
        for fact in self._facts["optimizers"]:
            if fact["number"] == number:
                fact.setdefault("gradients", counts)

    def schedule(self, scheduler: Any, frame: types.FrameType) -> None:
        """Write down a learning-rate schedule's settings the first time that it moves on."""
        known = self._schedules.get(id(scheduler))
        if known is not None and known() is scheduler:
            return
        self._schedules[id(scheduler)] = weakref.ref(scheduler)
        optimizer = getattr(scheduler, "optimizer", None)
        self._add(
            "schedules",
            {
                "label": self.protocol.label("scheduler", scheduler),
                "class": type(scheduler).__name__,
                "where": line_of(user_frame(frame)),
                "optimizer": None if optimizer is None else self.names.optimizer(optimizer),
                "settings": _settings(scheduler),
            },
        )

    def restored(self, module: nn.Module, state: Any, step: int, frame: types.FrameType) -> None:
        """A state is loaded into a module: note whether it consists of the module's own tensors."""
        taken = self._taken.get(id(module))
        self._add(
            "restored",
            {
                "class": type(module).__name__,
                "where": line_of(user_frame(frame)),
                "step": step,
                "taken": None if taken is None else taken[0],
                "taken_where": "" if taken is None else taken[1],
                "own": _shares(module, state),
            },
        )

    def saved(self, step: int) -> None:
        """Something is written to a file."""
        self._facts["saved"] = {"calls": self._facts.get("saved", {}).get("calls", 0) + 1, "step": step}

    def taken(self, module: nn.Module, step: int, frame: types.FrameType) -> None:
        """A module's state is asked for."""
        if len(self._taken) < _MOST or id(module) in self._taken:
            self._taken[id(module)] = step, line_of(user_frame(frame))

    def loader(self, loader: Any, frame: types.FrameType) -> str:
        """Return a data loader's label; the first time, write down what it does.

        One that takes the place of a dead one or of the same data, as where each epoch makes its own, takes
        over its label.
        """
        inner = user_frame(frame)
        above = user_frame_above(inner)
        source = getattr(loader, "batch_sampler", None)
        source = loader if source is None else source
        size, sampler = getattr(source, "batch_size", None), type(getattr(source, "sampler", source)).__name__
        place = (line_of(inner), "" if above is None else line_of(above), f"{size} {sampler}")
        former = self._loaders.get(place)
        if former is not None and (
            (gone := former[0]()) is None
            or getattr(gone, "dataset", None) is getattr(loader, "dataset", gone)
        ):
            self.protocol.succeed(loader, former[1])
        label = self.protocol.label("epoch", loader)
        self._loaders[place] = (weakref.ref(loader), label)
        if all(fact["label"] != label for fact in self._facts["loaders"]):
            self._add(
                "loaders",
                {
                    "label": label,
                    "batch_size": size,
                    "workers": getattr(loader, "num_workers", 0),
                    "drop_last": bool(getattr(source, "drop_last", False)),
                    "sampler": sampler,
                    "dataset": type(getattr(loader, "dataset", None)).__name__,
                    "where": place[0],
                },
            )
        return label

    def counted(self, loader: Any, frame: types.FrameType) -> None:
        """A loader's number of batches is asked for: note whether a line divides hits by it."""
        filename, line = frame.f_code.co_filename, frame.f_lineno
        place = filename, line, frame.f_lasti
        if place in self._counted or len(self._counted) >= _MOST:
            return
        self._counted.add(place)
        text = divides_hits(filename, line, column_of(frame)) if kind_of_file(filename) == 0 else None
        source = getattr(loader, "batch_sampler", None)
        if text is not None and source is not None:
            fact = {"where": line_of(frame), "text": text, "batches": len(source)}
            self._add("divisors", {**fact, "batch_size": getattr(source, "batch_size", None)})

    def unoptimized(self) -> list[str]:
        """Return the names of trainable parameters of models that no living optimizer holds."""
        held = {
            id(parameter)
            for ref, _ in self.names.optimizers.values()
            if (optimizer := ref()) is not None
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        return [
            self.names.tensor(parameter)[0]
            for ref in self._roots
            if (module := ref()) is not None
            for parameter in module.parameters()
            if parameter.requires_grad and id(parameter) not in held
        ]

    def _add(self, kind: str, fact: dict[str, Any]) -> None:
        if len(self._facts[kind]) < _MOST:
            self._facts[kind].append(fact)


def _group(group: dict[str, Any]) -> dict[str, Any]:
    settings = {
        key: value
        for key, value in group.items()
        if key != "params" and (isinstance(value, _GROUP_SETTINGS) or _numbers(value))
    }
    return {**settings, "parameters": len(group["params"])}


def _numbers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(item, (int, float)) for item in value)


def _settings(scheduler: Any) -> dict[str, Any]:
    """The attributes of a schedule that are settings: a number, a text, or a few numbers."""
    found: dict[str, Any] = {}
    for key, value in vars(scheduler).items():
        if isinstance(value, Mapping):
            value = sorted(value) if all(isinstance(item, int) for item in value) else None
        if key.startswith("_") or key in ("last_epoch", "verbose"):
            continue
        if isinstance(value, (int, float, str)) or (_numbers(value) and len(value) <= _FEW):
            found[key] = value
    return found


def _shares(module: nn.Module, state: Any) -> bool:
    """Whether a state's tensors lie in the memory of the module's own parameters."""
    own = dict(itertools.islice(module.named_parameters(), _FEW))
    pairs = [(own[name], value) for name, value in state.items() if name in own and isinstance(value, Tensor)]
    pairs = [
        (a, b) for a, b in pairs if a.numel() and not (a.is_meta or b.is_meta or nn.parameter.is_lazy(a))
    ]
    return bool(pairs) and all(a.data_ptr() == b.data_ptr() and a.shape == b.shape for a, b in pairs)


def _sized(parameter: Any) -> bool:
    return not nn.parameter.is_lazy(parameter)


def _devices() -> list[str]:
    if torch.cuda.is_available():
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ["cpu"]
