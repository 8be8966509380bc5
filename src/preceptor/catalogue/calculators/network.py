"""What a network is made of and what it costs, layer by layer, before anything is computed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import entry, get, registered
from preceptor.catalogue.calculators._fields import Fields, Seen
from preceptor.catalogue.calculators._records import NetworkLayer, NetworkSummary, TrainingMemory
from preceptor.catalogue.calculators._walk import Forward, Step, forward, training_step, without_values
from preceptor.errors import ModelError

__all__ = ["network_summary", "training_memory", "weight_depth"]

_T = TypeVar("_T")
_SHAPES = "a model, and the shape of one example or a batch of inputs (a tensor, or a tuple of tensors) → "
_VGG = "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015"


@registered(
    kind="calculator",
    name="network-summary",
    aliases=("size-report", "model-summary", "summary"),
    formula="operations: 2 for a multiplication with addition, in convolutions, matrix products and "
    "attention; field: r ← r + (kernel − 1) · dilation · j, j ← j · stride along the longest way, joined "
    "where branches meet; depth: weight layers on the longest way; memory: the largest sum of the tensors "
    "that live at once in a step, after every operation",
    shapes=_SHAPES + "a record, which is a table as text",
    when="before training: whether it fits into memory, where the parameters are, what a layer can see",
    pitfalls="activation functions, normalisations and pooling count no operations, though they take time; "
    "what a kernel works with inside is not counted; the field in effect is smaller, as its rim hardly "
    "matters; behind upsampling it is an upper bound, by less than a step of the coarser map",
    source="Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks, 2019; "
    + _VGG,
    differs="forward passes of one example are counted as torch.utils.flop_counter counts them; others "
    "count a multiplication with addition as one operation",
    example=">>> found = get('network-summary', get('lenet-5', (1, 28, 28), 10), (1, 28, 28))\n"
    ">>> found.parameters, found.operations, found.depth, found.layers[2].field\n(61706, 833040, 5, (6, 6))",
)
def network_summary(
    model: nn.Module, inputs: Any, batch_size: int = 32, optimizer: str = "adam"
) -> NetworkSummary:
    """Shapes, parameters, memory, operations, receptive fields and depth of a network, layer by layer."""
    walk, step, notes = _followed(model, inputs, batch_size)
    fields = walk.fields
    layers = _layers(model, walk, step)
    return NetworkSummary(
        name=type(model).__name__,
        input=_shapes(inputs),
        batch_size=check_count("network-summary", "batch_size", batch_size),
        optimizer=entry(optimizer, "optimizer").name,
        layers=tuple(layers),
        parameters=sum(p.numel() for p in model.parameters()),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        operations=_operations(walk),
        depth=max((seen.depth for seen in walk.outputs), default=0),
        field=_field(fields, walk.outputs[0] if walk.outputs else None),
        memory=_memory(model, step, optimizer),
        notes=tuple(notes),
    )


@registered(
    kind="calculator",
    name="weight-depth",
    aliases=("depth-rule", "weight-layers"),
    formula="the largest number of weight layers (convolutions, and products with a weight matrix) that lie "
    "one behind the other between input and output; a recurrent layer counts once, however long the sequence",
    shapes=_SHAPES + "a number",
    when="comparing networks by their depth, as their names do: VGG-16, ResNet-152",
    pitfalls="branches beside each other do not add up: GoogLeNet has 57 convolutions and is 22 deep; "
    "shortcuts with a projection are shorter than what they pass by; separable convolutions count twice",
    source=_VGG,
    example=">>> get('weight-depth', get('lenet-5', (1, 28, 28), 10), (1, 28, 28))\n5",
)
def weight_depth(model: nn.Module, inputs: Any) -> int:
    """Number of weight layers on the longest way through a network."""
    walk = _tried(model, lambda m: forward(m, _example(m, inputs, 1)), [])
    return max((seen.depth for seen in walk.outputs), default=0)


@registered(
    kind="calculator",
    name="training-memory",
    aliases=("memory-estimate",),
    formula="peak = parameters + optimizer state + batch + the largest sum of activations and gradients that "
    "live at once, after every operation of a forward and a backward pass",
    shapes=_SHAPES + "(parameters, gradients, optimizer, activations, batch, peak) in bytes",
    when="before a run: whether a batch fits",
    pitfalls="tensors only: kernels take working memory beside, those of recurrent layers on CPUs as much "
    "again; data sets and the copy of the best weights "
    "are not in it, and the C library of Linux may hold on to as much again of what was given back "
    "(MALLOC_MMAP_THRESHOLD_=65536 makes it return that)",
    source="by following the step on torch's meta device, which has shapes and no values",
    example=">>> memory = get('training-memory', get('mlp', (784,), 10), (784,), batch_size=64)\n"
    ">>> memory.parameters, memory.optimizer == 2 * memory.parameters, round(memory.peak, -5)\n"
    "(407080, True, 1900000)",
)
def training_memory(
    model: nn.Module, inputs: Any, batch_size: int = 32, optimizer: str = "adam"
) -> TrainingMemory:
    """Memory of a training step, by what takes it."""
    return _memory(model, _step(model, inputs, batch_size, []), optimizer)


def _followed(model: nn.Module, inputs: Any, batch_size: int) -> tuple[Forward, Step, list[str]]:
    notes: list[str] = []
    walk = _tried(model, lambda m: forward(m, _example(m, inputs, 1)), notes)
    return walk, _step(model, inputs, batch_size, notes), notes


def _step(model: nn.Module, inputs: Any, batch_size: int, notes: list[str]) -> Step:
    check_count("training-memory", "batch_size", batch_size)
    try:
        return _tried(model, lambda m: training_step(m, _example(m, inputs, batch_size)), notes)
    except ModelError:  # of one example batch normalisation has no variance
        notes.append("memory as in evaluation mode: a step in training mode cannot be followed")
        return _tried(
            model, lambda m: training_step(m, _example(m, inputs, batch_size), training=False), notes
        )


def _tried(model: nn.Module, follow: Callable[[nn.Module], _T], notes: list[str]) -> _T:
    """Follow a copy without values; where its code asks for values, one with them.

    Raises:
        ModelError: neither can be followed.
    """
    try:
        return follow(without_values(model))
    except Exception as first:  # noqa: BLE001 - whatever a model's own code raises
        try:
            if any(p.is_meta for p in model.parameters()):
                raise
            with torch.random.fork_rng(devices=[]):
                found = follow(copy.deepcopy(model).cpu())
        except Exception as error:
            raise ModelError(
                "the model cannot be followed",
                expected="a forward pass over a batch of such inputs",
                received=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
                hint="check the shape of one example; or give a batch of inputs",
            ) from error
        note = f"computed with numbers, as the model's code asks for them: {str(first).partition(chr(10))[0]}"
        notes.extend([] if note in notes else [note])
        return found


def _example(model: nn.Module, inputs: Any, batch_size: int) -> tuple[Any, ...]:
    """Return a batch on the model's device: of that shape, or as many of the given ones."""
    known = next((p for p in (*model.parameters(), *model.buffers()) if p.is_floating_point()), None)
    device = torch.device("cpu") if known is None else known.device
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if inputs and isinstance(inputs[0], Tensor):
        rows = torch.arange(batch_size)
        return tuple(x.cpu()[rows % len(x)].to(device) if isinstance(x, Tensor) else x for x in inputs)
    dtype = torch.float32 if known is None else known.dtype
    if any(isinstance(module, nn.Embedding) for module in model.modules()):
        dtype = torch.int64
    return (torch.zeros((batch_size, *inputs), dtype=dtype, device=device),)


def _shapes(inputs: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if inputs and isinstance(inputs[0], Tensor):
        return tuple(tuple(x.shape[1:]) for x in inputs if isinstance(x, Tensor))
    return (tuple(inputs),)


def _operations(walk: Forward) -> int:
    return sum(passed.operations for passed in walk.passed.values())


def _field(fields: Fields, seen: Seen | None) -> tuple[int, ...] | None:
    return fields.size(seen) if seen is not None and seen.axes else None


def _layers(model: nn.Module, walk: Forward, step: Step) -> list[NetworkLayer]:
    """Return the modules without parts, and of the others those that do something themselves."""
    counted: set[int] = set()
    modules = dict(model.named_modules())
    used = [name for name in walk.passed if name in modules]
    found = []
    for name in [*used, *(name for name in modules if name not in walk.passed)]:
        module, passed = modules[name], walk.passed.get(name)
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in counted}
        counted |= own.keys()
        kept = step.kept.get(name, 0) if name else 0  # what the model itself keeps is that of the loss
        operations = passed.operations if passed else 0
        leaf = not any(True for _ in module.children())
        if not (own or kept or operations or (leaf and passed)):
            continue
        found.append(
            NetworkLayer(
                name=name,
                type=type(module).__name__,
                output=passed.output[1:] if passed and passed.output else None,
                parameters=sum(own.values()),
                activations=kept,
                operations=operations,
                field=_field(walk.fields, passed.seen if passed else None),
                depth=passed.seen.depth if passed and passed.seen else None,
                calls=passed.calls if passed else 0,
            )
        )
    return found


def _memory(model: nn.Module, step: Step, optimizer: str) -> TrainingMemory:
    parameters = list(model.parameters())
    held = sum(_bytes(t) for t in (*parameters, *model.buffers()))
    gradients = sum(_bytes(p) for p in parameters if p.requires_grad)
    copies = _state_of(optimizer)
    state = None if copies is None else math.ceil(copies * gradients)
    return TrainingMemory(
        parameters=held,
        gradients=gradients,
        optimizer=state,
        activations=sum(step.kept.values()),
        batch=step.batch,
        peak=held + (state or 0) + step.batch + max(step.peak, gradients),
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _state_of(optimizer: str) -> float | None:
    """Return how many numbers an optimizer keeps for each parameter: it is tried on a small matrix."""
    known = entry(optimizer, "optimizer")
    if known.traits.get("closure"):
        return None  # it grows from step to step
    weight = nn.Parameter(torch.zeros(8, 8))
    weight.grad = torch.ones(8, 8)
    made = get(known.name, [weight], kind="optimizer")
    made.step()
    kept = [v for v in made.state[weight].values() if isinstance(v, Tensor) and v.ndim]
    return sum(v.numel() for v in kept) / weight.numel()
