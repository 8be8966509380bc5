"""Recording the operators of one step, without changing one bit of it."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils.data.dataloader import _BaseDataLoaderIter

from preceptor.errors import ConfigError
from preceptor.observation import _graph_calls as calls
from preceptor.observation import _graph_modes as modes
from preceptor.observation._graph_calls import Applied
from preceptor.observation._graph_frames import call_as, caller_of_hook, unwrapped
from preceptor.observation._graph_recorder import Recorder
from preceptor.observation._graph_scope import Scope
from preceptor.observation._names import Names
from preceptor.observation.graph import Graph

__all__ = ["Capture", "capture", "compiling"]

_BUDGET = 64 << 20
_LIMIT = 20_000


def capture(
    model: nn.Module | None = None,
    *,
    names: Mapping[str, Tensor] | None = None,
    budget: int = _BUDGET,
    limit: int = _LIMIT,
    statistics: bool = True,
    gradless: bool = False,
) -> Capture:
    """Record the operators that run within the ``with`` block as a `Graph`.

    Put it around one training step. What is computed without gradient, and what data loaders and optimizers
    do inside, is not recorded: it enters the graph as tensors that come from outside.

    Arguments:
        model: gives the names of modules and parameters; default: every outermost module that runs does.
        names: names for tensors that belong to no module.
        budget: bytes of tensors that may be kept for the replay; a graph that needs more is not replayable.
        limit: operators that are recorded at most.
        statistics: whether to measure every tensor that operators make, and its gradient.
        gradless: whether to record operators that run without gradient too.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> with capture(layer) as captured:
        ...     torch.nn.functional.mse_loss(layer(torch.ones(3, 2)), torch.zeros(3, 1)).backward()
        >>> [node.op for node in captured.graph]
        ['ones', 'linear', 'zeros', 'mse_loss']
        >>> captured.graph.replayable
        True
    """
    return Capture(model, names=names, budget=budget, limit=limit, statistics=statistics, gradless=gradless)


class Capture(TorchFunctionMode):
    """A running capture: a context manager, or `start` and `stop`. ``graph`` is there after its end.

    Errors of the recording never reach the program: they end the recording, and the graph says so.
    ``seconds`` is the time that the recording itself has taken so far.

    Arguments:
        follow_steps: whether to hook into optimizers. Who hooks into them already calls `before_step` and
            `after_step`: torch must not go through its hooks while a capture adds or takes away its own.
        known: names that modules and parameters have already.
    """

    graph: Graph

    def __init__(
        self,
        model: nn.Module | None = None,
        *,
        names: Mapping[str, Tensor] | None = None,
        budget: int = _BUDGET,
        limit: int = _LIMIT,
        statistics: bool = True,
        gradless: bool = False,
        follow_steps: bool = True,
        known: Names | None = None,
    ) -> None:
        super().__init__()
        self._follow_steps = follow_steps
        self._scope = Scope(self, model, gradless, known)
        self._recorder = Recorder(
            self._scope,
            names=names or {},
            budget=budget,
            limit=limit,
            statistics=statistics,
            gradless=gradless,
        )
        self._seconds = 0.0
        self._paused = 0
        self._inside = 0  # how many operators deep that torch reports to us, with our mode in its hands
        self._away = False
        self._thread = 0
        self._undo: list[Callable[[], None]] = []
        self._on = False

    def __enter__(self) -> Capture:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def seconds(self) -> float:
        """Time that the recording itself has taken."""
        return self._seconds + self._recorder.cells.seconds

    def start(self) -> None:
        """Begin to record in this thread. Where ``torch.compile`` is at work nothing is recorded."""
        if self._on or hasattr(self, "graph"):
            raise ConfigError("a capture records once", hint="make another one for another step")
        began = perf_counter()
        self._on, self._thread = True, threading.get_ident()
        try:
            self._attach()
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            self.complain(error)
            self._detach()
        self._seconds += perf_counter() - began

    def stop(self) -> Graph:
        """End the recording, put everything back, and return the graph."""
        began = perf_counter()
        if self._on:
            self._on = False
            self._scope.come_back()
            if not modes.remove(self) and self._inside:
                modes.remove_later(self, lambda: self._inside > 0)
            self._detach()
        else:
            modes.remove(self)
        if not hasattr(self, "graph"):
            self.graph = self._finished()
            self._seconds += perf_counter() - began
        return self.graph

    def _attach(self) -> None:
        if compiling():
            self._recorder.break_off("torch.compile is in use: a recording would change what it compiles")
            return
        self._undo.append(self._patch(torch.autograd.Function, "apply", self._around_function))
        self._undo.append(self._patch(_BaseDataLoaderIter, "__next__", self._around_loader))
        if self._follow_steps:
            self._undo.append(register_optimizer_step_pre_hook(self.before_step).remove)
            self._undo.append(register_optimizer_step_post_hook(self.after_step).remove)
        self._undo.append(self._scope.detach)
        self._scope.attach()
        modes.insert(self)

    def _detach(self) -> None:
        for undo in reversed(self._undo):
            undo()
        self._undo = []

    def _finished(self) -> Graph:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            try:
                return self._recorder.finish()
            except Exception as error:  # noqa: BLE001 the program never sees our errors
                self.complain(error)
                return self._recorder.given_up()

    def complain(self, error: Exception) -> None:
        """Note an error of our own and stop recording."""
        self._recorder.break_off(f"{type(error).__name__} while recording: {error}")

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch._C._is_tracing():  # what we read would be traced
            return func(*args, **kwargs)
        if calls.is_plain_attribute(func):
            with contextlib.suppress(
                Exception
            ):  # it is read again below, where the error shows as without us
                return func(*args, **kwargs)
        frame = caller_of_hook(sys._getframe(1))
        func = unwrapped(func)
        pending = None
        name = calls.op_name(func)
        if not self._paused and not calls.is_ignored(func, name):
            pending = self._guarded(self._recorder.before, name, func, args, kwargs, frame)
        self._inside += 1
        try:
            result = call_as(frame, func, args, kwargs)
        except BaseException as error:
            error.__traceback__ = _inner(error)
            raise
        finally:
            self._inside -= 1
        if pending is not None:
            self._guarded(self._recorder.after, pending, result)
        return result

    def _guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do some of our own work: unseen by modes and autograd, timed, its errors kept from the program."""
        recorder = self._recorder
        if recorder.stopped or not self._on:
            return None
        began = perf_counter()
        grad = recorder.grad = torch.is_grad_enabled()
        try:
            with torch._C.DisableTorchFunction():
                torch._C._set_grad_enabled(False)
                try:
                    return work(*args)
                finally:
                    torch._C._set_grad_enabled(grad)
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            self.complain(error)
            return None
        finally:
            self._seconds += perf_counter() - began

    def _around_function(self, original: Any, cls: Any, args: Any, kwargs: Any) -> Any:
        """Record a custom Function as one operator, or what it calls where it calls back into the program."""
        grad = torch.is_grad_enabled()
        if self._paused or not self._active() or (not grad and not self._scope.descending):
            return original.__func__(cls, *args, **kwargs)
        if any(callable(arg) and not isinstance(arg, type) for arg in (*args, *kwargs.values())):
            self._scope.descending += 1
            try:
                result = original.__func__(cls, *args, **kwargs)
            finally:
                self._scope.descending -= 1
            self._guarded(self._recorder.adopt, result)
            return result
        pending = self._guarded(
            self._recorder.before, cls.__name__, cls.apply, args, kwargs, sys._getframe(2)
        )
        self._paused += 1
        try:
            result = original.__func__(cls, *args, **kwargs)
        finally:
            self._paused -= 1
        if pending is not None:
            pending.call.func = Applied(cls)
            self._guarded(self._recorder.after, pending, result)
        return result

    def _around_loader(self, original: Any, iterator: Any, args: Any, kwargs: Any) -> Any:
        if not self._here():
            return original(iterator)
        self._paused += 1
        try:
            return original(iterator)
        finally:
            self._paused -= 1

    def before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        """Keep the parameters as they were, and look away while the optimizer changes them.

        Returns:
            None, or the arguments to step with, where a closure is to be recorded.
        """
        if not self._here():
            return None
        held = [p for group in optimizer.param_groups for p in group["params"]]
        self._guarded(self._recorder.keep_before_change, held)
        self._paused += 1
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None or not callable(closure):
            self._away = self._away or (modes.is_on_top(self) and modes.remove(self))
            return None
        seen = self._seeing(closure)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": seen}
        return (args[0], seen, *args[2:]), kwargs

    def _seeing(self, closure: Callable[..., Any]) -> Callable[..., Any]:
        """Return the closure; its first call is recorded although it runs within the step."""
        first = True

        @functools.wraps(closure)  # what else the closure can do goes along
        def seen(*args: Any, **kwargs: Any) -> Any:
            nonlocal first
            if not first:
                return closure(*args, **kwargs)
            first = False
            self._paused -= 1
            try:
                return closure(*args, **kwargs)
            finally:
                self._paused += 1
                self._guarded(self._recorder.keep_all)

        return seen

    def after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """The optimizer has stepped: look again."""
        if not self._here():
            return
        self._paused = max(0, self._paused - 1)
        if self._away and not self._paused:
            self._away = False
            modes.insert(self)

    def _here(self) -> bool:
        """Whether this thread is being recorded."""
        return self._on and self._thread == threading.get_ident()

    def _active(self) -> bool:
        stack = _get_current_function_mode_stack()
        return self._on and any(mode is self for mode in stack)

    def _patch(self, owner: Any, name: str, around: Callable[..., Any]) -> Callable[[], None]:
        original = owner.__dict__[name]
        if isinstance(original, classmethod):

            def on_class(cls: Any, *args: Any, **kwargs: Any) -> Any:
                return around(original, cls, args, kwargs)

            replacement: Any = classmethod(on_class)
        else:

            def replacement(this: Any, *args: Any, **kwargs: Any) -> Any:
                return around(original, this, args, kwargs)

        setattr(owner, name, replacement)

        def undo() -> None:
            if owner.__dict__.get(name) is replacement:
                setattr(owner, name, original)

        return undo


def compiling() -> bool:
    """Whether any function of this process has been compiled: a mode would make it compile again."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    return any(callable(backend) for backend in getattr(frames, "cached_backends", {}).values())


def _inner(error: BaseException) -> Any:
    """Return the traceback without our own call, which would show the caller's line twice."""
    trace = error.__traceback__
    for _ in range(2):  # the mode's frame, then the call made in the caller's name
        trace = trace.tb_next if trace is not None else None
    return trace
