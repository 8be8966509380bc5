"""Recording the operators of one step, without changing one bit of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils.data.dataloader import _BaseDataLoaderIter

from preceptor.observation._graph_calls import Applied
from preceptor.observation._graph_frames import call_as, caller_of_hook, unwrapped
from preceptor.observation._graph_recorder import Recorder
from preceptor.observation._graph_scope import Scope
from preceptor.observation.graph import Graph

__all__ = ["Capture", "capture"]

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
    ) -> None:
        super().__init__()
        self._scope = Scope(self, model, gradless)
        self._recorder = Recorder(
            self._scope,
            names=names or {},
            budget=budget,
            limit=limit,
            statistics=statistics,
            gradless=gradless,
        )
        self._paused = 0
        self._undo: list[Callable[[], None]] = []
        self._on = False

    def __enter__(self) -> Capture:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to record in this thread. Where ``torch.compile`` is at work nothing is recorded."""
        if _compiling():
            self._recorder.break_off("torch.compile is in use: a recording would change what it compiles")
            return
        self._undo = [
            self._patch(torch.autograd.Function, "apply", self._around_function),
            self._patch(_BaseDataLoaderIter, "__next__", self._around_loader),
            register_optimizer_step_pre_hook(self._before_step).remove,
            register_optimizer_step_post_hook(self._after_step).remove,
        ]
        self._scope.attach()
        super().__enter__()  # type: ignore[no-untyped-call]
        self._on = True

    def stop(self) -> Graph:
        """End the recording, put everything back, and return the graph."""
        if self._on:
            self._on = False
            self._scope.come_back()
            if self._active():
                _remove_mode(self)
            self._scope.detach()
            for undo in reversed(self._undo):
                undo()
            self._undo = []
        if not hasattr(self, "graph"):
            with torch._C.DisableTorchFunction(), torch.no_grad():
                self.graph = self._recorder.finish()
        return self.graph

    def complain(self, error: Exception) -> None:
        """Note an error of our own and stop recording."""
        self._recorder.break_off(f"{type(error).__name__} while recording: {error}")

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        frame = caller_of_hook(sys._getframe(1))
        func = unwrapped(func)
        pending = None
        if not self._paused:
            pending = self._guarded(self._recorder.before, func, args, kwargs, frame)
        try:
            result = call_as(frame, func, args, kwargs)
        except BaseException as error:
            error.__traceback__ = _inner(error)
            raise
        if pending is not None:
            self._guarded(self._recorder.after, pending, result)
        return result

    def _guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        recorder = self._recorder
        if recorder.stopped:
            return None
        recorder.grad = torch.is_grad_enabled()
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                return work(*args)
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            self.complain(error)
            return None

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
            self._recorder.before, cls.apply, args, kwargs, sys._getframe(2), cls.__name__
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
        self._paused += 1
        try:
            return original(iterator)
        finally:
            self._paused -= 1

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        """Keep the parameters as they were, and look away while the optimizer changes them."""
        held = [p for group in optimizer.param_groups for p in group["params"]]
        self._guarded(self._recorder.keep_before_change, held)
        self._paused += 1
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None or not callable(closure):
            return None
        seen = self._seeing(closure)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": seen}
        return (args[0], seen, *args[2:]), kwargs

    def _seeing(self, closure: Callable[..., Any]) -> Callable[..., Any]:
        """Return the closure; its first call is recorded although it runs within the step."""
        first = True

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

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._paused = max(0, self._paused - 1)

    def _active(self) -> bool:
        modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        return any(mode is self for mode in modes)

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


def _compiling() -> bool:
    """Whether any function of this process has been compiled: a mode would make it compile again."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    return any(callable(backend) for backend in getattr(frames, "cached_backends", {}).values())


def _remove_mode(mode: TorchFunctionMode) -> None:
    """Take one mode off torch's stack, wherever it stands."""
    above: list[Any] = []
    while (top := _pop_mode()) is not mode:  # type: ignore[no-untyped-call]
        above.append(top)
    for other in reversed(above):
        _push_mode(other)  # type: ignore[no-untyped-call]


def _inner(error: BaseException) -> Any:
    """Return the traceback without our own call, which would show the caller's line twice."""
    trace = error.__traceback__
    for _ in range(2):  # the mode's frame, then the call made in the caller's name
        trace = trace.tb_next if trace is not None else None
    return trace
