"""Members that share an architecture, and how they are trained: in one step, or one after another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from preceptor.data import generators
from preceptor.errors import ConfigError, PreceptorError
from preceptor.training.build import build, choose_device
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.objects import Objects
from preceptor.training.population.alone import Alone, own_objects
from preceptor.training.population.choice import WIDEST, Make, choose
from preceptor.training.population.cohort import Cohort
from preceptor.training.population.grouped import GroupedPass, is_spatial
from preceptor.training.population.heads import Head, head_for
from preceptor.training.population.layers import chain_of
from preceptor.training.population.members import Engine, Member
from preceptor.training.population.passes import DensePass, VmappedPass, is_dense
from preceptor.training.population.plans import Plan, Supply, rows_of
from preceptor.training.population.rules import rule_for
from preceptor.training.population.seats import Orders, Seat, take_seat
from preceptor.training.population.stack import Stack
from preceptor.training.population.suits import hindrance
from preceptor.training.problem import Problem

__all__ = ["Halt", "Team", "Wishes"]


class Halt(Protocol):
    """Says whether all shall end; an interruption of one is one of all."""

    interrupted: bool

    def __call__(self) -> bool:
        """Ask."""
        ...


@dataclass(frozen=True)
class Wishes:
    """What is asked for.

    Attributes:
        engine: "auto", or one of them.
        errors: "keep" notes in a member what makes it impossible, "raise" raises it.
        keep_weights: whether predictor and weights are kept.
        measure_start: whether what is measured before the first step is noted.
    """

    engine: Engine = "auto"
    errors: str = "raise"
    keep_weights: bool = True
    measure_start: bool = False


class Team:
    """The members of one group.

    Arguments:
        plans: what they are to be.
        supply: feeds.
        objects: blocks made in code.
        wishes: how they are trained, and what is kept.
    """

    def __init__(self, plans: Sequence[Plan], supply: Supply, objects: Objects, wishes: Wishes) -> None:
        self.plans, self.supply, self.objects, self.wishes = list(plans), supply, objects, wishes
        self._cohorts: list[Cohort] = []
        self._alone: dict[int, Alone] = {}
        self._begun = False

    @property
    def training(self) -> list[Member]:
        """The members that have not ended."""
        together = [seat.plan.member for cohort in self._cohorts for seat in cohort.seats]
        return together + [one.member for one in self._alone.values()]

    def advance(self, until: int | None, halt: Halt, tell: Callable[[Member], None]) -> None:
        """Train to the end of epoch ``until``, or of training; tell of each member as it ends."""
        if not self._begun:
            for member in self._begin():
                tell(member)
        for cohort in self._cohorts:
            for seat in cohort.advance(until, halt):
                member = seat.plan.member
                halt.interrupted |= member.stop == "interrupted"
                tell(member)
        for index, one in list(self._alone.items()):
            if halt():
                one.member.stop = one.member.stop or "halted"
            elif not self._advance_one(one, until, halt):
                continue
            tell(self._alone.pop(index).member)

    def drop(self, indices: Collection[int], stop: str) -> list[Member]:
        """End some members; return them."""
        wanted = set(indices)
        found = []
        for cohort in self._cohorts:
            places = [at for at, seat in enumerate(cohort.seats) if seat.plan.member.index in wanted]
            found += [seat.plan.member for seat in (cohort.end(places, stop) if places else ())]
        alone = [self._alone.pop(index).member for index in list(self._alone) if index in wanted]
        for member in alone:
            member.stop = stop
        return found + alone

    def _advance_one(self, one: Alone, until: int | None, halt: Halt) -> bool:
        try:
            over = one.advance(until, halt)
        except PreceptorError as error:
            if self.wishes.errors == "raise":
                raise
            one.member.error = error
            return True
        halt.interrupted |= one.member.stop == "interrupted"
        return over

    def _begin(self) -> list[Member]:
        """Decide how they are trained; return the members that cannot be."""
        self._begun = True
        if self.wishes.engine == "sequential":
            return self._go_alone("as was asked for")
        if self.wishes.engine == "auto" and len(self.plans) == 1:
            return self._go_alone("there is no other of this architecture")
        failed: list[Member] = []
        built = self._build(failed)
        if built is None:
            return failed
        problem, decided, feeds = built
        reason = hindrance(problem, decided, self.objects)
        if reason is not None:
            self._refuse(reason)
            return failed + self._go_alone(reason)
        with generators.seeded(0):
            seats = self._seats(problem, decided, feeds, failed)
        if seats:
            self._settle(problem, seats, feeds)
        return failed

    def _go_alone(self, why: str) -> list[Member]:
        for plan in self.plans:
            plan.member.why = why
            self._alone[plan.member.index] = Alone(
                plan,
                self.supply,
                self.objects,
                keep_weights=self.wishes.keep_weights,
                measure_start=self.wishes.measure_start,
            )
        return []

    def _refuse(self, reason: str) -> None:
        if self.wishes.engine != "auto":
            raise ConfigError(
                f"these members cannot be trained in one step: {reason}",
                expected='engine="sequential", which trains anything, or "auto"',
                received=f"engine={self.wishes.engine!r}",
            )

    def _build(self, failed: list[Member]) -> tuple[Problem, Experiment, Feeds] | None:
        """Build the first member that can be; note the others as failed."""
        for plan in list(self.plans):
            try:
                feeds, experiment = self.supply.shared(plan.experiment)
                with generators.seeded(experiment.seed):
                    device = choose_device(experiment.training.device)
                    problem, decided = build(experiment, feeds, own_objects(self.objects), device)
            except PreceptorError as error:
                self._fail(plan, error, failed)
            else:
                return problem, decided, feeds
        return None

    def _fail(self, plan: Plan, error: PreceptorError, failed: list[Member]) -> None:
        if self.wishes.errors == "raise":
            raise error
        plan.member.error = error
        failed.append(plan.member)
        self.plans.remove(plan)

    def _seats(self, problem: Problem, decided: Experiment, feeds: Feeds, failed: list[Member]) -> list[Seat]:
        seats = []
        for plan in list(self.plans):
            try:
                examples, batch = _sizes(rows_of(plan, feeds), feeds)
                steps = -(-examples // batch)
                seats.append(take_seat(plan, problem, decided, feeds, self.objects, steps=steps))
            except PreceptorError as error:
                self._fail(plan, error, failed)
        return seats

    def _settle(self, problem: Problem, seats: list[Seat], feeds: Feeds) -> None:
        """Choose the engine, and make what trains them."""
        ways = _ways(problem, feeds)
        if self.wishes.engine == "auto":
            if "batched" in ways:  # which is never slower
                del ways["vmapped"]
            choice = choose(problem, seats, ways)
            engine, width, why = choice.engine, choice.width, choice.why
        else:
            engine, width, why = self.wishes.engine, WIDEST, "as was asked for"
            self._try(engine, ways, seats, problem)
        if engine == "sequential":
            self._go_alone(why)
            return
        for start in range(0, len(seats), width):
            part = seats[start : start + width]
            self._cohorts.append(self._cohort(part, problem, feeds, ways[engine], why))

    def _cohort(self, seats: list[Seat], problem: Problem, feeds: Feeds, make: Make, why: str) -> Cohort:
        rows = [rows_of(seat.plan, feeds) for seat in seats]
        examples, batch = _sizes(rows[0], feeds)
        seeds = [seat.experiment.seed for seat in seats]
        orders = Orders(seeds, rows, examples, batch, problem.device)
        passes = make(seats)
        rule = rule_for([seat.optimizer for seat in seats], passes.stack.rows)
        cohort = Cohort(seats, problem, passes, rule, orders, why=why, keep_weights=self.wishes.keep_weights)
        if self.wishes.measure_start:
            cohort.measure_start()
        return cohort

    def _try(self, engine: str, ways: Mapping[str, Make], seats: Sequence[Seat], problem: Problem) -> None:
        """Refuse an engine that was asked for where it cannot follow the network."""
        if engine not in ways:
            self._refuse("the network is no chain of layers that have kernels over all members")
        before, few = generators.capture(), seats[:2]
        x, y = problem.train.x[:2], problem.train.y[:2]  # type: ignore[attr-defined]  # teams are of data in memory
        try:
            with torch.no_grad():
                ways[engine](few).gradient(
                    x.expand(len(few), *x.shape).contiguous(), y.expand(len(few), *y.shape)
                )
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            self._refuse(f"torch.func.vmap cannot follow the network: {str(error).partition(chr(10))[0]}")
        finally:
            generators.restore(before)


def _sizes(rows: Tensor | None, feeds: Feeds) -> tuple[int, int]:
    """Return how many examples a member learns from, and how many to a step."""
    there, batch = len(feeds.train.y), feeds.train.batch_size  # type: ignore[attr-defined]  # teams are of data in memory
    examples = there if rows is None else len(rows)
    return examples, examples if batch >= there else min(batch, examples)


def _ways(problem: Problem, feeds: Feeds) -> dict[str, Make]:
    """Return by engine what makes the pass of some members."""
    chain = chain_of(problem.model) or []
    shape = feeds.signature.input_shape

    def parts(seats: Sequence[Seat]) -> tuple[Stack, Head, dict[str, Tensor]]:
        rates = {
            name: torch.tensor([_rate(seat.model, name) for seat in seats], device=problem.device)
            for name, module in problem.model.named_modules()
            if type(module) is nn.Dropout
        }
        head = head_for(problem, [seat.criterion for seat in seats])
        return Stack([seat.model for seat in seats]), head, rates

    ways: dict[str, Make] = {"vmapped": lambda seats: VmappedPass(*parts(seats), problem.model)}
    if is_dense(chain, shape):
        ways["batched"] = lambda seats: DensePass(*parts(seats), chain)
    elif is_spatial(chain, shape):
        ways["batched"] = lambda seats: GroupedPass(*parts(seats), chain)
    return ways


def _rate(model: nn.Module, name: str) -> float:
    return float(model.get_submodule(name).p)  # type: ignore[arg-type]  # a dropout layer
