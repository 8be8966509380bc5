"""Which module is running, and what its parameters and buffers are called."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils.hooks import RemovableHandle

from preceptor.observation._names import Names
from preceptor.observation.graph import Parameter

__all__ = ["Scope"]

_FUSED_INFERENCE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


class Scope:
    """The stack of modules that are running, by hooks on all modules.

    It also takes ``mode`` off torch's stack where a mode would change what torch computes: compiled modules,
    and attention in evaluation, which takes a fused path only when no mode is on.
    """

    def __init__(
        self,
        mode: torch.overrides.TorchFunctionMode,
        model: nn.Module | None,
        gradless: bool,
        names: Names | None,
    ) -> None:
        self.mode, self.gradless = mode, gradless
        self.stack: list[nn.Module] = []
        self.names = names or Names()
        self.ran: dict[int, Parameter] = {}
        self.aside = 0
        self.descending = 0  # how many Functions deep, whose forward runs the program's own operators
        self._handles: list[RemovableHandle] = []
        self._thread = 0
        if model is not None:
            self._meet(model)

    def attach(self) -> None:
        """Begin to follow the calls of all modules."""
        self._thread = threading.get_ident()
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
        module = self.stack[-1]
        return self.names.module(module), type(module).__name__

    def tensor(self, tensor: Tensor) -> tuple[str, bool]:
        """Return a tensor's name in its module and whether it is a buffer; ("", False) if it is in none."""
        return self.names.tensor(tensor)

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() != self._thread:
            return
        try:
            if not self.stack or not self.names.knows(module):
                self._meet(module)
            if self._must_step_aside(module, args):
                self._step_aside(module)
            self.stack.append(module)
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            self._complain(error)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        if any(running is module for running in self.stack):
            while self.stack and self.stack.pop() is not module:
                pass
        if self.aside == id(module) and all(running is not module for running in self.stack):
            self.aside = 0
            _push_mode(self.mode)

    def _step_aside(self, module: nn.Module) -> None:
        modes = _get_current_function_mode_stack()
        if not self.aside and modes and modes[-1] is self.mode:
            _pop_mode()
            self.aside = id(module)

    def come_back(self) -> None:
        """Put the mode back where a module never came to its end."""
        if self.aside:
            self.aside = 0
            _push_mode(self.mode)

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

    def _meet(self, root: nn.Module) -> None:
        """Name a module and all within, and remember its parameters as those of a module that ran."""
        self.names.learn(root)
        for parameter in root.parameters():
            if id(parameter) not in self.ran:
                lazy = nn.parameter.is_lazy(parameter)  # such a parameter has no shape yet
                shape = () if lazy else tuple(parameter.shape)
                name = self.names.tensor(parameter)[0]
                self.ran[id(parameter)] = Parameter(name, shape, parameter.requires_grad, id(parameter))

    def _complain(self, error: Exception) -> None:
        complain = getattr(self.mode, "complain", None)
        if complain is not None:
            complain(error)
