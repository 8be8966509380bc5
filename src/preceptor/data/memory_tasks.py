"""Made-up sequences that ask for memory: the adding problem and the copy task."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count
from preceptor.errors import ConfigError

__all__ = ["adding_problem", "copy_task"]


def adding_problem(examples: int, length: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return sequences of numbers, two of them marked, and the sum of those two.

    x[n, t] = (a number from U(0, 1), a mark), one mark in each half of the sequence; y[n] the sum of the
    marked numbers. Who always says 1 has a mean squared error of 1/6.

    Arguments:
        examples: N.
        length: T steps, at least 2.
        seed: of the draw; torch's global generator is left alone.

    Returns:
        x (N, T, 2) and y (N, 1), float32.

    Raises:
        ConfigError: a count that cannot be used.

    Example:
        >>> x, y = adding_problem(4, length=10)
        >>> x.shape, bool(((x[..., 0] * x[..., 1]).sum(1, keepdim=True) == y).all())
        (torch.Size([4, 10, 2]), True)

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory (1997).
    """
    check_count("adding problem", "examples", examples)
    check_count("adding problem", "length", length, 2)
    generator = _seeded(seed)
    numbers = torch.rand(examples, length, generator=generator)
    half = length // 2
    first = torch.randint(half, (examples,), generator=generator)
    second = torch.randint(half, length, (examples,), generator=generator)
    marks = torch.zeros(examples, length)
    every = torch.arange(examples)
    marks[every, first] = marks[every, second] = 1.0
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1, keepdim=True)


def copy_task(
    examples: int, length: int = 10, delay: int = 1, symbols: int = 8, reverse: bool = False, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return sequences to be remembered, and said again after a signal.

    Blanks are 0, symbols 1 … K, the signal K + 1, which ends the delay: an input is s₁ … s_L, delay − 1
    blanks, the signal, L blanks; its target L + delay blanks, then s₁ … s_L.

    Arguments:
        examples: N.
        length: L symbols to remember.
        delay: steps between the last symbol and the first answer, the signal among them.
        symbols: K different ones.
        reverse: the input has its symbols in reversed order, the target has not: the first answers are then
            near to what they repeat.
        seed: of the draw; torch's global generator is left alone.

    Returns:
        x and y (N, 2 · L + delay), integers; x below K + 2, y below K + 1.

    Raises:
        ConfigError: a count that cannot be used.

    Example:
        >>> x, y = copy_task(1, length=3, delay=2, symbols=4)
        >>> x[0, 3:].tolist(), bool((x[0, :3] == y[0, 5:]).all())
        ([0, 5, 0, 0, 0], True)

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory (1997); reversed: Sutskever, Vinyals and Le,
    Sequence to Sequence Learning with Neural Networks (2014).
    """
    for option, value in {
        "examples": examples, "length": length, "delay": delay, "symbols": symbols
    }.items():  # fmt: skip
        check_count("copy task", option, value)
    drawn = torch.randint(1, symbols + 1, (examples, length), generator=_seeded(seed))
    x = torch.zeros(examples, 2 * length + delay, dtype=torch.int64)
    y = x.clone()
    x[:, :length] = drawn.flip(1) if reverse else drawn
    x[:, length + delay - 1] = symbols + 1
    y[:, -length:] = drawn
    return x, y


def _seeded(seed: int) -> torch.Generator:
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ConfigError("the seed is not usable", expected="an integer", received=repr(seed))
    return torch.Generator().manual_seed(seed)
