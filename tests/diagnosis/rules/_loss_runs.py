"""Tiny trainings, watched, for the rules about losses, outputs, layers and numerics."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rules import (
    classes,
    initial,
    logarithms,
    losses,
    mismatch,
    numerics,
    outputs,
    reshapes,
    scores,
    shapes,
    softmax,
    structure,
    units,
)
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch

from ._judge import findings

FAMILIES = (
    *(classes, initial, logarithms, losses, mismatch, numerics, outputs),
    *(reshapes, scores, shapes, softmax, structure, units),
)
N = 24

Program = Callable[[], None]


def mlp(*widths: int, act: type[nn.Module] = nn.ReLU, out: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], *([] if out is None else [out]))


def inputs(columns: int = 3) -> Tensor:
    return torch.randn(N, columns)


def labels(classes: int, *shape: int) -> Tensor:
    return torch.arange(N * math.prod(shape)).reshape(N, *shape) % classes


def yes_no(x: Tensor) -> Tensor:
    return (x[:, :1] > 0).float()


def learn(
    step: Callable[[], Tensor],
    *modules: Any,
    steps: int = 4,
    lr: float = 1e-2,
    kind: Any = torch.optim.Adam,
) -> None:
    """Train ``modules`` (or loose tensors) on what ``step`` returns."""
    parameters: list[Tensor] = []
    for module in modules:
        parameters += list(module.parameters()) if isinstance(module, nn.Module) else [module]
    optimizer = kind(parameters, lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        step().backward()
        optimizer.step()


def watched(program: Program, *, seed: int = 0) -> Observed:
    torch.manual_seed(seed)
    with Watch() as watch:
        program()
    return watch.observed


def found(program: Program, *, over: bool = True) -> dict[str, Finding]:
    """Every finding of the families at hand, by its cause."""
    return findings(watched(program), *FAMILIES, over=over)


def alarms(program: Program, *, over: bool = True) -> set[str]:
    return {cause for cause, finding in found(program, over=over).items() if finding.severity != "info"}


def case(program: Program) -> Case:
    return Case(watched(program))
