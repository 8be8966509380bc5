"""What a member of a population has learned, as it was after the last step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.errors import ModelError
from preceptor.run import Population
from preceptor.training.population import Member

__all__ = ["at_the_end", "last_weights", "training_part"]


def last_weights(member: Member) -> dict[str, Tensor]:
    """Return the weights after the last step.

    Raises:
        ModelError: they were not kept.
    """
    if member.last_weights is None:
        raise ModelError("no weights", expected="a member that was trained", received=member.status)
    return member.last_weights


def at_the_end(member: Member) -> nn.Sequential:
    """Return the network, a chain of layers, with the weights after the last step.

    Raises:
        ModelError: it was not kept, or is no chain.
    """
    weights = last_weights(member)
    if not isinstance(member.model, nn.Sequential):
        raise ModelError("no chain of layers", expected="nn.Sequential", received=type(member.model).__name__)
    member.model.load_state_dict(weights)
    return member.model


def training_part(population: Population) -> tuple[Tensor, Tensor]:
    """Return the examples that a population was prepared to train on, x (N, …) and y (N,).

    Raises:
        ModelError: it had loaders of its own.
    """
    prepared = population.supply.prepared
    if prepared is None:
        raise ModelError("no training part", expected="data in memory", received="loaders")
    return torch.as_tensor(prepared.train.x).float(), torch.as_tensor(prepared.train.y)
