"""The listener that makes a record of what it hears."""

from __future__ import annotations

import mmap
import threading
import time
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.observation._evaluating import per_sample
from preceptor.observation._freshness import Freshness
from preceptor.observation._hand import Hand, leaves_of
from preceptor.observation._judging import Judges
from preceptor.observation._looks import Looks
from preceptor.observation._numbers import is_transformed, number
from preceptor.observation._unheard import Unheard
from preceptor.observation.look import Source
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.steps import samples_in

__all__ = ["Observer"]

_NESTED: Any = object()
_now = time.perf_counter
_tracing = torch._C._is_tracing
_within_backward = torch._C._current_graph_task_id
_LossModule = nn.modules.loss._Loss
_PLACES = 200
_LATELY = 50


class Observer(Unheard):
    """Hears every event of one thread, counts steps, and feeds record, protocol and looks.

    Arguments:
        note: takes what could not be seen, and errors of our own, as text.
    """

    def __init__(self, record: Record, protocol: Protocol, looks: Looks, note: Callable[[str], None]) -> None:
        super().__init__(record, protocol, looks)
        self.note = note
        self.judges = Judges(record)
        self.off = False
        self._depth = 0
        self._grad = False
        self._started = 0.0
        self._in_backward = False
        self._counted = False  # whether the step under way has the loss of its closure
        self._stepping = 0  # the identity of the outermost optimizer that is stepping
        self._first: weakref.ref[Tensor] | None = None
        self._optimizers: dict[int, int] = {}

    # ------------------------------------------------------------------ who is watched

    def mine(self) -> bool:
        """Whether this is the thread of the first event, in the process that was watched."""
        ident = threading.get_ident()
        if ident == self.thread:
            return True
        if self.thread == 0 and not self.off:
            self.thread = ident
            return True
        return False

    def leave(self) -> None:
        """Hear no more: a process that was forked off is not watched."""
        self.off, self.thread, self.quiet = True, -1, True

    def complain(self, hook: str, error: Exception) -> None:
        """Write an error of our own into the notes."""
        self.note(f"an error within {hook}: {type(error).__name__}: {error}")

    @property
    def within(self) -> bool:
        """Whether a module is running."""
        return self._depth > 0

    # ------------------------------------------------------------------ forward

    def before_module(self, module: Any, args: Any, kwargs: Any, frame: types.FrameType) -> Any:
        if self._depth:
            self._depth += 1
            return _NESTED
        if self.asleep:  # called without gradient
            self.wake()
        if isinstance(module, _LossModule) or _tracing() or (self._in_backward and self._is_again()):
            return None
        grad = torch.is_grad_enabled()
        self.judges.stop()
        place = self.protocol.note("forward", module, module.training | (2 if grad else 0), frame)
        if not self.names.knows(module):
            self.facts.model(module, frame)
        if self.steps.backward == 0 and grad and not is_transformed():
            self.looks.begin(0, 1)
        look = grad and self.looks.wanted and not is_transformed()
        if look:
            self.looks.inputs(args, kwargs, self._source(module, place, training=True))
            self.looks.enters(module, training=True)
        elif not grad and not is_transformed():
            source = self._source(module, place, training=False)
            self.looks.evaluate(self.steps.train, args, kwargs, source)
            self.looks.enters(module, training=False)
            self._maybe_evaluating(module, place)
        if grad and self._given is not None:
            self._given.inputs(args)
        if grad and module.training:
            self._trained.add(id(module))
        self._depth, self.quiet, self._grad, self._training = 1, not look, grad, module.training
        self._started = _now()
        return module

    def _source(self, module: Any, place: int, *, training: bool) -> Source:
        """Where the inputs of a call come from."""
        model = self.names.number(module)
        of = f" of model {model}" if model else ""
        if training:
            return Source(f"train{of}", model, "", self._loader, module.training)
        event = self.protocol.event(place)
        where = f"{event.where}<{event.caller}" if event.caller else event.where
        loader = f" {self._loader.partition(' (')[0]}" if self._loader else ""
        return Source(f"evaluation:{where}{loader}{of}", model, where, self._loader, module.training)

    def _is_again(self) -> bool:
        """Whether a backward pass is under way: what is called within is a checkpoint's, done before."""
        self._in_backward = _within_backward() != -1  # it may have ended with an exception
        return self._in_backward

    def after_module(self, token: Any, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if token is _NESTED:
            self._depth -= 1
            self.looks.module(module, args, output)
            return
        seconds = _now() - self._started
        looked, self._depth, self.quiet = not self.quiet, 0, False
        if self._grad:
            self.clock.parts["forward"] += seconds
        else:
            self.clock.away += seconds
            self.looks.leaves(module)
            self.judges.start(self.looks.evaluation, output)
        if looked:
            self.looks.module(module, args, output)

    def before_batch(self, iterator: Any) -> Any:
        self.judges.stop()
        return super().before_batch(iterator)

    def mode(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        self.judges.stop()
        super().mode(args, kwargs, frame)

    def module_failed(self, token: Any, module: Any) -> None:
        if token is _NESTED:
            self._depth -= 1
        else:
            self._depth, self.quiet = 0, False

    # ------------------------------------------------------------------ losses

    def loss(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        if _tracing() or (self._in_backward and self._is_again()):
            return
        grad = torch.is_grad_enabled()
        place = self.protocol.note("loss", name, 2 if grad else 0, frame)
        if not isinstance(result, Tensor) or result.numel() != 1:
            return
        if not grad:
            self._evaluated(name, function, args, kwargs, result, place, frame)
            return
        if self._given is not None:
            self._given.targets(args)
        if self.looks.look is not None:
            bound = self._bound(function, args, kwargs)
            self.looks.loss(name, bound, result, self.protocol.event(place).where)
        if self._one is not None:  # two losses, and no backward pass in between
            self._open_one()
        samples = samples_in(args)
        value = per_sample(number(result), samples, kwargs)
        self._one = (place, value, samples, self._loader, self._training)

    # ------------------------------------------------------------------ backward

    def before_backward(self, roots: Any, frame: types.FrameType) -> Any:
        root = roots if isinstance(roots, Tensor) else roots[0]
        if self._in_backward and self._is_again():
            return None
        self._in_backward = True
        self._closures = self._closures or self._stepping != 0
        self.judges.stop()
        if self.hand is not None and not self._stepping and self.hand.has_stepped():
            self._confirm(self.hand)
            self._end_step(self.hand, 0)
            self.hand.looked_at = False
        first = None if self._first is None else self._first()
        held = first is not None and first.grad is not None
        self.protocol.note("backward", "", 2 | (4 if held else 0), frame)
        for fresh in self._fresh.values():
            fresh.before_backward()
        if self.passes.open:
            self._open_one()
            self._close_passes(backward=True)
        self.looks.end_evaluation()
        self._one = None
        self._training_loader = self._loader
        loss = None
        if not (self._stepping and self._counted) and root.numel() == 1:
            loss = number(root if self._unscaled is None else self._unscaled)
        self._unscaled = None
        if not self._optimizers and self.hand is None and not self._stepping:
            self._meet_hand(root)
        if self.looks.look is not None:
            self.looks.before_backward()
        return _now(), loss

    def after_backward(self, token: Any, roots: Any) -> None:
        started, loss = token
        self._in_backward, self._counted = False, True
        self.clock.parts["backward"] += _now() - started
        for fresh in self._fresh.values():
            fresh.after_backward()
        if loss is not None:  # of a backward pass that raises, nothing is trained
            self.losses.append(loss)
        self.steps.backward += 1
        looks = self.looks
        if looks.look is not None:
            looks.after_backward()
        if self.hand is not None:
            if looks.look is not None and self.hand.confirmed:
                looks.before_step(self.hand)
                self.hand.looked_at = True
            self.hand.ran_backward()

    def left_backward(
        self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any
    ) -> None:
        # Within Tensor.backward a mode cannot be taken off torch's stack: it would be put back.
        if self.hand is not None and self.hand.confirmed:
            self.looks.end_capture()
            self.looks.begin(self.steps.train + 1, 1)

    def gradients_asked(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        self.protocol.note("grad", "", 2, frame)
        for fresh in self._fresh.values():
            fresh.asked()

    def zero_grad(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        self.judges.stop()
        self.protocol.note("zero_grad", args[0], 0, frame)
        if self._stepping and self.losses:  # what has been summed so far is replaced
            self._counted = True
        for fresh in self._fresh.values():
            fresh.zeroed()
        self.names.handled(args[0])

    def _meet_hand(self, root: Tensor) -> None:
        """No optimizer is known: find what is trained from the graph of the loss."""
        leaves = leaves_of(root)
        if leaves:
            self.hand = Hand(leaves)
            self._first = weakref.ref(leaves[0])

    def _confirm(self, hand: Hand) -> None:
        """Parameters have changed without an optimizer."""
        if not self.by_hand and self.ears is not None:
            self.ears.follow_backward()
        hand.confirmed = self.by_hand = True

    # ------------------------------------------------------------------ optimizer steps

    def built(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        self.protocol.note("optimizer", args[0], 0, frame)
        self._meet_optimizer(args[0], frame)

    def _meet_optimizer(self, optimizer: Any, frame: types.FrameType) -> int:
        self.hand = None
        number_ = self._optimizers[id(optimizer)] = self.facts.optimizer(optimizer, frame)
        self._fresh[number_] = Freshness(optimizer)
        self.facts.follow(number_, self._fresh[number_].counts)
        first = next((p for g in optimizer.param_groups for p in g["params"] if p.requires_grad), None)
        self._first = None if first is None else weakref.ref(first)
        return number_

    def before_step(self, optimizer: Any, args: Any, kwargs: Any, frame: types.FrameType) -> Any:
        if self.asleep:
            return None
        if self._stepping and _in_step(frame.f_back, frame.f_code):
            return None
        if self._fresh and (fresh := self._fresh.get(self._optimizers.get(id(optimizer), -1))) is not None:
            fresh.before_step()
        self._stepping, self._counted, self._step_started = id(optimizer), False, _now()
        return None if self.looks.look is None else self.looks.before_step(optimizer, args, kwargs)

    def after_step(self, optimizer: Any, frame: types.FrameType) -> None:
        if self._stepping not in (0, id(optimizer)):
            return
        self._stepping = 0
        self.clock.parts["optimizer"] += _now() - self._step_started
        self.protocol.note("step", optimizer, 2 if torch.is_grad_enabled() else 0, frame)
        index = self._optimizers.get(id(optimizer))
        if index is None or self.names.optimizer(optimizer) != index:
            index = self._meet_optimizer(optimizer, frame)
        if self._fresh and index in self._fresh and not self._fresh[index].after_step():
            del self._fresh[index]
        self._end_step(optimizer, index)

    def _end_step(self, optimizer: Any, index: int) -> None:
        step, steps, looks = self.steps.train, self.steps, self.looks
        steps.train = step + 1
        self.clock.steps += 1
        self._note_loss(step, index)
        self._rates_of(optimizer, index, step)
        if self._partial:
            self.protocol.complete()
            self._partial = False
        regular = self._regular.ended(index)
        self.protocol.end_phrase()
        self._recent[index] = step
        if looks.look is not None and getattr(optimizer, "looked_at", True) and looks.after_step(optimizer):
            self._after_look(step)
        if (step + 1 >= self.governor.next or looks.kept is not None) and optimizer is not self.hand:
            looks.begin(step + 1, self._active(step))
        if regular:
            self._maybe_asleep()

    def _active(self, step: int) -> int:
        """Return how many optimizers have stepped lately."""
        if len(self._recent) == 1:
            return 1
        self._recent = {index: last for index, last in self._recent.items() if step - last < _LATELY}
        return len(self._recent)

    def _after_look(self, step: int) -> None:
        for name, seconds in (self._times or self.clock.read()).items():
            self.record.add(name, step, seconds)
        self._times = None
        self.record.add("memory_bytes", step, memory_in_use())
        self.record.add("host_syncs", step, self.syncs)
        self.syncs = 0
        self.numbers.flush()
        self.clock.restart()

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """The watch ends: close what is open."""
        self.judges.stop()
        if self.hand is not None and self.losses:
            self._end_step(self.hand, 0)
        self._open_one()
        self._close_passes(backward=False)
        for key in list(self._loaders):
            self._left(key)
        self.looks.stop()
        self.numbers.flush()
        self.protocol.end_phrase()
        self.record.facts["unoptimized"] = self.facts.unoptimized()[:_PLACES]


def _in_step(frame: types.FrameType | None, code: types.CodeType) -> bool:
    """Whether the step of another optimizer is under way: ``code`` is what torch wraps steps with."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def memory_in_use() -> float:
    """Return the bytes that the process has in memory, on the accelerator where there is one."""
    if torch.cuda.is_initialized():
        return float(torch.cuda.memory_allocated())
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as file:
            return float(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return float("nan")
