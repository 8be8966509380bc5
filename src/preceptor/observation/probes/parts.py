"""Parts of a model: which layers are called, and which parameters gradients and optimizers leave out."""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass
from typing import Any

from torch import nn

from preceptor.observation._graph_frames import kind_of_file
from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._apart import Apart
from preceptor.observation.probes._tensors import tensors_in

__all__ = ["Parts"]

_MODULES, _REPEATS = 1000, 50
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass
class _Part:
    """A module with parameters of its own, and its row in the facts."""

    ref: weakref.ref[nn.Module]
    row: dict[str, Any]
    now: int = 0
    most: int = 0
    gradless: bool = False


class Parts(Probe):
    """Modules with parameters of their own and how often they are called; parameters that stand apart.

    ``facts["parts"]``: ``looks`` = training steps that were looked at; ``modules``: name, class, ``owner`` =
    class of the module around it, containers aside, ``own`` = whether that class is the program's,
    ``parameters`` = number of elements, ``shape`` of the first, ``called`` = looks at which it was, ``most``
    = calls within one outermost call, ``gradless`` = looks at which it recorded no gradient though it is
    trainable, ``registered`` = whether it is a submodule of what was called; ``repeated``: modules that are
    registered in several places (``names``), ``together`` = in one container; ``steady``: whether the same
    modules were called at every look; ``parameters``: see `preceptor.observation.probes._apart.Apart`.

    Example:
        >>> import torch
        >>> from preceptor.observation.record import Record
        >>> record, net = Record(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> look, probe = Look(0, "train", record), Parts()
        >>> probe.enters(look, net)
        >>> probe.module(look, "0", net[0], (), torch.ones(1, 2))
        >>> probe.end(look)
        >>> [row["called"] for row in record.facts["parts"]["modules"]]
        [1, 0]
    """

    def __init__(self) -> None:
        self._parts: dict[int, _Part] = {}
        self._roots: dict[int, weakref.ref[nn.Module]] = {}
        self._called: dict[int, _Part] = {}
        self._before: set[int] | None = None
        self._apart = Apart()

    def enters(self, look: Look, module: nn.Module) -> None:
        """Meet an outermost module: all that is in it."""
        if look.phase != "train":
            return
        self._settle()
        if _same(self._roots, module):
            return
        whole = look.whole(module)
        if not _same(self._roots, whole):
            owners = _owners(whole)
            for part in whole.modules():
                self._meet(look, part, owners.get(id(part)), registered=True)
            self._look_for_repeats(look, whole)
        for root in (whole, module):
            self._roots[id(root)] = weakref.ref(root)

    def module(self, look: Look, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Count a call."""
        if look.phase != "train" or not module._parameters:
            return
        part = self._parts.get(id(module))
        if part is None or part.ref() is not module:
            part = self._meet(look, module, None, registered=False)
        if part is None:
            return
        self._called[id(module)] = part
        part.now += 1
        made = next((t for t in tensors_in(output) if t.is_floating_point()), None)
        if made is not None and not made.requires_grad:
            part.gradless = any(p is not None and p.requires_grad for p in module._parameters.values())

    def end(self, look: Look) -> None:
        """Write down what was called, and which parameters stand apart."""
        if look.phase != "train" or not self._called:
            return
        self._settle()
        facts = _facts(look)
        facts["looks"] += 1
        for part in self._called.values():
            part.row["called"] += 1
            part.row["gradless"] += part.gradless
            part.row["most"] = max(part.row["most"], part.most)
            part.gradless, part.most = False, 0
        called = set(self._called)
        facts["steady"] = facts["steady"] and (self._before is None or called == self._before)
        self._before = called
        self._called = {}
        self._apart.look(look, facts)

    def _settle(self) -> None:
        """An outermost call is over."""
        for part in self._called.values():
            part.most, part.now = max(part.most, part.now), 0

    def _meet(
        self, look: Look, module: nn.Module, owner: nn.Module | None, *, registered: bool
    ) -> _Part | None:
        own = {name: p for name, p in module._parameters.items() if p is not None}
        if not own or len(self._parts) >= _MODULES or _same_part(self._parts, module):
            return self._parts.get(id(module))
        path, sized = look.path(module), [p for p in own.values() if not nn.parameter.is_lazy(p)]
        row: dict[str, Any] = {
            "name": path or (type(module).__name__ if not registered else ""),
            "class": type(module).__name__,
            "owner": "" if owner is None else type(owner).__name__,
            "own": owner is None or _is_own(owner),
            "parameters": sum(p.numel() for p in sized),
            "shape": list(sized[0].shape) if sized else [],
            "called": 0,
            "most": 0,
            "gradless": 0,
            "registered": registered,
        }
        _facts(look)["modules"].append(row)
        part = self._parts[id(module)] = _Part(weakref.ref(module), row)
        for name, parameter in own.items():
            self._apart.meet(parameter, look.parameter(parameter) or f"{row['name']}.{name}".lstrip("."), row)
        return part

    def _look_for_repeats(self, look: Look, root: nn.Module) -> None:
        """Note modules with parameters that are registered in several places."""
        places: dict[int, tuple[nn.Module, list[str], set[int]]] = {}
        for parent in root.modules():
            path = look.path(parent)
            for name, child in parent._modules.items():
                if child is not None:
                    _, names, parents = places.setdefault(id(child), (child, [], set()))
                    names.append(f"{path}.{name}" if path else name)
                    parents.add(id(parent) if isinstance(parent, _CONTAINERS) else -len(names))
        repeated = _facts(look)["repeated"]
        for child, names, parents in places.values():
            size = sum(p.numel() for p in child.parameters() if not nn.parameter.is_lazy(p))
            if len(names) > 1 and size and len(repeated) < _REPEATS:
                row = {"name": look.path(child), "class": type(child).__name__, "names": names}
                repeated.append({**row, "parameters": size, "together": len(parents) == 1})


def _facts(look: Look) -> dict[str, Any]:
    empty: dict[str, Any] = {"looks": 0, "steady": True, "modules": [], "repeated": [], "parameters": []}
    facts: dict[str, Any] = look.record.facts.setdefault("parts", empty)
    return facts


def _same(known: dict[int, weakref.ref[nn.Module]], module: nn.Module) -> bool:
    ref = known.get(id(module))
    return ref is not None and ref() is module


def _same_part(known: dict[int, _Part], module: nn.Module) -> bool:
    part = known.get(id(module))
    return part is not None and part.ref() is module


def _owners(root: nn.Module) -> dict[int, nn.Module]:
    """Return for each module the one around it that is no mere container, by identity; none for the rest."""
    found: dict[int, nn.Module] = {}
    for parent in root.modules():
        owner = found.get(id(parent)) if isinstance(parent, _CONTAINERS) else parent
        for child in parent.children():
            if owner is not None:
                found.setdefault(id(child), owner)
    return found


def _is_own(module: nn.Module) -> bool:
    """Whether the class is defined in the program's own files."""
    source = getattr(sys.modules.get(type(module).__module__), "__file__", None)
    return source is None or kind_of_file(source) == 0
