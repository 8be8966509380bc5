"""The parts of a model that transfer speaks of: its layers in order, its head, and what a word names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from preceptor.errors import ModelError, UnknownName

__all__ = ["WORDS", "call_order", "head_of", "layers_of", "selected", "tensors_of"]

WORDS = (
    "all, head, all-but-head, first-N, last-N, all-but-first-N, all-but-last-N, or names such as features.*"
)
_COUNTED = re.compile(r"(all-but-)?(first|last)-(\d+)")


def call_order(model: nn.Module, sample: Tensor) -> tuple[str, ...]:
    """Return the names of the modules in the order in which a forward pass comes by them.

    Registration tells less: a shortcut's projection may be registered last and be used first.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> call_order(net, torch.zeros(1, 2))
        ('0', '1', '2')
    """
    called: dict[str, None] = {}
    modes = [(module, module.training) for module in model.modules()]
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: called.setdefault(name))
        for name, module in model.named_modules()
        if name and not any(True for _ in module.children())
    ]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model.eval()(sample)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return tuple(called)


def tensors_of(module: nn.Module) -> Iterator[str]:
    """Yield the names of the parameters and statistics that a module itself holds, not those below it."""
    for held in (module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
        yield from (name for name, _ in held)


def layers_of(model: nn.Module, order: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return the layers from the inputs on, each as the names of its modules.

    What only scales and shifts, a normalisation above all, belongs to the layer before it.

    Arguments:
        model: any module.
        order: names as `call_order` gives them; default: as registered.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
        >>> layers_of(net)
        [('0', '1'), ('3',)]
    """
    modules = {name: module for name, module in model.named_modules() if any(tensors_of(module))}
    called = [name for name in order if name in modules]
    uncalled = [name for name in modules if name not in called]
    layers: list[tuple[str, ...]] = []
    for name in (*called[:-1], *uncalled, *called[-1:]):
        if layers and _joins(modules[name]):
            layers[-1] = (*layers[-1], name)
        else:
            layers.append((name,))
    return layers


def _joins(module: nn.Module) -> bool:
    shallow = all(p.ndim <= 1 for p in module.parameters(recurse=False))
    return shallow or "norm" in type(module).__name__.lower()


def head_of(model: nn.Module, outputs: int | None = None, order: Sequence[str] = ()) -> str:
    """Return the name of the head: the last linear or convolutional layer that is ``outputs`` wide.

    Raises:
        ModelError: no layer is.

    Example:
        >>> head_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.Flatten()), 4)
        '2'
    """
    modules = dict(model.named_modules())
    names = [name for name in order if name in modules] or list(modules)
    widths = {name: width for name in names if (width := _width(modules[name])) is not None}
    found = [name for name, width in widths.items() if outputs in (None, width)]
    if found:
        return found[-1]
    raise ModelError(
        "the model's head cannot be told",
        expected="a linear or convolutional layer"
        + ("" if outputs is None else f" with {outputs} outputs, as the model has"),
        received=", ".join(f"{name or type(model).__name__}: {width}" for name, width in widths.items())
        or type(model).__name__,
        hint="name the layers that are to be frozen or replaced",
    )


def _width(module: nn.Module) -> int | None:
    if isinstance(module, (nn.Linear, nn.Bilinear)):
        return module.out_features
    return module.out_channels if isinstance(module, _ConvNd) else None


def selected(model: nn.Module, words: str, *, head: str | None = None, order: Sequence[str] = ()) -> set[str]:
    """Return the names of the parameters and statistics that some words name.

    Arguments:
        model: any module.
        words: ``"all"``, ``"head"``, ``"all-but-head"``, ``"first-2"``, ``"all-but-last-3"`` (layers, as
            `layers_of` counts them), or the name of a module or parameter, with wildcards.
        head: the name of the head; default: as `head_of` finds it.
        order: names as `call_order` gives them.

    Raises:
        UnknownName: nothing is called so.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        >>> sorted(selected(net, "head")), len(selected(net, "all-but-head")), sorted(selected(net, "*.bias"))
        (['2.bias', '2.weight'], 7, ['0.bias', '1.bias', '2.bias'])
    """
    words = words.strip()
    modules = dict(model.named_modules())
    every = {_join(name, own) for name, module in modules.items() for own in tensors_of(module)}
    if words == "all":
        return every
    if words in ("head", "all-but-head"):
        head = head_of(model, order=order) if head is None else head
        own = {name for name in every if not head or name.startswith(f"{head}.")}
        return own if words == "head" else every - own
    if counted := _COUNTED.fullmatch(words):
        layers, number = layers_of(model, order), int(counted[3])
        taken = layers[:number] if counted[2] == "first" else layers[max(0, len(layers) - number) :]
        some = {_join(name, own) for layer in taken for name in layer for own in tensors_of(modules[name])}
        return every - some if counted[1] else some
    found = {n for n in every if fnmatch.fnmatchcase(n, words) or fnmatch.fnmatchcase(n, f"{words}.*")}
    if not found:
        known = [name for name in modules if name]
        raise UnknownName("layers", words, known, hint=f"{WORDS}; here: {', '.join(known[:12])}")
    return found


def _join(module: str, tensor: str) -> str:
    return f"{module}.{tensor}" if module else tensor
