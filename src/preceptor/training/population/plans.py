"""From changes to plans: what each member is to be, and which of them could learn in one step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from preceptor import catalogue
from preceptor.data import Prepared
from preceptor.data._pixels import subset
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, PreceptorError
from preceptor.training.bags import bag_rows
from preceptor.training.build import choose_device
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.population.members import Member, spelled_out
from preceptor.training.settings import Block

__all__ = ["Plan", "Supply", "groups", "planned", "rows_of"]

_OWN = {
    "seed",
    "name",
    "training.epochs",
    "training.patience",
    "training.min_delta",
    "training.max_grad_norm",
    "training.restore_best",
    "model.dropout",
    "loss.label_smoothing",
    "data.bag",
}
"""Settings in which members of one step may differ, beside numbers of the optimizer, and the schedule."""


@dataclass(frozen=True)
class Plan:
    """A member that is to be trained, and the training examples that it learns from; None: all."""

    member: Member
    rows: Tensor | None = None

    @property
    def experiment(self) -> Experiment:
        """Its settings."""
        return self.member.experiment


def planned(
    experiment: Experiment,
    changes: Sequence[Mapping[str, Any]],
    rows: Sequence[Tensor | None] | None,
    errors: str,
) -> list[Plan]:
    """Return a plan for each change; with ``errors="keep"`` one that is impossible says why.

    Raises:
        ConfigError: a change that is not usable, or rows that are not those of the changes.
    """
    if rows is not None and len(rows) != len(changes):
        raise ConfigError(
            "rows do not pair up with the changes",
            expected=f"{len(changes)}, one for each member; None for all examples",
            received=f"{len(rows)}",
        )
    plans = []
    for index, change in enumerate(changes):
        member = Member(index, dict(change), experiment)
        try:
            member.change = spelled_out(change)
            member.experiment = _changed(experiment, member.change)
        except PreceptorError as error:
            if errors == "raise":
                raise
            member.error = error
        plans.append(Plan(member, None if rows is None else rows[index]))
    return plans


def _changed(experiment: Experiment, change: Mapping[str, Any]) -> Experiment:
    """Return the experiment with a change; where that is a seed or a rate, not all is validated anew."""
    seed = change.get("seed", experiment.seed)
    options = {
        key.removeprefix("optimizer."): value
        for key, value in change.items()
        if key.startswith("optimizer.") and key != "optimizer.name" and type(value) in (int, float)
    }
    if len(options) + ("seed" in change) < len(change) or type(seed) is not int or not 0 <= seed < 2**32:
        return experiment.changed(change)
    block = Block(**{**experiment.optimizer.model_dump(), **options})
    return experiment.model_copy(update={"seed": seed, "optimizer": block})


def groups(plans: Iterable[Plan]) -> list[list[Plan]]:
    """Return the plans in groups whose members differ only in what one step can hold, in order.

    Example:
        >>> base = Experiment.of({"model": "mlp"})
        >>> changes = [{"lr": 0.1}, {"hidden": [8]}, {"lr": 0.2, "seed": 1}, {"optimizer": "rmsprop"}]
        >>> [[p.member.index for p in group] for group in groups(planned(base, changes, None, "raise"))]
        [[0, 2], [1], [3]]
    """
    found: dict[str, list[Plan]] = {}
    for plan in plans:
        found.setdefault(_key(plan), []).append(plan)
    return list(found.values())


def _key(plan: Plan) -> str:
    flat = plan.experiment.flat()
    kept = {key: value for key, value in flat.items() if key not in _OWN and not _is_free(key, value)}
    kept["dropout"] = bool(flat.get("model.dropout"))  # at rate 0 there is no layer
    kept["optimizer.name"] = _rule(plan.experiment.optimizer.name)
    bagged = plan.experiment.data.bag is not None
    kept["rows"] = "bag" if bagged else None if plan.rows is None else len(plan.rows)
    return json.dumps(kept, sort_keys=True, default=str)


@cache
def _rule(optimizer: str) -> tuple[Any, ...]:
    """Return what tells optimizers apart: under several names torch has one rule."""
    known = catalogue.find(optimizer, "optimizer")
    if not known:
        return (optimizer,)
    name, traits = known[0].name, known[0].traits
    own = name if name in ("nesterov", "amsgrad") else ""
    return traits.get("torch", name), traits.get("batch"), own


def _is_free(key: str, value: Any) -> bool:
    kind, _, option = key.partition(".")
    return kind == "schedule" or (kind == "optimizer" and option != "name" and not isinstance(value, bool))


_CONCERNED = {
    "task",
    "optimizer.name",
    "training.batch_size",
    "training.train_examples",
    "training.device",
}


class Supply:
    """Feeds for members: read and prepared once for all that learn from the same data.

    Arguments:
        inputs: the data.

    Attributes:
        prepared: what was prepared last; None for a user's own loaders.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.prepared: Prepared | None = None
        self._made: dict[str, tuple[Feeds, dict[str, Any]]] = {}

    def __call__(self, plan: Plan) -> tuple[Feeds, Experiment]:
        """Return a member's own feeds, and its experiment with what the data decided."""
        feeds, experiment = self.shared(plan.experiment)
        return _own(feeds, experiment.seed, rows_of(plan, feeds)), experiment

    def shared(self, experiment: Experiment) -> tuple[Feeds, Experiment]:
        """Return the feeds that all members on these data have in common, and the experiment as decided."""
        device, flat = choose_device(experiment.training.device), experiment.flat()
        whole = {**flat, "data.bag": None} if _in_memory(self.inputs.data) else flat
        concerned = {k: v for k, v in whole.items() if _concerns_data(k, flat["model.name"])}
        key = json.dumps(concerned, sort_keys=True, default=str)
        if key in self._made:
            feeds, decided = self._made[key]
        else:
            feeds, self.prepared, after = make_feeds(Experiment.of(whole), self.inputs, device)
            decided = {k: v for k, v in after.flat().items() if whole.get(k) != v}
            if type(feeds.train) is TensorBatches:  # anything else has a state of its own
                self._made[key] = feeds, decided
        if flat["name"] != "auto":
            decided = {k: v for k, v in decided.items() if k != "name"}
        return feeds, experiment.changed(decided)


def _in_memory(data: Any) -> bool:
    return isinstance(data, TensorDataset) or not isinstance(data, DataLoader | Dataset)


def rows_of(plan: Plan, feeds: Feeds) -> Tensor | None:
    """Return the training examples that a member learns from: those it was given, or its bag; None: all.

    Raises:
        ConfigError: rows that there are not, or beside a bag.
    """
    bag, train = plan.experiment.data.bag, feeds.train
    if type(train) is not TensorBatches:
        return plan.rows
    if plan.rows is not None and bag is not None:
        raise ConfigError("rows are given beside a bag", expected="one of them", received=f"data.bag={bag}")
    if bag is not None:
        return torch.from_numpy(bag_rows(plan.experiment.data, len(train.y)))
    if plan.rows is None:
        return None
    rows = torch.as_tensor(plan.rows, dtype=torch.int64).cpu()
    _check_rows(rows, len(train.y))
    return rows


def _concerns_data(key: str, model: str) -> bool:
    if key.startswith("model."):  # another library says how its networks want their inputs
        return key == "model.name" or ":" in model
    return key.startswith(("data.", "transfer.", "augmentations")) or key in _CONCERNED


def _own(feeds: Feeds, seed: int, rows: Tensor | None) -> Feeds:
    train = feeds.train
    if type(train) is not TensorBatches:
        if rows is not None:
            raise ConfigError(
                "rows name examples of data in memory",
                expected="data by name, a file or arrays",
                received=type(train).__name__,
            )
        return feeds
    x, y, size = train.x, train.y, train.batch_size
    if rows is not None:
        rows, whole = rows.to(y.device), size == len(y)
        x, y = subset(x, rows), y[rows]
        size = len(y) if whole else size
    own = TensorBatches(x, y, batch_size=size, seed=seed)
    return replace(feeds, train=own, examples=len(y))


def _check_rows(rows: Tensor, examples: int) -> None:
    if rows.ndim != 1 or not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= examples:
        raise ConfigError(
            "rows are not usable",
            expected=f"at least one place from 0 to {examples - 1} in the training part",
            received=f"shape {tuple(rows.shape)}"
            + (f", from {int(rows.min())} to {int(rows.max())}" if rows.numel() else ""),
        )
