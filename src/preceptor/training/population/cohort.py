"""Members that learn in one step: the loop over all of them, which reads as that of one training."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor

from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.training.population.alone import predictor_of
from preceptor.training.population.measures import evaluate_members
from preceptor.training.population.passes import Pass
from preceptor.training.population.rules import Columns, Rule
from preceptor.training.population.seats import Orders, Seat
from preceptor.training.problem import Problem

__all__ = ["Cohort"]

_TINY = 1e-6  # what torch's clip_grad_norm_ adds to the norm


class Cohort:
    """Members that are trained together, until each has ended by its own rules.

    Arguments:
        seats: of the members.
        problem: what they share: data, task, what is monitored.
        passes: forward and backward over all of them.
        rule: their optimizer.
        orders: in which they see the examples.
        why: how this engine came to be chosen.
        keep_weights: whether predictor and weights are kept of those that have ended.
    """

    def __init__(
        self,
        seats: Sequence[Seat],
        problem: Problem,
        passes: Pass,
        rule: Rule,
        orders: Orders,
        *,
        why: str,
        keep_weights: bool = True,
    ) -> None:
        self.seats, self.problem, self.passes, self.rule, self.orders = (
            list(seats), problem, passes, rule, orders,
        )  # fmt: skip
        self.keep_weights, self.epoch = keep_weights, 0
        self._data = cast(TensorBatches, problem.train)
        self._sign = 1.0 if problem.mode == "min" else -1.0
        self._best = passes.stack.copy()
        self._waited = [0] * len(seats)
        self._random: dict[str, Any] | None = None
        self._limits = self._columns_of_limits()
        for seat in seats:
            member = seat.plan.member
            member.experiment, member.engine, member.why = seat.experiment, passes.engine, why
            member.monitor, member.mode = problem.monitor, problem.mode

    def advance(self, until: int | None, halt: Callable[[], bool]) -> list[Seat]:
        """Train to the end of epoch ``until``, or of training; return the seats that have ended."""
        ended: list[Seat] = []
        settings = self.seats[0].experiment
        with (
            generators.seeded(settings.seed),
            generators.deterministic(settings.training.deterministic),
        ):
            if self._random is not None:
                generators.restore(self._random)
            try:
                while self.seats and (until is None or self.epoch < until):
                    ended += self._run_epoch()
                    if self.seats and halt():
                        ended += self.end(range(len(self.seats)), "halted")
            except KeyboardInterrupt:
                ended += self.end(range(len(self.seats)), "interrupted")
            self._random = generators.capture()
        return ended

    def end(self, places: Collection[int], stop: str | None) -> list[Seat]:
        """End some members, by their places among those that still train; return their seats."""
        ended = [self.seats[place] for place in places]
        for place in places:
            self._note_end(place, stop)
        stay = [place for place in range(len(self.seats)) if place not in set(places)]
        self._keep(stay)
        return ended

    def _run_epoch(self) -> list[Seat]:
        began = perf_counter()
        losses, clipped, rates = self._steps()
        self.epoch += 1
        finite = losses.isfinite()
        healthy = finite.all(0)
        rows = self._measure(losses, clipped, rates)
        self._improve([row.get(self.problem.monitor, math.nan) for row in rows], healthy)
        seconds = (perf_counter() - began) / len(self.seats)
        counts = torch.where(healthy, len(losses), finite.long().argmin(0) + 1).tolist()
        for seat, row, well, steps in zip(self.seats, rows, healthy.tolist(), counts, strict=True):
            member = seat.plan.member
            member.seconds += seconds
            member.steps += steps
            if well:
                member.history.rows.append({**row, "seconds": seconds})
        return self._end_by_rules(healthy.tolist())

    def _steps(self) -> tuple[Tensor, Tensor | None, Tensor]:
        """Take the steps of an epoch; return losses (S, M), what was clipped, and rates (S, M)."""
        places = self.orders.epoch()
        first = self.epoch * len(places)
        rates = torch.tensor([seat.rates(first, len(places)) for seat in self.seats], dtype=torch.float64).T
        plans = self.rule.plan(rates, self.passes.stack.rows[0])
        losses = []
        clipped: list[Tensor] = []
        with torch.no_grad():
            for where, now in zip(places, plans, strict=True):
                losses.append(self._step(where, now, clipped))
        return (
            torch.stack(losses).double().cpu(),
            torch.stack(clipped).double().mean(0).cpu() if clipped else None,
            rates,
        )

    def _step(self, where: Tensor, now: Columns, clipped: list[Tensor]) -> Tensor:
        data, flat = self._data, where.reshape(-1)
        x = data.x.index_select(0, flat).unflatten(0, where.shape)
        y = data.y.index_select(0, flat).unflatten(0, where.shape)
        loss = self.passes.gradient(x, y)
        stack = self.passes.stack
        if self._limits is not None:
            squares = torch.stack([slope.square().sum(1) for slope in stack.slopes])
            norms = squares.sum(0).sqrt().unsqueeze(1)
            factor = (self._limits / (norms + _TINY)).clamp_(max=1.0)
            for slope in stack.slopes:
                slope.mul_(factor)
            clipped.append((norms > self._limits).squeeze(1))
        self.rule.update(stack.rows, stack.slopes, now)
        return loss

    def _columns_of_limits(self) -> Tensor | None:
        limits = [seat.experiment.training.max_grad_norm for seat in self.seats]
        if not any(limits):
            return None
        return torch.tensor([[limit or math.inf] for limit in limits], device=self.passes.stack.device)

    def _measure(self, losses: Tensor, clipped: Tensor | None, rates: Tensor) -> list[dict[str, Any]]:
        """Return each member's row of the epoch."""
        count = self.orders.examples
        sizes = torch.full((len(losses),), float(self.orders.batch), dtype=torch.float64)
        sizes[-1] = count - self.orders.batch * (len(losses) - 1)
        table: dict[str, list[Any]] = {
            "train_loss_running": ((losses * sizes[:, None]).sum(0) / count).tolist(),
            **self._parts(),
        }
        if clipped is not None:
            table["clipped"] = [
                share if seat.experiment.training.max_grad_norm else None
                for share, seat in zip(clipped.tolist(), self.seats, strict=True)
            ]
        table["lr"] = rates[-1].tolist()
        rows = []
        for values in zip(*table.values(), strict=True):
            row = {"epoch": self.epoch, **dict(zip(table, values, strict=True))}
            if row.get("clipped", 0.0) is None:
                del row["clipped"]
            rows.append(row)
        return rows

    def _parts(self) -> dict[str, list[float]]:
        """Measure all members on what is held for it."""
        problem = self.problem
        found: dict[str, list[float]] = {}
        for part, batches in (("train", problem.probe), ("val", problem.val)):
            if batches is not None:
                measured = evaluate_members(self.passes, problem.task.meters(), batches)
                found |= {f"{part}_{name}": values for name, values in measured.items()}
        return found

    def measure_start(self) -> None:
        """Note what is measured before the first step."""
        for name, values in self._parts().items():
            for seat, value in zip(self.seats, values, strict=True):
                seat.plan.member.start[name] = value

    def _improve(self, values: Sequence[float], healthy: Tensor) -> None:
        """Keep the weights of members that are better than before, and count how long the others wait."""
        better = []
        for place, (seat, value, well) in enumerate(zip(self.seats, values, healthy.tolist(), strict=True)):
            member, settings = seat.plan.member, seat.experiment.training
            if not well:
                continue
            self._waited[place] += 1
            if seat.when == "metric" and seat.scheduler is not None:
                seat.scheduler.step(value)
            if not math.isfinite(value):
                continue
            least = math.inf if member.best is None else self._sign * member.best - settings.min_delta
            if self._sign * value < least:
                member.best, member.best_epoch, self._waited[place] = value, self.epoch, 0
                better.append(place)
        if better:
            self._best.take(self.passes.stack, torch.tensor(better, device=self._best.device))

    def _end_by_rules(self, healthy: Sequence[bool]) -> list[Seat]:
        stops: dict[int, str | None] = {}
        for place, (seat, well) in enumerate(zip(self.seats, healthy, strict=True)):
            settings = seat.experiment.training
            if not well:
                stops[place] = "diverged"
            elif settings.patience is not None and self._waited[place] >= settings.patience:
                stops[place] = "early stopping"
            elif self.epoch >= settings.epochs:
                stops[place] = None
        for place, stop in stops.items():
            self._note_end(place, stop)
        ended = [self.seats[place] for place in stops]
        if ended:
            self._keep([place for place in range(len(self.seats)) if place not in stops])
        return ended

    def _note_end(self, place: int, stop: str | None) -> None:
        seat, stack = self.seats[place], self.passes.stack
        member = seat.plan.member
        member.stop = stop
        if not self.keep_weights:
            return
        model = seat.model
        stack.write_to(model, place)
        member.last_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        member.weights = member.last_weights
        if member.best_epoch is not None and seat.experiment.training.restore_best:
            self._best.write_to(model, place)
            member.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.train()
        member.predictor = predictor_of(self.problem, model=model, criterion=seat.criterion)

    def _keep(self, stay: Sequence[int]) -> None:
        """Go on with some of the members."""
        self.seats = [self.seats[place] for place in stay]
        self._waited = [self._waited[place] for place in stay]
        if not stay:
            return
        rows = torch.tensor(stay, device=self._best.device)
        self._best.keep(rows)
        self.passes.stack.keep(rows)
        self.passes.keep(rows)
        self.rule.keep(rows)
        self.orders.keep(stay)
        self._limits = self._columns_of_limits()
