"""The training loop: estimate, loss, gradient, step; measure; keep the best; stop in time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from types import FrameType
from typing import Any, cast

from torch import Tensor

from preceptor.catalogue.regularizers import GradientClipping
from preceptor.data import generators
from preceptor.data.batches import Batch
from preceptor.training.callbacks import Callback, Callbacks
from preceptor.training.checkpoints import Checkpoints
from preceptor.training.clock import StepClock
from preceptor.training.evaluate import evaluate
from preceptor.training.memory import halve, in_parts, out_of_memory
from preceptor.training.objective import Objective
from preceptor.training.own_code import is_out_of_memory
from preceptor.training.problem import Problem
from preceptor.training.regularization import as_measured
from preceptor.training.state import RunningLoss, State

__all__ = ["fit"]


def fit(
    problem: Problem,
    *,
    epochs: int = 100,
    patience: int | None = 10,
    min_delta: float = 0.0,
    restore_best: bool = True,
    callbacks: Sequence[Callback] = (),
    checkpoints: Checkpoints | None = None,
    resume: dict[str, Any] | None = None,
    tell: Callable[[str], None] | None = None,
) -> State:
    """Train until the epochs are run, the monitored value stops improving, or somebody asks to stop.

    Draws from torch's global generator (dropout, augmentation); seed it before, as `preceptor.train` does.

    Each epoch begins with every module in training mode, as a plain loop's does with ``model.train()``, but
    for layers that the settings freeze. What else is to stay in evaluation mode can be put there by a
    callback in `Callback.on_epoch_begin`, which comes after, or by the model's own ``train``; measuring
    keeps each module's mode.

    Arguments:
        problem: what one step needs; its model is trained in place.
        epochs: passes over the training examples.
        patience: epochs without improvement of the monitored value before stopping; None: never stop early.
        min_delta: what counts as an improvement, in the units of the monitored value.
        restore_best: put the weights of the best epoch back into the model at the end.
        callbacks: look on or step in; see `Callback`.
        checkpoints: where snapshots go; None: nowhere.
        resume: a snapshot to go on from.
        tell: hears of what is done otherwise than was asked for.

    Returns:
        The final state: history, best epoch, why it stopped.

    Raises:
        OutOfMemory: a step did not fit into memory, not even in parts; the last checkpoint is intact.
    """
    state = State(problem, epochs, tell=tell)
    if resume is not None:
        state.load(resume)
        if state.stop == "early stopping" and (patience is None or state.waited < patience):
            state.stop = None  # there is more patience than before
    ordered = Callbacks(callbacks)
    epoch_begin, epoch_end = ordered.hooks("on_epoch_begin"), ordered.hooks("on_epoch_end")

    with _interruptible(state):
        try:
            _call(ordered.hooks("on_train_begin"), state)
            if checkpoints and resume is None:
                checkpoints.save(state.snapshot())

            while state.epoch < epochs and not state.stop:
                started = perf_counter()
                problem.begin_epoch(state.epoch + 1, again=state.begun)
                _call(epoch_begin, state)
                complete = _steps(state, ordered, checkpoints)
                state.running.fold()
                if state.running.broken:
                    state.stop = "diverged"
                if not complete:
                    break  # stopped within the epoch: it is not measured, and a resume completes it

                state.epoch += 1
                state.batch, state.begun = 0, False
                with as_measured(problem):
                    row = _measure(state)
                    monitored = row.get(problem.monitor)
                    if state.improved(monitored, min_delta) and restore_best:
                        state.best_weights = state.weights()
                state.running = RunningLoss()
                if problem.scheduler and problem.scheduler_steps == "metric":
                    problem.scheduler.step(monitored)
                elif problem.scheduler and problem.scheduler_steps == "epoch":
                    problem.scheduler.step()
                state.history.rows.append({**row, "seconds": perf_counter() - started})
                if state.forecast is None:
                    state.forecast = state.clock.forecast(len(problem.train))
                if patience is not None and state.waited >= patience and state.stop in (None, "interrupted"):
                    state.stop = "early stopping"
                _call(epoch_end, state)
                if checkpoints and checkpoints.due(state.step):
                    checkpoints.save(state.snapshot())

            if checkpoints and state.restored is None:  # else nothing was done since the last one
                checkpoints.save(state.snapshot())
        except BaseException as error:
            state.exception = error
            _call(ordered.hooks("on_exception"), state)
            if is_out_of_memory(error):
                raise out_of_memory(problem, error) from error
            raise

    with as_measured(problem):
        state.last_weights = state.weights()
    if restore_best and state.best_weights is not None:
        problem.model.load_state_dict(state.best_weights)
    elif problem.regularization and problem.regularization.average:
        problem.model.load_state_dict(state.last_weights)
    _call(ordered.hooks("on_train_end"), state)
    return state


def _steps(state: State, callbacks: Callbacks, checkpoints: Checkpoints | None) -> bool:
    """Take the optimizer steps of one epoch, or of what is left of it; say whether the epoch is complete."""
    problem, clock = state.problem, state.clock
    optimizer, scaler = problem.optimizer, problem.scaler
    scheduler = problem.scheduler if problem.scheduler_steps == "step" else None
    extra, clip = problem.regularization, state.clip
    batch_begin, batch_end = callbacks.hooks("on_batch_begin"), callbacks.hooks("on_batch_end")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    group: list[Batch] = []
    drawn: list[Batch] = []
    examples = 0

    def gradient() -> Tensor:
        """Leave the gradient of the mean loss over the whole group in the parameters; return that loss."""
        loss = None
        while loss is None:
            for parameter in parameters:  # zero_grad without its bookkeeping, a tenth of a small step
                parameter.grad = None
            if extra:
                extra.at("perturb")
            try:
                loss = _accumulate(problem, group, examples, clock)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                halve(state, group, drawn, error)
            finally:
                if extra:
                    extra.at("restore")
        if scaler and (clip or (extra and extra.changes_gradients)):
            scaler.unscale_(optimizer)
        if clip:
            clip(parameters)
        if extra:
            extra.at("gradients")
        return loss

    objective = Objective(problem, group, gradient)
    batches = _batches(state)
    while not state.stop:
        clock.begin()
        drawn[:] = islice(batches, problem.grad_accumulation)
        group[:] = in_parts(drawn, state.parts, state.least) if state.parts > 1 else drawn
        if not group:
            return True
        examples = sum(problem.counted(batch) for batch in drawn)
        clock.lap("data")
        for hook in batch_begin:
            hook(state)
        if problem.needs_closure:
            loss = cast(Tensor, optimizer.step(objective))  # type: ignore[arg-type]  # gives back the first loss
        else:
            loss = gradient()
            if extra:
                extra.at("before_step", problem.lr)
            if scaler:
                scaler.step(optimizer)
                scaler.update()
            else:
                optimizer.step()
        if extra:
            extra.at("after_step", problem.lr)
        clock.lap("step")

        state.step += 1
        state.batch += len(drawn)
        if problem.distribution:
            loss = problem.distribution.step(state, loss)
        state.loss = loss
        state.running.add(loss, examples)
        if state.running.broken:
            return False
        if scheduler:
            state.lr = problem.lr  # the rate of this step; the next one's is set now
            scheduler.step()
        clock.end(examples)
        for hook in batch_end:
            hook(state)
        if checkpoints and checkpoints.due(state.step):
            checkpoints.save(state.snapshot())
    return state.batch >= len(problem.train) and _is_over(batches)


def _is_over(batches: Iterator[Batch]) -> bool:
    """Say whether a pass has no more batches: what a loader says of its length may be wrong."""
    before = generators.capture()
    over = next(batches, None) is None
    if not over:  # a resume draws that batch again
        generators.restore(before)
    return over


def _batches(state: State) -> Iterator[Batch]:
    """Begin an epoch's batches, or, after a resume, those that were still to come."""
    train, restored, again = state.problem.train, state.restored, state.begun
    state.begun = True
    if restored is None:
        return train.epoch()
    state.restored = None
    generators.restore(restored["generators"])
    train.load_state_dict(restored["batches"], again=again)
    batches = train.epoch(skip=state.batch)
    if again:  # what was drawn to get there had been drawn before
        generators.restore(restored["generators"])
    return batches


def _accumulate(problem: Problem, group: list[Batch], examples: int, clock: StepClock) -> Tensor:
    """Add up the gradients of a group of batches, each weighted by its share of the examples."""
    scaler = problem.scaler
    total: Tensor | None = None
    for batch in group:
        loss = problem.loss(*batch)
        if (share := problem.share(batch, examples)) != 1:
            loss = loss * share
        clock.lap("forward")
        (scaler.scale(loss) if scaler else loss).backward()
        clock.lap("backward")
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None  # noqa: S101 - a group holds at least one batch
    return total


def _measure(state: State) -> dict[str, Any]:
    """Return the row of the epoch that has just ended."""
    problem, clock = state.problem, state.clock
    clock.begin(step=False)
    row: dict[str, Any] = {"epoch": state.epoch, "train_loss_running": state.running.mean}
    for part, batches in (("train", problem.probe), ("val", problem.val)):
        if batches is not None:
            row.update((f"{part}_{name}", value) for name, value in evaluate(problem, batches).items())
    if state.clip:
        row["clipped"] = state.clip.share
        state.clip = GradientClipping(state.clip.max_norm)
    if state.parts > 1:
        row["micro_batch"] = -(-problem.train.batch_size // state.parts)
    row["lr"] = problem.lr if state.lr is None else state.lr
    clock.lap("evaluation")
    return problem.distribution.same(row) if problem.distribution else row


@contextmanager
def _interruptible(state: State) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the training after the current step; a second Ctrl-C ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked, together = False, state.problem.distribution

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if together:  # all agree on the step; torchrun passes on a Ctrl-C that they have had already
            together.asked = True
            return
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        state.stop = state.stop or "interrupted"  # what has been decided already stays so

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _call(hooks: Sequence[Any], state: State) -> None:
    for hook in hooks:
        hook(state)
