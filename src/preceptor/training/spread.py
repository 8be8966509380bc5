"""A problem spread over processes: its batches shared, its gradients averaged or its weights cut up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from preceptor.catalogue.regularizers import StochasticDepth
from preceptor.data import generators
from preceptor.errors import ConfigError
from preceptor.tasks import Task
from preceptor.training.checkpoints import Checkpoints
from preceptor.training.distribution import Distribution, size
from preceptor.training.experiment import Experiment
from preceptor.training.features import FeatureBatches
from preceptor.training.problem import Problem
from preceptor.training.shares import share
from preceptor.training.state import State

__all__ = ["SharedCheckpoints", "gather_up", "refuse_apart", "refuse_spread", "spread"]


def spread(problem: Problem, shard: str | None, seed: int) -> None:
    """Spread a problem over its processes, in place; all of them hold the same one.

    Arguments:
        problem: as built for one process, with the batches of all of them together; one alone stays as it is.
        shard: ``"fully"``: weights, gradients and moments lie in parts on the processes; None: whole.
        seed: of the order of loaders without a generator of their own.

    Raises:
        ConfigError: a stream, which they cannot share, or fewer examples to a batch than processes.
    """
    task, distribution = problem.task, problem.distribution
    if distribution is None:
        return
    counted = None if type(task).counted is Task.counted else task.counted
    problem.train = share(
        problem.train, distribution.rank, distribution.processes, counted=counted, seed=seed
    )
    if shard == "fully":
        from preceptor.training.sharding import Sharded  # its imports take a second

        problem.sharded = Sharded(problem, distribution)
    else:
        gpu = distribution.device.type == "cuda"
        problem.compiled = DistributedDataParallel(
            problem.compiled or problem.model,
            device_ids=[distribution.device.index] if gpu else None,
            find_unused_parameters=_skips(problem),
        )
    distribution.apart()


def _skips(problem: Problem) -> bool:
    """Say whether a step may leave parameters out: those of branches that are dropped."""
    parts = problem.regularization.parts if problem.regularization else ()
    random = any(isinstance(part, StochasticDepth) for part in parts)
    return random or any("Fractal" in type(module).__name__ for module in problem.model.modules())


def refuse_apart(experiment: Experiment, *, attend: bool, members: bool) -> None:
    """Refuse what asks for other trainings beside this one, or what each process would decide for itself.

    Raises:
        ConfigError: one of them is asked for.
    """
    settings, processes = experiment.training, size()
    if settings.shard == "fully" and processes < 2:
        raise ConfigError(
            "there is one process, and nothing to cut up",
            expected="several: torchrun --nproc-per-node 2 -m preceptor train …",
            received="--shard fully",
        )
    if processes < 2:
        return
    asked = {"attend": attend, "members": members, "precision=auto": settings.precision == "auto"}
    for name, given in asked.items():
        if given:
            raise ConfigError(
                f"{name} is for one process",
                expected="one training, whose settings are decided before it begins",
                received=f"{name} under torchrun, in {processes} processes",
                hint="run it in one process first, and take over what it found",
            )


def refuse_spread(problem: Problem, shard: str | None) -> None:
    """Refuse what several processes cannot do together; the message says why.

    Raises:
        ConfigError: the problem has it.
    """
    if problem.distribution is None:
        return
    parts = problem.regularization.parts if problem.regularization else []
    thaws = problem.transfer is not None and problem.transfer.freezing is not None
    whole = shard == "fully"
    reasons = {
        "an optimizer that evaluates the loss itself asks for it a number of times that others do not know":
            problem.needs_closure,
        "features that are computed once go by the network that the processes share":
            isinstance(problem.train, FeatureBatches),
        "a state that is carried along a text belongs to whole batches": problem.carried is not None,
        "noise on gradients would differ in each process, and part their weights":
            bool(problem.regularization and problem.regularization.acts("gradients")),
        "layers that learn later are not among the gradients that the processes average": thaws,
        "regularizers and averages hold whole weights, which no process has": whole and bool(parts),
        "fp16 scales the loss by what one process sees": whole and problem.scaler is not None,
        "a compiled network was fused before its weights are cut up": whole and problem.compiled is not None,
    }  # fmt: skip
    for reason, applies in reasons.items():
        if applies:
            raise ConfigError(
                f"several processes cannot do this: {reason}",
                expected="one process, or a training without it",
                received="torchrun" + (" with --shard fully" if whole else ""),
            )


class SharedCheckpoints(Checkpoints):
    """Checkpoints that all processes make together, and the first one writes.

    Arguments:
        distribution: the processes.
        problem: of this process.
        writer: what the first process writes with; others have none.
        path: the file, which all can read.
    """

    def __init__(
        self, distribution: Distribution, problem: Problem, writer: Checkpoints | None, path: Path
    ) -> None:
        super().__init__(path, seconds=None)
        self.distribution, self.problem, self.writer = distribution, problem, writer
        self.notes = self.notes if writer is None else writer.notes
        distribution.writer = writer

    def due(self, step: int) -> bool:
        """Say whether a checkpoint is written after this step, as all agreed when it was taken."""
        due, self.distribution.save_now = self.distribution.save_now, False
        return due

    def save(self, snapshot: dict[str, Any]) -> None:
        """Bring together what lies apart, and write it."""
        if self.problem.sharded is not None:
            snapshot = self.problem.sharded.whole(snapshot)
        ranks = self.distribution.gathered(_packed(snapshot["generators"]))
        if self.writer is not None:
            self.writer.save({**snapshot, "ranks": ranks})

    def load(self) -> dict[str, Any]:
        """Read the latest snapshot as this process goes on from it."""
        tree = super().load() if self.writer is None else self.writer.load()
        ranks, number = tree.pop("ranks", []), self.distribution.rank
        if 0 < number < len(ranks):
            tree["generators"] = _unpacked(ranks[number])
        elif number:
            self.distribution.apart()
            tree["generators"] = generators.capture()
        return tree if self.problem.sharded is None else self.problem.sharded.cut(tree)


_ROOM = 1 << 17  # bytes for the state of a process's generators, three times what it takes


def _packed(state: Mapping[str, Any]) -> Tensor:
    """Return the state of the generators as bytes of a fixed number, the same in all processes."""
    text = json.dumps(_plain(state)).encode()
    packed = torch.zeros(_ROOM, dtype=torch.uint8)
    packed[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    return packed


def _unpacked(packed: Tensor) -> dict[str, Any]:
    text = bytes(packed.tolist()).rstrip(b"\0")
    state: dict[str, Any] = _tensors(json.loads(text))
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).rpartition(".")[2]}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _tensors(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"tensor", "dtype"}:
            return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
        return {key: _tensors(one) for key, one in value.items()}
    return [_tensors(one) for one in value] if isinstance(value, list) else value


def gather_up(problem: Problem, state: State) -> None:
    """After the last step: give each process the whole network, as one process would have it."""
    if problem.sharded is not None:
        problem.sharded.gather_up(state)
    problem.compiled = None
