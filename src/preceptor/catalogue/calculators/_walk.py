"""A forward pass, and a training step, of any module, followed operation by operation."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from preceptor.catalogue.calculators._fields import Fields, Seen

__all__ = ["Forward", "Passed", "Step", "forward", "tensors", "training_step", "without_values"]


def without_values(model: nn.Module) -> nn.Module:
    """Return a copy of a model on the meta device: every shape, no numbers, no memory."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name in ("_forward_hooks", "_backward_hooks"):  # whoever looks on is not copied
            memo[id(getattr(module, name))] = OrderedDict()
        for held in (module._parameters, module._buffers, vars(module)):
            for tensor in held.values():
                if isinstance(tensor, Tensor):
                    memo[id(tensor)] = _empty(tensor)
    return copy.deepcopy(model, memo)


def _empty(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta", requires_grad=False)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors in whatever a module returns."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from tensors(value)
    elif hasattr(tree, "__dict__"):
        for value in vars(tree).values():
            yield from tensors(value)


@contextmanager
def _located(
    model: nn.Module, enter: Callable[[str, Any], None], leave: Callable[[str, Any], None]
) -> Iterator[None]:
    """Say when a forward pass enters a module, with its inputs, and when it leaves it, with its outputs."""

    def before(name: str, module: nn.Module, inputs: Any) -> None:
        enter(name, inputs)

    def after(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        leave(name, output)

    handles: list[Any] = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(partial(before, name)))
        handles.append(module.register_forward_hook(partial(after, name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class Passed:
    """What was seen of one module: its first output, and the operations of all its calls but its parts'."""

    output: tuple[int, ...] | None = None
    seen: Seen | None = None
    operations: int = 0
    calls: int = 0


class Forward(TorchDispatchMode):
    """Counts operations, and follows what every tensor has seen."""

    def __init__(self, model: nn.Module, inputs: Sequence[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no types
        self.passed: dict[str, Passed] = {}
        self.fields = Fields(tensors(inputs))
        self.recurrent = {
            name: module.num_layers
            for name, module in model.named_modules()
            if isinstance(module, nn.RNNBase)
        }
        self.outputs: list[Seen] = []
        self._path: list[tuple[str, int]] = []

    def enter(self, name: str, inputs: Any) -> None:
        """A module begins."""
        self._path.append((name, max((seen.depth for seen in self._seen(inputs)), default=0)))
        self.passed.setdefault(name, Passed()).calls += 1
        self.fields.hidden += name in self.recurrent

    def leave(self, name: str, output: Any) -> None:
        """A module is done."""
        _, before = self._path.pop()
        found = list(tensors(output))
        if name in self.recurrent:
            self.fields.hidden -= 1
            self.fields.deepen(found, before, self.recurrent[name])
        passed = self.passed[name]
        if found and passed.output is None:
            passed.output, passed.seen = tuple(found[0].shape), self.fields.of(found[0])
        if not name:
            self.outputs = self._seen(output)

    def _seen(self, tree: Any) -> list[Seen]:
        return [seen for tensor in tensors(tree) if (seen := self.fields.of(tensor))]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and note it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet in flop_registry:
            name = self._path[-1][0] if self._path else ""
            self.passed.setdefault(name, Passed()).operations += flop_registry[packet](
                *args, **kwargs, out_val=out
            )
        arguments = [*args, *kwargs.values()]
        self.fields.follow(packet.__name__, arguments, list(tensors(out)))
        return out


def forward(model: nn.Module, inputs: Sequence[Any]) -> Forward:
    """Follow one forward pass in evaluation mode."""
    walk = Forward(model, inputs)
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(
        False
    )  # one operation for a whole layer, which nobody has counted
    try:
        with torch.no_grad(), _located(model, walk.enter, walk.leave), walk:
            model.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return walk


@dataclass
class Step:
    """The memory of a training step, in bytes.

    Attributes:
        kept: what is kept for the backward pass, by the module whose output it is; "" is the model itself.
        peak: the most that lives at once beside parameters and the batch, gradients included.
        batch: the inputs.
    """

    kept: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    batch: int = 0


class _Living(TorchDispatchMode):
    """Adds up the storages that live, from their making to their end."""

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no types
        self.live = self.peak = 0
        self.path: list[str] = [""]
        self._known = {t.untyped_storage()._cdata for t in known}
        self._makers: dict[int, tuple[Any, str]] = {}

    def maker(self, tensor: Tensor) -> str | None:
        """Return the module in which a tensor's storage was made; None for parameters and the batch."""
        found = self._makers.get(tensor.untyped_storage()._cdata)
        return found[1] if found else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and note what it made."""
        out = func(*args, **(kwargs or {}))
        for tensor in tensors(out):
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._makers and key not in self._known:
                self._makers[key] = weakref.ref(storage, partial(self._ended, key, size)), self.path[-1]
                self.live += size
                self.peak = max(self.peak, self.live)
        return out

    def _ended(self, key: int, size: int, _: Any) -> None:
        self.live -= size
        self._makers.pop(key, None)


def training_step(
    model: nn.Module,
    inputs: Sequence[Any],
    *,
    training: bool = True,
    backward: bool = True,
    gradients: bool = True,
) -> Step:
    """Follow the forward and backward pass of one step, with a loss like cross-entropy.

    Without ``gradients`` no graph is made, and nothing is kept, as when a model is evaluated.
    """
    given = list(tensors(inputs))
    living = _Living([*model.parameters(), *model.buffers(), *given])
    kept: dict[int, tuple[str, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        maker = living.maker(tensor)
        if maker is not None:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = maker, storage.nbytes()
        return tensor

    def enter(name: str, inputs: Any) -> None:
        living.path.append(name)

    def leave(name: str, output: Any) -> None:
        living.path.pop()

    model.train(training)
    saving = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with torch.set_grad_enabled(gradients), living:
        with saving, _located(model, enter, leave):
            output = model(*inputs)
            loss = _loss(output)
        del output
        if backward and loss.requires_grad:
            loss.backward()
    step = Step(peak=living.peak, batch=sum(t.numel() * t.element_size() for t in given))
    for name, size in kept.values():
        step.kept[name] = step.kept.get(name, 0) + size
    return step


def _loss(output: Any) -> Tensor:
    """A number from whatever the model puts out, at the price of cross-entropy."""
    total: Tensor | float = 0.0
    for value in tensors(output):
        if value.is_floating_point():
            wide = value.ndim > 1 and value.shape[1] > 1
            total = total + (-value.log_softmax(1).mean() if wide else value.square().mean())
    return torch.as_tensor(total)
