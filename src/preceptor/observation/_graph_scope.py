"""Which module is running, and what its parameters and buffers are called."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils.hooks import RemovableHandle

from preceptor.observation.graph import Parameter

__all__ = ["Scope"]

_FUSED_INFERENCE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


class Scope:
    """The stack of modules that are running, by hooks on all modules.

    It also takes ``mode`` off torch's stack where a mode would change what torch computes: compiled modules,
    and attention in evaluation, which takes a fused path only when no mode is on.
    """

    def __init__(
        self, mode: torch.overrides.TorchFunctionMode, model: nn.Module | None, gradless: bool
    ) -> None:
        self.mode, self.gradless = mode, gradless
        self.stack: list[int] = []
        self.names: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self.tensors: dict[int, tuple[weakref.ref[Tensor], str, bool]] = {}
        self.parameters: list[Parameter] = []
        self.roots: list[str] = []
        self.aside = 0
        self.descending = 0  # how many Functions deep, whose forward runs the program's own operators
        self._handles: list[RemovableHandle] = []
        if model is not None:
            self._learn(model)

    def attach(self) -> None:
        """Begin to follow the calls of all modules."""
        register = torch.nn.modules.module
        self._handles = [
            register.register_module_forward_pre_hook(self._enter),
            register.register_module_forward_hook(self._leave, always_call=True),
        ]

    def detach(self) -> None:
        """Stop following."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def where(self) -> tuple[str, str]:
        """Return the path and class name of the innermost running module."""
        if not self.stack:
            return "", ""
        entry = self.names.get(self.stack[-1])
        module = entry[0]() if entry else None
        return (entry[1] if entry else ""), (type(module).__name__ if module is not None else "")

    def tensor(self, tensor: Tensor) -> tuple[str, bool]:
        """Return a tensor's name in its module and whether it is a buffer; ("", False) if it is in none."""
        entry = self.tensors.get(id(tensor))
        return (entry[1], entry[2]) if entry is not None and entry[0]() is tensor else ("", False)

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        try:
            entry = self.names.get(id(module))
            if entry is None or entry[0]() is not module:
                self._learn(module)
            if self._must_step_aside(module, args):
                self._step_aside(module)
            self.stack.append(id(module))
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            self._complain(error)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if id(module) in self.stack:
            while self.stack and self.stack.pop() != id(module):
                pass
        if self.aside == id(module) and id(module) not in self.stack:
            self.aside = 0
            _push_mode(self.mode)  # type: ignore[no-untyped-call]

    def _step_aside(self, module: nn.Module) -> None:
        modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        if not self.aside and modes and modes[-1] is self.mode:
            _pop_mode()  # type: ignore[no-untyped-call]
            self.aside = id(module)

    def come_back(self) -> None:
        """Put the mode back where a module never came to its end."""
        if self.aside:
            self.aside = 0
            _push_mode(self.mode)  # type: ignore[no-untyped-call]

    def _must_step_aside(self, module: nn.Module, args: tuple[Any, ...]) -> bool:
        if type(module).__name__ in (
            "OptimizedModule",
            "ScriptModule",
            "RecursiveScriptModule",
            "GraphModule",
        ):
            return type(module).__name__ != "GraphModule"
        grad = torch.is_grad_enabled()
        if not (grad or self.stack or self.gradless or self.descending):
            return True
        if not isinstance(module, _FUSED_INFERENCE) or module.training:
            return False
        tensors = [*module.parameters(), *(a for a in args if isinstance(a, Tensor))]
        return not grad or not any(t.requires_grad for t in tensors)

    def _learn(self, root: nn.Module) -> None:
        """Name a module that is called from outside any known one, and everything in it."""
        prefix = "" if not self.roots else f"{type(root).__name__}."
        if prefix and prefix in self.roots:
            prefix = f"{type(root).__name__}{len(self.roots) + 1}."
        if next(root.parameters(), None) is not None or next(root.children(), None) is not None:
            self.roots.append(prefix)
        for name, module in root.named_modules():
            self.names.setdefault(id(module), (weakref.ref(module), _clean(prefix + name).rstrip(".")))
        for name, parameter in root.named_parameters():
            if id(parameter) not in self.tensors:
                full = _clean(prefix + name)
                self.tensors[id(parameter)] = (weakref.ref(parameter), full, False)
                shape = tuple(parameter.shape)
                self.parameters.append(Parameter(full, shape, parameter.requires_grad, id(parameter)))
        for name, buffer in root.named_buffers():
            self.tensors.setdefault(id(buffer), (weakref.ref(buffer), _clean(prefix + name), True))

    def _complain(self, error: Exception) -> None:
        complain = getattr(self.mode, "complain", None)
        if complain is not None:
            complain(error)


def _clean(name: str) -> str:
    return name.replace("_orig_mod.", "").replace("_orig_mod", "")
