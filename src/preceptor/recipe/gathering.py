"""From a training that is about to begin, or from a network, a loss and some batches, to what is checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from preceptor.data import generators
from preceptor.data.batches import Batches
from preceptor.errors import DataError
from preceptor.recipe import _trees as trees
from preceptor.recipe.subject import LEAST_HELD_OUT, Subject
from preceptor.training.problem import Problem

__all__ = ["gathered", "kept", "of_problem", "of_program"]

_TRAIN, _HELD_OUT = 4000, 512
_BYTES = 64 << 20
_SECONDS = 3.0  # of drawing: a slow loader need not be drawn dry
_SHARE = 0.25  # of examples in one piece that are held out


def of_problem(
    problem: Problem, *, seed: int, seconds: float, rebuild: Callable[[], nn.Module] | None = None
) -> Subject:
    """Return what is checked of a training: its network as it begins, its loss, its examples.

    Examples are those of the first batches, as evaluation sees them: not varied. Batches are left where they
    were. Regularizers, averages and half precision stay out: what is checked is the network and its loss.

    Raises:
        DataError: there are no examples.
    """
    with kept(problem.train, problem.val), generators.seeded(seed):
        x, y = _seen(problem, problem.train, _TRAIN)
        held_out = None if problem.val is None else _seen(problem, problem.val, _HELD_OUT)
    return Subject(
        problem.model,
        problem.judge,
        x,
        y,
        held_out=held_out,
        batch_size=problem.train.batch_size,
        rebuild=rebuild,
        seed=seed,
        seconds=seconds,
    )


def _seen(problem: Problem, batches: Batches, count: int) -> tuple[Any, Any]:
    x, y = gathered(batches.epoch(), count)
    if problem.augment is None:
        return x, y
    mode = problem.augment.training
    with torch.no_grad():
        x = problem.augment.eval().forward(x)
    problem.augment.train(mode)
    return trees.rows(x, slice(0, trees.size(y))), y


@contextmanager
def kept(*several: Batches | None) -> Iterator[None]:
    """Put the generators of batches back where they were."""
    before = [(batches, batches.state_dict()) for batches in several if batches is not None]
    try:
        yield
    finally:
        for batches, state in before:
            batches.load_state_dict(state, again=False)


def gathered(batches: Iterable[Any], count: int) -> tuple[Any, Any]:
    """Return the first examples of some batches as one batch; of several shapes those that go together.

    Raises:
        DataError: there is no batch of inputs and targets.

    Example:
        >>> x, y = gathered([(torch.zeros(4, 2), torch.zeros(4)), (torch.ones(4, 2), torch.ones(4))], 6)
        >>> tuple(x.shape), y.tolist()
        ((6, 2), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    """
    found: list[tuple[Any, Any]] = []
    examples = taken = 0
    until = monotonic() + _SECONDS
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise DataError(
                "a batch is not a pair",
                expected="(inputs, targets), examples along the first axis of both",
                received=type(batch).__name__,
                hint="of a loader with another order: check(model, loss, ((x, y) for … in loader))",
            )
        x, y = _as_tensors(batch[0]), _as_tensors(batch[1])
        if found and not _go_together(found[0], (x, y)):
            continue
        found.append((x, y))
        examples, taken = examples + trees.size(x), taken + trees.volume((x, y))
        if examples >= count or taken > _BYTES or monotonic() > until:
            break
    if not examples:
        raise DataError("there is nothing to check with", expected="at least one batch", received="none")
    x, y = (trees.joined([pair[i] for pair in found]) for i in (0, 1))
    return trees.rows(x, slice(0, count)), trees.rows(y, slice(0, count))


def _as_tensors(value: Any) -> Any:
    """Return arrays as tensors."""
    if isinstance(value, Tensor | dict | tuple | list) or not hasattr(value, "__array__"):
        return value
    return torch.as_tensor(value)


def _go_together(first: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    shapes = [[t.shape[1:] for t in trees.tensors(pair)] for pair in (first, other)]
    return shapes[0] == shapes[1]


def of_program(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], batch: Any, *, held_out: Any = None, seed: int = 0,
    seconds: float = 25.0, rebuild: Callable[[], nn.Module] | None = None,
) -> Subject:  # fmt: skip
    """Return what is checked of a program of one's own.

    Arguments:
        model: as it would begin to train.
        loss: of (outputs, targets).
        batch: ``(x, y)``, a DataLoader, a Dataset, or anything that yields such pairs.
        held_out: the same, of other examples; default: a quarter of those in ``batch``, if there are enough.
        seed: of everything that is drawn.
        seconds: what all checks together may take.
        rebuild: makes the model anew.

    Raises:
        DataError: no batch of inputs and targets.
    """
    with generators.seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = gathered(_batches(batch), _TRAIN + _HELD_OUT)
        others = None if held_out is None else gathered(_batches(held_out), _HELD_OUT)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x, y, others = (trees.mapped(lambda t: t.to(device), part) for part in (x, y, others))
    count = trees.size(x)
    apart = min(_HELD_OUT, int(_SHARE * count))
    if others is None and apart >= LEAST_HELD_OUT:
        cut = slice(count - apart, count)
        others = trees.rows(x, cut), trees.rows(y, cut)
        x, y = trees.rows(x, slice(0, count - apart)), trees.rows(y, slice(0, count - apart))
    size = batch.batch_size if isinstance(batch, DataLoader) else None
    return Subject(
        model, loss, x, y, held_out=others, batch_size=size, rebuild=rebuild, seed=seed, seconds=seconds
    )


def _batches(given: Any) -> Iterable[Any]:
    if isinstance(given, DataLoader):
        return given
    if isinstance(given, Dataset):
        return DataLoader(given, batch_size=64)
    if isinstance(given, tuple | list) and len(given) == 2 and not _is_pair(given[0]):
        return [given]
    if isinstance(given, Iterable):
        return given
    raise DataError(
        "this is no batch",
        expected="(x, y), a DataLoader, a Dataset, or what yields such pairs",
        received=type(given).__name__,
    )


def _is_pair(value: Any) -> bool:
    """Whether a value is a batch itself, rather than its inputs."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, Tensor) for v in value)
