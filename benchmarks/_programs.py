"""Network, loss and examples of a training program, taken out of it while it runs.

A program is run until it has trained on some thousand examples, then stopped. Taken is the network as it
stood before its first pass, what it was given, and the call of a loss in `torch.nn.functional` with what it
was asked for. Programs with several networks or losses in one step have no such three, and are left out with
a reason.
"""

from __future__ import annotations

import copy
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook

__all__ = ["Parts", "Unsuited", "taken_apart"]

_Call = tuple[str, Tensor, Tensor, dict[str, Any]]
_EXAMPLES, _STEPS = 4600, 1200  # as many as the checks take of any data, and what is held out
_LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge_embedding_loss", "multi_margin_loss",
)  # fmt: skip


class Unsuited(Exception):
    """A program that is not one network, one loss and examples."""


class _Enough(BaseException):
    """Enough has been seen."""


@dataclass
class Parts:
    """What was taken out of a program."""

    model: nn.Module
    loss: Callable[[Any, Any], Tensor]
    x: Any
    y: Tensor


@dataclass
class _Seen:
    """What has been seen of a program."""

    model: nn.Module | None = None
    root: nn.Module | None = None
    depth: int = 0
    inside: int = 0
    passes: list[tuple[tuple[Any, ...], Any]] = field(default_factory=list)  # of this step
    calls: list[_Call] = field(default_factory=list)  # of this step
    steps: list[tuple[tuple[Any, ...], Any, tuple[str, Tensor, Tensor, dict[str, Any]]]] = field(
        default_factory=list
    )

    def enter(self, module: nn.Module, args: Any) -> None:
        self.depth += 1
        if self.depth == 1 and torch.is_grad_enabled() and not isinstance(module, nn.modules.loss._Loss):
            self.root = self.root or module
            if self.model is None:
                self.model = copy.deepcopy(module)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self.depth -= 1
        if self.depth or not torch.is_grad_enabled() or isinstance(module, nn.modules.loss._Loss):
            return
        if module is not self.root:
            raise Unsuited("several networks")
        self.passes.append((args, output))

    def called(self, name: str, given: Tensor, asked: Tensor, options: dict[str, Any]) -> None:
        if given.requires_grad:
            self.calls.append((name, given, asked.detach(), options))

    def stepped(self, *_: Any) -> None:
        if len(self.passes) != 1 or len(self.calls) != 1:
            raise Unsuited(f"{len(self.passes)} passes and {len(self.calls)} losses a step")
        (args, output), call = self.passes[0], self.calls[0]
        if self.steps:  # of later steps the inputs and targets are wanted: no graph is kept
            output, call = None, (call[0], call[2], *call[2:])
        self.steps.append((args, output, call))
        self.passes, self.calls = [], []
        if len(self.steps) >= _STEPS or sum(len(one[0][0]) for one in self.steps) >= _EXAMPLES:
            raise _Enough


@contextmanager
def _heard(seen: _Seen) -> Iterator[None]:
    hooks = [
        register_module_forward_pre_hook(seen.enter),
        register_module_forward_hook(seen.leave),
        register_optimizer_step_post_hook(seen.stepped),
    ]
    own = {name: getattr(functional, name) for name in _LOSSES}

    def listening(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def listened(given: Tensor, asked: Tensor, *args: Any, **options: Any) -> Tensor:
            seen.inside += 1
            try:
                made = call(given, asked, *args, **options)
            finally:
                seen.inside -= 1
            if not seen.inside:
                if args:
                    raise Unsuited("a loss with more than two inputs")
                if options.get("reduction") == "none":
                    raise Unsuited("a loss that the program itself sums")
                seen.called(name, given, asked, options)
            return made

        return listened

    for name, call in own.items():
        setattr(functional, name, listening(name, call))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, call in own.items():
            setattr(functional, name, call)


def taken_apart(program: Path) -> Parts:
    """Run a program until it has trained on some thousand examples, and return what it consists of.

    Raises:
        Unsuited: it is not one network, one loss and examples.
    """
    seen = _Seen()
    arguments, sys.argv = sys.argv, [str(program)]
    before = Path.cwd()
    os.chdir(program.parent)
    sys.path.insert(0, str(program.parent))
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nothing, redirect_stdout(nothing), _heard(seen):
            runpy.run_path(str(program), run_name="__main__")
    except _Enough:
        pass
    finally:
        sys.argv = arguments
        sys.path.pop(0)
        os.chdir(before)
    if not seen.steps or seen.model is None:
        raise Unsuited("no step with a network and a loss of torch.nn.functional")
    return _parts(seen.model, seen)


def _parts(model: nn.Module, seen: _Seen) -> Parts:
    args, output, (name, given, asked, options) = seen.steps[0]
    if not args or not all(isinstance(one, Tensor) for one in args):
        raise Unsuited("inputs that are no tensors")
    outputs = output if isinstance(output, tuple) else (output,)
    same = [
        i
        for i, one in enumerate(outputs)
        if isinstance(one, Tensor) and one.data_ptr() == given.data_ptr() and one.numel() == given.numel()
    ]
    if not same:
        raise Unsuited("what enters the loss is not what the network puts out")
    at = same[0] if isinstance(output, tuple) else None
    behind, asked_behind, whole = given.shape[1:], asked.shape[1:], given.shape == outputs[same[0]].shape

    def loss(out: Any, y: Tensor) -> Tensor:
        z = out if at is None else out[at]
        z = z if whole else z.reshape(-1, *behind)
        return getattr(functional, name)(z, y.reshape(-1, *asked_behind), **options)

    xs: list[list[Tensor]] = [[] for _ in args]
    ys: list[Tensor] = []
    for inputs, _, (_, _, target, _) in seen.steps:
        count = len(inputs[0])
        if not count or target.numel() % count or len(inputs) != len(args):
            raise Unsuited("targets that do not belong to examples")
        per = target.reshape(count, -1) if len(target) != count else target
        if ys and (per.shape[1:] != ys[0].shape[1:] or inputs[0].shape[1:] != xs[0][0].shape[1:]):
            break
        ys.append(per)
        for held, one in zip(xs, inputs, strict=True):
            if len(one) != count:
                raise Unsuited("inputs of several lengths")
            held.append(one.detach())
    joined = tuple(torch.cat(held) for held in xs)
    once = _distinct(joined)
    joined, y = tuple(one[once] for one in joined), torch.cat(ys)[once]
    return Parts(model.train(), loss, joined[0] if len(joined) == 1 else joined, y)


def _distinct(inputs: tuple[Tensor, ...]) -> Tensor:
    """Return the places of examples that had not come before: a second pass brings no others to hold out."""
    keys = [b"".join(one[i].numpy().tobytes() for one in inputs) for i in range(len(inputs[0]))]
    first: dict[bytes, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    return torch.tensor(sorted(first.values()))
