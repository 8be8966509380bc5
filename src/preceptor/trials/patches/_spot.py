"""Where in a program a training is: optimizers, schedules, backward passes, loops, loaders, numbers."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from preceptor.diagnosis.finding import Finding
from preceptor.trials.change import Change
from preceptor.trials.patches._literals import literal, number_text
from preceptor.trials.patches._source import Edit, Source, Unclear, name_of, only

__all__ = ["Editor", "Spot"]

_OPTIMIZERS = (
    *("SGD", "ASGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "SparseAdam", "Adagrad", "Adadelta"),
    *("RMSprop", "Rprop", "LBFGS", "Adafactor", "Muon"),
)
_Node = TypeVar("_Node", bound=ast.expr)
_SCHEDULER = re.compile(r"^\w+LR$|^ReduceLROnPlateau$|^CosineAnnealingWarmRestarts$|^SequentialLR$")


@dataclass(frozen=True)
class Spot:
    """What an editor is given.

    Arguments:
        source: the file.
        lines: its lines that the finding names, the most important one first.
        finding: what was found.
        change: what was tried; None where the cause alone says what to do.
        file: the file's name.
    """

    source: Source
    lines: tuple[int, ...]
    finding: Finding
    change: Change | None = None
    file: str = ""

    def of(self, change: Change) -> Spot:
        """Return the same spot for another change."""
        return replace(self, change=change)

    @property
    def before(self) -> Any:
        """The value that the change takes away."""
        return self.change.before if self.change else None

    @property
    def after(self) -> Any:
        """The value that the change brings."""
        return self.change.after if self.change else None

    # By line

    def at(self, nodes: Iterable[_Node]) -> list[_Node]:
        """Return those of the nodes that stand on the first named line that has any."""
        listed = list(nodes)
        for line in self.lines:
            if found := [node for node in listed if self.source.covers(node, line)]:
                exact = [node for node in found if node.lineno == line]
                return exact or found
        return []

    def named(self, nodes: Iterable[_Node]) -> _Node:
        """Return the one of the nodes that the lines name, else the only one there is."""
        listed = list(nodes)
        return only(self.at(listed) or listed)

    def call(self, *names: str) -> ast.Call:
        """Return the call of such a function that the lines name, else the only one there is."""
        return self.named(self.source.calls(*names))

    def statement(self, node: ast.expr) -> ast.stmt:
        """Return the statement that is this call and nothing else, as ``optimizer.step()``."""
        parent = self.source.parents[node]
        if not isinstance(parent, ast.Expr):
            raise Unclear
        return parent

    # Optimizers and schedules

    @cached_property
    def optimizers(self) -> list[ast.Call]:
        """The constructions of optimizers."""
        return self.source.calls(*_OPTIMIZERS)

    @property
    def optimizer(self) -> ast.Call:
        """The optimizer's construction."""
        return self.named(self.optimizers)

    def _assigned(self, calls: Iterable[ast.Call]) -> set[str]:
        """Return what such calls are assigned to, as text."""
        names = set()
        for call in calls:
            parent = self.source.parents[call]
            if isinstance(parent, ast.Assign):
                names |= {self.source.code(target) for target in parent.targets}
        return names

    def _methods(self, name: str) -> Iterator[tuple[ast.Call, str]]:
        for call in self.source.calls(name):
            if isinstance(call.func, ast.Attribute):
                yield call, self.source.code(call.func.value)

    @cached_property
    def steps(self) -> list[ast.Call]:
        """The calls of an optimizer's step, those by way of a gradient scaler included."""
        names, schedules = self._assigned(self.optimizers), set(self.schedules)
        stepped = {
            call: self.source.code(call.args[0]) if call.args else base
            for call, base in self._methods("step")
            if call not in schedules
        }
        found = [call for call, name in stepped.items() if name in names]
        return found or [call for call, name in stepped.items() if "opt" in name.lower()]

    def stepped(self, call: ast.Call) -> str:
        """Return the optimizer that a step is one of, as text: "scaler.step(opt)" is one of "opt"."""
        base = call.args[0] if call.args else call.func.value  # type: ignore[attr-defined]  # a method call, as matched above
        if not isinstance(base, (ast.Name, ast.Attribute)):
            raise Unclear
        return self.source.code(base)

    @cached_property
    def schedules(self) -> list[ast.Call]:
        """The calls of a schedule's step."""
        made = (n for n in self.source.nodes if isinstance(n, ast.Call) and _SCHEDULER.match(name_of(n)))
        names = self._assigned(made)
        return [call for call, base in self._methods("step") if base in names or "sched" in base.lower()]

    # The loops of the training

    @property
    def backward(self) -> ast.Call:
        """The backward pass."""
        return self.call("backward")

    @property
    def step(self) -> ast.Call:
        """The step of the optimizer."""
        return self.named(self.steps)

    def batches(self, call: ast.Call) -> ast.stmt:
        """Return the loop over batches: the innermost around a backward pass or step."""
        loops = self.source.loops(call)
        if not loops:
            raise Unclear
        return loops[0]

    def beside(self, calls: Iterable[ast.Call], loop: ast.stmt) -> list[ast.Call]:
        """Return those of the calls whose innermost loop is this one."""
        return [call for call in calls if self.source.loops(call)[:1] == [loop]]

    def trains(self, node: ast.AST) -> bool:
        """Whether a backward pass is within a node."""
        return bool(self.source.calls("backward", within=node))

    @cached_property
    def models(self) -> set[str]:
        """What is treated as a module: it has parameters, a mode, or a state."""
        found = {
            base
            for method in ("parameters", "named_parameters", "eval", "train", "state_dict")
            for _, base in self._methods(method)
        }
        return {base for base in found if re.fullmatch(r"[A-Za-z_][\w.]*", base) and base != "self"}

    @property
    def trained(self) -> str:
        """The model whose parameters the optimizer holds, as text."""
        given = self.optimizer.args[:1] or [k.value for k in self.optimizer.keywords if k.arg == "params"]
        found = {
            self.source.code(call.func.value)
            for call in self.source.calls("parameters", within=only(given))
            if isinstance(call.func, ast.Attribute)
        }
        return only(name for name in found if re.fullmatch(r"[A-Za-z_][\w.]*", name))

    def known(self, name: str, node: ast.AST) -> bool:
        """Whether a name means the same where a node stands as at the top of the file."""
        if (function := self.source.function(node)) is None:
            return True
        first = name.partition(".")[0]
        arguments = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
        stored = [n for n in self.source.nodes if isinstance(n, ast.Name) and n.id == first and _binds(n)]
        return first in arguments or any(self.source.function(n) in (None, function) for n in stored)

    @property
    def torch(self) -> str:
        """How ``torch`` is called in the file."""
        if not (name := self.source.imported("torch")):
            raise Unclear
        return name

    @property
    def nn(self) -> str:
        """How ``torch.nn`` is called in the file."""
        return self.source.imported("torch.nn") or f"{self.torch}.nn"

    # Numbers

    def number(
        self, node: ast.expr, value: Callable[[float], Any], before: Any = None, *, shared: bool = False
    ) -> Edit:
        """Change the literal that a value comes from.

        Arguments:
            node: where the number is used: a literal, a constant's name, an option of the command line.
            value: the new number, given the one that stands there.
            before: what the run had; another literal is none of its.
            shared: whether a constant may have other uses, which change with it.

        Raises:
            Unclear: the value is computed, used elsewhere as well, or not what the run had.
        """
        found = literal(self.source, node, shared=shared)
        there = ast.literal_eval(found)
        if isinstance(there, bool) or not isinstance(there, (int, float)):
            raise Unclear
        given = isinstance(before, (int, float)) and not isinstance(before, bool)
        if given and not math.isclose(there, before, rel_tol=1e-3):
            raise Unclear
        return self.source.replace(found, number_text(value(there), self.source.code(found)))

    def loader(self) -> ast.Call:
        """Return the construction of the loader that the training batches come from."""
        named: list[ast.stmt] = [loop for loop in self._loops_at() if self.trains(loop)]
        loop = named[0] if named else self.batches(self.backward)
        if not isinstance(loop, ast.For):
            raise Unclear
        names = {n.id for n in ast.walk(loop.iter) if isinstance(n, ast.Name)}
        made = [
            call
            for call in self.source.calls("DataLoader")
            if self.source.inside(call, loop.iter) or names & self._assigned([call])
        ]
        return only(made)

    def _loops_at(self) -> list[ast.For]:
        return [n for n in self.source.nodes if isinstance(n, ast.For) and n.lineno in self.lines[:1]]


def _binds(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


Editor = Callable[[Spot], list[Edit]]
"""Returns the edits of one remedy, or raises `Unclear`."""
