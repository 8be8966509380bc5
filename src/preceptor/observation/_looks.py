"""Looking closely at a step: which probes see what, and when the graph is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from preceptor.observation._names import Names
from preceptor.observation.capture import Capture
from preceptor.observation.governor import Governor
from preceptor.observation.graph import Graph
from preceptor.observation.kept import Kept
from preceptor.observation.look import Look, Probe, Source
from preceptor.observation.record import Record

__all__ = ["Looks"]

_CALLS = 4  # outermost calls that one look follows: a step that accumulates has many
_GRAPHS = 3
_EARLY_GRAPH = 2
_FREE = 40  # batches and losses of evaluations that are looked at whatever it takes
_FREE_PASSES = frozenset(
    (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
)  # spread, so that short runs are seen to their end
_EVALUATION_SECONDS = 2e-4
_OPTIMIZER_STEPS = 8  # a look lasts until each optimizer has stepped, and no longer than this


class Looks:
    """The look that is under way, if any, and the graphs of steps that were recorded.

    Arguments:
        complain: takes the name of a probe and its error.
        memory: bytes that recorded graphs may keep alive.
        kept: takes the steps that trials run anew; None where none are wanted.
    """

    def __init__(
        self,
        record: Record,
        names: Names,
        probes: Sequence[Probe],
        governor: Governor,
        *,
        memory: int,
        complain: Callable[[str, Exception], None],
        kept: Kept | None = None,
    ) -> None:
        self.record, self.names, self.probes, self.governor = record, names, probes, governor
        self.graphs: dict[int, Graph] = {}
        self.look: Look | None = None
        self.capture: Capture | None = None
        self._memory, self._complain = memory, complain
        self.kept = kept
        self._began = 0.0
        self._calls = 0
        self._seconds = 0.0
        self._stepped: dict[int, int] = {}
        self._awaited = 1
        self._free = _FREE
        self._passes = 0
        self._passing = False
        self._next_graph = _EARLY_GRAPH
        self._graph_seconds = 0.0
        self._capture_step = 0
        self._passing = False  # the graph is for trials alone
        self._silent = False  # and so is the look
        self.evaluation: Look | None = None

    # ------------------------------------------------------------------ training steps

    def begin(self, step: int, optimizers: int) -> None:
        """A step is about to begin; ``optimizers`` is how many have been stepping of late."""
        if self.look is not None:
            return
        graph = step >= self._next_graph and (
            step <= _EARLY_GRAPH or self.governor.affords(self._graph_seconds)
        )
        keep = self._keeps(step)
        due = step >= self.governor.next and self.governor.due(step)
        if not (due or graph or keep):
            return
        self._silent = not (due or graph)  # looks for trials alone must not change what a diagnosis sees
        self._awaited = max(1, optimizers)
        self._stepped, self._calls, self._seconds = {}, 0, 0.0
        self.look = Look(step, "train", self.record, names=self.names, closer=self.governor.closer)
        self._tell("begin")
        if graph or step == 0 or keep:
            self._start_capture(step, passing=not (graph or step == 0))

    def _keeps(self, step: int) -> bool:
        if self.kept is None:
            return False
        self._began = self._began or time.perf_counter()
        return self.kept.wants(step, time.perf_counter() - self._began)

    @property
    def wanted(self) -> bool:
        """Whether calls of modules within an outermost one are to be told."""
        return self.look is not None and not self._silent and self._calls < _CALLS

    def inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any], source: Source) -> None:
        """The outermost module is called with these."""
        self._calls += 1
        if self.look is not None:
            self.look.source = source
        self._tell("inputs", args, kwargs)

    def enters(self, module: Any, *, training: bool) -> None:
        """An outermost module is called."""
        if training:
            self._tell("enters", module)
        else:
            self._tell_aside("enters", module)

    def leaves(self, module: Any) -> None:
        """It has returned, in an evaluation."""
        self._tell_aside("leaves", module)

    def module(self, module: Any, args: tuple[Any, ...], output: Any) -> None:
        """A module has returned."""
        self._tell("module", self.names.module(module), module, args, output)

    def loss(self, function: str, arguments: dict[str, Any], result: Any, where: str) -> None:
        """A loss function has returned."""
        self._tell("loss", function, arguments, result, where)

    def before_backward(self) -> None:
        """A backward pass begins."""
        self._tell("before_backward")

    def after_backward(self) -> None:
        """It has ended."""
        self._tell("after_backward")

    def before_step(self, optimizer: Any, args: Any = (), kwargs: Any = None) -> Any:
        """An optimizer begins to step; return the arguments to step with where they are to be others."""
        self._tell("before_step", optimizer)
        if self.kept is not None:
            self.kept.meets(optimizer)
        return None if self.capture is None else self.capture.before_step(optimizer, args, kwargs or {})

    def after_step(self, optimizer: Any) -> bool:
        """It has stepped; return whether that ended the look."""
        if self.look is None:
            return False
        if self.capture is not None:
            self.capture.after_step(optimizer, (), {})
        self._tell("after_step", optimizer)
        self._stepped[id(optimizer)] = self._stepped.get(id(optimizer), 0) + 1
        if len(self._stepped) < self._awaited and sum(self._stepped.values()) < _OPTIMIZER_STEPS:
            return False
        silent = self._silent
        self.end()
        return not silent

    def end(self) -> None:
        """The look is over: fetch what was measured."""
        look = self.look
        if look is None:
            return
        self.end_capture()
        if self._silent:
            self.look, self._silent = None, False
            return
        started = time.perf_counter()
        self._tell("end")
        with self._aside():
            look.finish()
        self.look = None
        self._seconds += time.perf_counter() - started
        self.governor.looked(self._seconds)
        self.record.add("look_seconds", look.step, self._seconds)

    # ------------------------------------------------------------------ evaluation passes

    def evaluate(self, step: int, args: tuple[Any, ...], kwargs: dict[str, Any], source: Source) -> None:
        """An outermost module is called without gradient."""
        if self.evaluation is None:
            if not self._passing:
                self._passing, self._passes = True, self._passes + 1
            if not self._may_evaluate():
                return
            self.evaluation = Look(step, "evaluation", self.record, names=self.names, closer=False)
        self.evaluation.source = source
        self._tell_evaluation("inputs", args, kwargs)

    def evaluation_loss(self, function: str, arguments: dict[str, Any], result: Any, where: str) -> None:
        """A loss function has returned without gradient."""
        self._tell_evaluation("loss", function, arguments, result, where)

    def end_evaluation(self) -> None:
        """Training goes on."""
        self._passing = False
        if self.evaluation is not None:
            look, self.evaluation = self.evaluation, None
            started = time.perf_counter()
            with self._aside():
                look.finish()
            self.governor.took(time.perf_counter() - started)

    def _may_evaluate(self) -> bool:
        free = self._free > 0 and self._passes in _FREE_PASSES
        return free or self.governor.affords(_EVALUATION_SECONDS)

    def _tell_evaluation(self, method: str, *args: Any) -> None:
        if self._tell_aside(method, *args):
            self._free -= 1

    def _tell_aside(self, method: str, *args: Any) -> bool:
        if self.evaluation is None or not self._may_evaluate():
            return False
        started = time.perf_counter()
        self._tell_of(self.evaluation, method, *args)
        self.governor.took(time.perf_counter() - started)
        return True

    # ------------------------------------------------------------------ graphs

    def _start_capture(self, step: int, *, passing: bool) -> None:
        if torch._C._len_torch_dispatch_stack() > 0:
            return
        capture = Capture(
            budget=self._memory // _GRAPHS, follow_steps=False, known=self.names, statistics=not passing
        )
        capture.start()
        self.capture, self._capture_step, self._passing = capture, step, passing
        if not passing:
            self._next_graph = _EARLY_GRAPH if step < _EARLY_GRAPH else step * 10

    def end_capture(self) -> None:
        """Stop recording, and keep the graph."""
        capture, self.capture = self.capture, None
        if capture is None:
            return
        graph = capture.stop()
        if self.kept is not None and len(graph.nodes):
            self.kept.add(self._capture_step, graph, capture.seconds)
        if self._passing:
            return
        self._graph_seconds = capture.seconds
        self.governor.took(self._graph_seconds)
        if len(graph.nodes) == 0:
            return
        self.graphs[self._capture_step] = graph
        while len(self.graphs) > _GRAPHS:
            del self.graphs[sorted(self.graphs)[1]]  # the first and the latest stay

    def stop(self) -> None:
        """The watch ends: finish what is under way."""
        self.end_evaluation()
        self.end()
        self.end_capture()

    # ------------------------------------------------------------------ telling probes

    def _tell(self, method: str, *args: Any) -> None:
        if self.look is None or self._silent:
            return
        started = time.perf_counter()
        self._tell_of(self.look, method, *args)
        self._seconds += time.perf_counter() - started

    def aside(self, measure: Callable[[], None]) -> None:
        """Measure something outside of looks, unseen by the program."""
        started = time.perf_counter()
        with self._aside():
            try:
                measure()
            except Exception as error:  # noqa: BLE001 an error of ours is a note
                self._complain("aside", error)
        self.governor.took(time.perf_counter() - started)

    def _tell_of(self, look: Look, method: str, *args: Any) -> None:
        with self._aside():
            for probe in self.probes:
                try:
                    getattr(probe, method)(look, *args)
                except Exception as error:  # noqa: BLE001 a probe's error is a note
                    self._complain(f"{type(probe).__name__}.{method}", error)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Compute without gradient, autocast, modes: nothing of it may be recorded or change the program."""
        grad = torch.is_grad_enabled()
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
            torch._C._set_grad_enabled(False)
            for kind in kinds:
                torch.set_autocast_enabled(kind, False)
            try:
                yield
            finally:
                for kind in kinds:
                    torch.set_autocast_enabled(kind, True)
                torch._C._set_grad_enabled(grad)
