"""Weights, gradients and moments in parts: each process holds its own, and all gather a layer to use it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from preceptor.training.distribution import Distribution
    from preceptor.training.problem import Problem
    from preceptor.training.state import State

__all__ = ["Sharded"]


class Sharded:
    """A problem whose model, gradients and moments lie in parts on the processes.

    The optimizer is handed the parts in place of the whole weights that it was made with; what it has noted
    of them is cut up likewise.

    Arguments:
        problem: with a model that is the same in all processes.
        distribution: the processes.
    """

    def __init__(self, problem: Problem, distribution: Distribution) -> None:
        self.problem = problem
        self.plain = copy.deepcopy(problem.model).to("cpu")
        model, optimizer = problem.model, problem.optimizer
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's types lack a layout alone
        names = {id(p): name for name, p in model.named_parameters()}
        mesh = init_device_mesh(distribution.device.type, (distribution.processes,))
        for unit in _units(model) if not _tied(model) else ():
            fully_shard(unit, mesh=mesh)
        fully_shard(model, mesh=mesh)
        parts = dict(model.named_parameters())
        for group in optimizer.param_groups:
            whole, group["params"] = group["params"], [parts[names[id(p)]] for p in group["params"]]
            for old, new in zip(whole, group["params"], strict=True):
                if old in optimizer.state:
                    optimizer.state[new] = _cut(optimizer.state.pop(old), new)

    def whole(self, tree: Any) -> Any:
        """Return a tree of plain data with every part gathered, on the CPU; all processes take part."""
        if isinstance(tree, DTensor):
            return tree.full_tensor().detach().cpu()
        if isinstance(tree, dict):
            return {key: self.whole(value) for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return type(tree)(self.whole(value) for value in tree)
        return tree

    def cut(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Return a snapshot with weights and moments in the parts of this process."""
        model, optimizer = self.problem.model, self.problem.optimizer
        own = model.state_dict()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        moments = {i: _cut(state, parameters[i]) for i, state in tree["optimizer"]["state"].items()}
        best = tree["best"]["weights"]
        return {
            **tree,
            "model": {name: _cut(value, own[name]) for name, value in tree["model"].items()},
            "optimizer": {**tree["optimizer"], "state": moments},
            "best": {
                **tree["best"],
                "weights": best and {name: _cut(value, own[name]) for name, value in best.items()},
            },
        }

    def gather_up(self, state: State) -> None:
        """Put the whole weights into a plain model, and into what the state keeps."""
        weights = self.whole(self.problem.model.state_dict())
        state.best_weights = state.best_weights and self.whole(state.best_weights)
        state.last_weights = state.last_weights and self.whole(state.last_weights)
        self.plain.load_state_dict(weights)
        self.problem.model = self.plain.to(self.problem.device)
        self.problem.sharded = None


def _cut(value: Any, like: Tensor) -> Any:
    """Cut what has the shape of a weight as that weight is cut; leave the rest, and look into dicts."""
    if isinstance(value, dict):
        return {key: _cut(one, like) for key, one in value.items()}
    if not isinstance(value, Tensor) or not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _units(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of a model that are gathered one at a time: its children, and those of its lists."""
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _units(child)
        elif any(True for _ in child.parameters()):
            yield child


def _tied(model: nn.Module) -> bool:
    """Say whether weights stand in several places, which can only be gathered together."""
    return len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.named_parameters()))
