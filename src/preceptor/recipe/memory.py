"""What memory a training will need at its peak, before it begins."""

from __future__ import annotations

import copy
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue
from preceptor.catalogue.calculators import training_memory
from preceptor.catalogue.calculators._walk import training_step, without_values
from preceptor.data.batches import Batches, TensorBatches
from preceptor.errors import PreceptorError
from preceptor.observation.watch import graph_memory
from preceptor.recipe import _trees as trees
from preceptor.training.problem import Problem

__all__ = ["Memory", "available", "estimated", "resident"]

_FULL = 0.9  # of what is there
_EXAMPLES = 2, 32  # of which recurrent networks do a step


@dataclass(frozen=True)
class Memory:
    """What a training needs, in bytes.

    Attributes:
        base: what the process takes without it: interpreter and libraries.
        data: the examples, where they lie in memory.
        weights: parameters and buffers, and the copy of the best ones.
        gradients: of what is learned.
        optimizer: its state; None where it grows from step to step.
        activations: kept for the backward pass.
        batch: inputs of one step.
        evaluation: the most that measuring takes beside weights and data.
        peak: of weights, gradients, state, activations and batch, of an evaluation, or of the copies at the
            end, at the worst moment, with what the watch keeps.
        total: the peak with base and data.
        there: what the device has; None where that is not known.
        watched: weights and batches of the steps whose graphs a watch keeps.

    Example:
        >>> mib = 1 << 20
        >>> print(Memory(300 * mib, mib, 2 * mib, mib, 2 * mib, 20 * mib, mib, 5 * mib, 26 * mib, 327 * mib))
        327 MB: 26 MB for training, 1.0 MB data, 300 MB interpreter and libraries
    """

    base: int
    data: int
    weights: int
    gradients: int
    optimizer: int | None
    activations: int
    batch: int
    evaluation: int
    peak: int
    total: int
    there: int | None = None
    watched: int = 0

    @property
    def short(self) -> bool:
        """Whether there may not be enough."""
        return self.there is not None and self.total > _FULL * self.there

    def __str__(self) -> str:
        parts = (("for training", self.peak), ("data", self.data), ("interpreter and libraries", self.base))
        text = f"{_size(self.total)}: " + ", ".join(f"{_size(n)} {what}" for what, n in parts if n)
        return text + (f"; there are {_size(self.there)}" if self.short and self.there else "")

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "text": str(self)}


def _size(count: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20)):
        if count >= size:
            value = count / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{count / 1024:.0f} kB"


def resident() -> int:
    """Return the bytes that this process holds in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return _largest()
    return pages * os.sysconf("SC_PAGE_SIZE")


def _largest() -> int:
    """Return the most that this process ever held, where only that is known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def available(device: torch.device) -> int | None:
    """Return the bytes that a device has in all; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def estimated(
    problem: Problem,
    optimizer: str,
    sample: Any,
    *,
    base: int,
    best: bool = True,
    raw: int = 0,
    watched: int = 0,
) -> Memory | None:
    """Return what a training will need; None where the model cannot be followed.

    A step is followed without numbers: parameters and optimizer state, and the largest sum of activations and
    gradients that live at once. Measuring is a forward pass over larger batches, beside the state. At the end
    the last weights are copied beside the best ones. What is foretold are the bytes of tensors: the process
    takes more, for what libraries keep for themselves and what the allocator does not give back.

    Arguments:
        problem: what will be trained.
        optimizer: its name in the catalogue; for another one Adam's state is counted.
        sample: a few inputs.
        base: bytes that the process held before data and model.
        best: whether a copy of the best weights is kept.
        raw: bytes of the examples before they were prepared, which are kept beside them.
        watched: how many steps a watch looks on; 0: none.
    """
    name = optimizer if catalogue.find(optimizer, "optimizer") else "adam"
    inputs = sample if problem.augment is None else problem.augment.eval().forward(sample)
    try:
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        step = training_memory(problem.model, given, problem.train.batch_size, name)
        passes = [_pass(problem.model, given, b) for b in (problem.probe, problem.val) if b is not None]
    except PreceptorError:
        return None
    held = [b for b in (problem.train, problem.probe, problem.val) if isinstance(b, TensorBatches)]
    data = raw + sum(trees.volume((b.x, b.y)) for b in held)
    copies = step.parameters if best else 0
    state = step.optimizer or 0
    evaluation = max(passes, default=0)
    on_cpu = problem.device.type == "cpu"
    work = _with_kernels(problem.model, given, problem.train.batch_size) if on_cpu else 0
    held_to_the_end = step.parameters + step.gradients + state
    within = max(step.peak, step.parameters + state + step.batch + work)
    peak = max(within, held_to_the_end + max(evaluation, step.parameters)) + copies
    graphs = graph_memory(watched, step.parameters + step.batch)
    on_host = base if on_cpu else 0
    return Memory(
        base=on_host,
        data=data,
        weights=step.parameters + copies,
        gradients=step.gradients,
        optimizer=step.optimizer,
        activations=step.activations,
        batch=step.batch,
        evaluation=evaluation,
        peak=peak + graphs,
        total=on_host + data + peak + graphs,
        there=available(problem.device),
        watched=graphs,
    )


def _with_kernels(model: nn.Module, inputs: tuple[Any, ...], count: int) -> int:
    """Return the most that lives in a step of a recurrent network on a CPU beside weights and batch, else 0.

    With numbers its kernels are others than without, and keep more. So a step of few examples is done; every
    further example takes as much. The backward kernel of an LSTM has a gradient for each gate besides.
    """
    if not any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return 0
    few, more = (min(n, count) for n in _EXAMPLES)
    try:
        low, high = (_step_of(model, inputs, n) for n in (few, more))
    except Exception:  # noqa: BLE001 - whatever a model's own code raises
        return 0
    return high + (high - low) * (count - more) // max(1, more - few)


def _step_of(model: nn.Module, inputs: tuple[Any, ...], count: int) -> int:
    gates = [0]

    def add(module: nn.Module, args: Any, output: Any) -> None:
        gates[0] += 4 * module.num_layers * output[0].nbytes if isinstance(module, nn.LSTM) else 0

    made = copy.deepcopy(model)
    for module in made.modules():
        if isinstance(module, nn.RNNBase):
            module.register_forward_hook(add)
    rows = torch.arange(count)
    with torch.random.fork_rng(devices=[]):
        step = training_step(made, trees.mapped(lambda t: t[rows % max(1, len(t))], inputs))
    return step.peak + gates[0]


def _pass(model: nn.Module, inputs: tuple[Any, ...], batches: Batches) -> int:
    """Return the most that lives at once in a forward pass over one of the batches, without a graph."""
    count = batches.batch_size
    rows = torch.arange(count)
    given = trees.mapped(lambda t: _of(t, rows), inputs)
    try:
        found = training_step(without_values(model), given, training=False, backward=False, gradients=False)
    except Exception:  # noqa: BLE001 - code that asks for values: it is a part of what a step takes
        return 0
    return found.peak + found.batch


def _of(t: Tensor, rows: Tensor) -> Tensor:
    return t.to("meta")[rows.to("meta") % max(1, len(t))]
