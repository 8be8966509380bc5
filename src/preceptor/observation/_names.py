"""What modules, parameters and buffers are called: dotted paths from the outermost module that was called."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor, nn

__all__ = ["Names"]

_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "OptimizedModule")
_MOST_HANDLED = 8


class Names:
    """Names by identity, forgotten when the object is gone.

    The first outermost module has no prefix; each further one is prefixed by its class. A module that takes
    the place of a dead one of the same class (as in cross-validation) takes over its prefix.
    """

    def __init__(self) -> None:
        self.roots: list[tuple[weakref.ref[nn.Module], str]] = []
        self.optimizers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._modules: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self._handled: dict[int, weakref.ref[nn.Module]] = {}
        self._tensors: dict[int, tuple[weakref.ref[Tensor], str, bool]] = {}
        self._numbers: dict[int, tuple[weakref.ref[nn.Module], int]] = {}
        self._learnt = 0

    def knows(self, module: nn.Module) -> bool:
        """Whether the module has been named."""
        entry = self._modules.get(id(module))
        return entry is not None and entry[0]() is module

    def module(self, module: nn.Module) -> str:
        """Return a module's path; "" for the first outermost one and for unknown ones."""
        entry = self._modules.get(id(module))
        return entry[1] if entry is not None and entry[0]() is module else ""

    def tensor(self, tensor: Tensor) -> tuple[str, bool]:
        """Return a tensor's name in its module and whether it is a buffer; ("", False) if it is in none."""
        entry = self._tensors.get(id(tensor))
        return (entry[1], entry[2]) if entry is not None and entry[0]() is tensor else ("", False)

    def optimizer(self, optimizer: Any) -> int | None:
        """Return the number of an optimizer, in the order in which they were first seen."""
        known = self.optimizers.get(id(optimizer))
        return known[1] if known is not None and known[0]() is optimizer else None

    def number(self, root: nn.Module) -> int:
        """Return the number of an outermost module, in the order in which they were first called, from 0.

        Unlike its name no later one takes it over. A part of a module that was handled as a whole has 0.
        """
        known = self._numbers.get(id(root))
        return known[1] if known is not None and known[0]() is root else 0

    def living(self) -> list[tuple[Any, int]]:
        """Return the optimizers that live, each with its number."""
        found = [(ref(), number) for ref, number in self.optimizers.values()]
        return [(optimizer, number) for optimizer, number in found if optimizer is not None]

    def handled(self, module: Any) -> None:
        """Remember a module that the program has handled as a whole: its mode set, its gradients cleared."""
        known = self._handled.get(id(module))
        if isinstance(module, nn.Module) and (known is None or known() is not module):
            self._handled[id(module)] = weakref.ref(module)
            if len(self._handled) > _MOST_HANDLED:
                del self._handled[next(iter(self._handled))]

    def owner(self, module: nn.Module) -> nn.Module:
        """Return the module that ``module`` is part of, where a trainer calls parts of it; else itself."""
        for ref in self._handled.values():
            whole = ref()
            if whole is not None and any(part is module for part in whole.modules()):
                return whole
        return module

    def learn(self, root: nn.Module) -> str:
        """Name a module that is called from outside any known one, and all within; return its path."""
        if type(root).__name__ in _WRAPPERS:
            inner = getattr(root, "module", None) or getattr(root, "_orig_mod", None)
            if isinstance(inner, nn.Module):
                self._modules[id(root)] = (weakref.ref(root), "")
                name = self.learn(inner)
                self._numbers[id(root)] = (weakref.ref(root), self.number(inner))
                return name
        if self.knows(root):
            return self.module(root)
        prefix = self._prefix(root)
        self._numbers[id(root)] = (weakref.ref(root), self._learnt)
        self._learnt += 1
        for name, module in root.named_modules():
            if not self.knows(module):
                self._modules[id(module)] = (weakref.ref(module), _clean(prefix + name).rstrip("."))
        for name, parameter in root.named_parameters():
            if not self._has(parameter):
                self._tensors[id(parameter)] = (weakref.ref(parameter), _clean(prefix + name), False)
        for name, buffer in root.named_buffers():
            if not self._has(buffer):
                self._tensors[id(buffer)] = (weakref.ref(buffer), _clean(prefix + name), True)
        return prefix.rstrip(".")

    def _prefix(self, root: nn.Module) -> str:
        if next(root.parameters(), None) is None and next(root.children(), None) is None:
            return "" if not self.roots else f"{type(root).__name__}."
        kind = type(root).__name__
        for index, (former, prefix) in enumerate(self.roots):
            if former() is None and prefix.rstrip("0123456789.") in ("", kind):
                self.roots[index] = (weakref.ref(root), prefix)
                return prefix
        taken = {prefix for _, prefix in self.roots}
        prefix = "" if not self.roots else f"{kind}."
        if prefix in taken:
            prefix = f"{kind}{len(self.roots) + 1}."
        self.roots.append((weakref.ref(root), prefix))
        return prefix

    def _has(self, tensor: Tensor) -> bool:
        entry = self._tensors.get(id(tensor))
        return entry is not None and entry[0]() is tensor


def _clean(name: str) -> str:
    return name.replace("_orig_mod.", "").replace("_orig_mod", "")
