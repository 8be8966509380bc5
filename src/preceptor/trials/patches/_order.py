"""Editors of the order of calls: zeroing, backward, unscaling, clipping, step, schedule."""

from __future__ import annotations

import ast
import re

from preceptor.trials.patches._literals import number_text
from preceptor.trials.patches._source import Edit, Unclear, only
from preceptor.trials.patches._spot import Spot

__all__ = [
    "clip_less",
    "clip_norm",
    "missing_backward",
    "missing_zero_grad",
    "no_schedule",
    "optimizer_in_loop",
    "schedule",
    "unscale_first",
]

_CLIPS = ("clip_grad_norm_", "clip_grad_value_")


def missing_zero_grad(spot: Spot) -> list[Edit]:
    """Put zero_grad() before the backward pass, of the optimizer that steps in the same loop."""
    source, backward = spot.source, spot.backward
    loop = spot.batches(backward)
    names = {spot.stepped(call) for call in spot.beside(spot.steps, loop)}
    if source.calls("zero_grad", within=loop):
        raise Unclear
    return [source.before(spot.statement(backward), f"{only(names)}.zero_grad()")]


def missing_backward(spot: Spot) -> list[Edit]:
    """Put in the call that is missing, or bring backward, step and zeroing into their order."""
    steps = spot.steps
    if not steps:
        return _step_inserted(spot)
    step = spot.step
    loop = spot.batches(step)
    backward = spot.beside(spot.source.calls("backward"), loop)
    if not backward:
        return _backward_inserted(spot, step, loop)
    return _in_order(spot, only(backward), only(spot.beside(steps, loop)))


def _step_inserted(spot: Spot) -> list[Edit]:
    made = spot.source.parents[spot.optimizer]
    if not isinstance(made, ast.Assign):
        raise Unclear
    name = spot.source.code(only(made.targets))
    return [spot.source.after(spot.statement(spot.backward), f"{name}.step()")]


def _backward_inserted(spot: Spot, step: ast.Call, loop: ast.stmt) -> list[Edit]:
    statement = spot.statement(step)
    if spot.source.calls("backward", "grad", within=loop):
        raise Unclear
    earlier = [item for item in spot.source.block(statement) if item.lineno < statement.lineno]
    losses = [
        target.id
        for item in earlier
        if isinstance(item, ast.Assign) and isinstance(item.value, (ast.Call, ast.BinOp, ast.UnaryOp))
        for target in item.targets
        if isinstance(target, ast.Name) and re.search(r"loss|cost|objective", target.id, re.IGNORECASE)
    ]
    return [spot.source.before(statement, f"{only(set(losses))}.backward()")]


def _in_order(spot: Spot, backward: ast.Call, step: ast.Call) -> list[Edit]:
    source = spot.source
    first, second = spot.statement(backward), spot.statement(step)
    block = source.block(first)
    zeros = spot.beside(source.calls("zero_grad"), spot.batches(step))
    if second not in block:
        raise Unclear
    if second.lineno < first.lineno:
        return [source.delete(second), source.after(first, *source.lines(second))]
    zero = spot.statement(only(zeros))
    if zero not in block or not first.lineno < zero.lineno < second.lineno:
        raise Unclear
    return [source.delete(zero), source.before(first, *source.lines(zero))]


def clip_norm(spot: Spot) -> list[Edit]:
    """Clip the norm of the gradient before the step; where it is clipped, at another norm."""
    source = spot.source
    norm = 1.0 if spot.after is None else spot.after
    if clips := source.calls(*_CLIPS):
        given = source.argument(only(clips), "max_norm", 1)
        if spot.change is None or given is None or source.calls("clip_grad_value_"):
            raise Unclear
        return [spot.number(given, lambda _: norm, spot.before)]
    step = spot.step
    statement, model = spot.statement(step), spot.trained
    if not spot.known(model, step):
        raise Unclear
    lines = [f"{spot.nn}.utils.clip_grad_norm_({model}.parameters(), {number_text(norm)})"]
    if step.args and not source.calls("unscale_"):
        scaler = source.code(step.func.value)  # type: ignore[attr-defined]  # a method call, as matched above
        lines.insert(0, f"{scaler}.unscale_({spot.stepped(step)})")
    return [source.before(statement, *lines)]


def clip_less(spot: Spot) -> list[Edit]:
    """Take the line away that clips; one that keeps the norm stays."""
    return [spot.source.delete(spot.statement(spot.call(*_CLIPS)))]


def unscale_first(spot: Spot) -> list[Edit]:
    """Take the loss scale off the gradients before they are clipped."""
    source = spot.source
    clip = spot.call(*_CLIPS)
    statement = source.statement(clip)
    if found := source.calls("unscale_"):
        late = spot.statement(only(found))
        if late not in source.block(statement) or late.lineno < statement.lineno:
            raise Unclear
        return [source.delete(late), source.before(statement, *source.lines(late))]
    step = only(call for call in spot.beside(spot.steps, spot.batches(clip)) if call.args)
    scaler = source.code(step.func.value)  # type: ignore[attr-defined]  # a method call, as matched above
    return [source.before(statement, f"{scaler}.unscale_({spot.stepped(step)})")]


def schedule(spot: Spot) -> list[Edit]:
    """Call the schedule once per epoch, once per batch, or after the optimizer, as the finding says."""
    call = spot.named(spot.schedules)
    statement, evidence = spot.statement(call), spot.finding.evidence
    loops = spot.source.loops(call)
    inner = bool(loops) and bool(spot.beside(spot.steps, loops[0]))
    if {"laid out for calls"} & set(evidence):
        return _into_batches(spot, statement)
    if inner and {"T_max", "below a hundredth from step"} & set(evidence):
        return _out_of_batches(spot, call, statement)
    if inner and not evidence:
        return _behind_step(spot, statement, loops[0])
    raise Unclear


def _into_batches(spot: Spot, statement: ast.stmt) -> list[Edit]:
    step = only(spot.steps)
    loop, source = spot.batches(step), spot.source
    if source.inside(statement, loop) or statement not in source.block(loop):
        raise Unclear
    return [source.delete(statement), source.after(spot.statement(step), *source.lines(statement))]


def _behind_step(spot: Spot, statement: ast.stmt, loop: ast.stmt) -> list[Edit]:
    step = spot.statement(only(spot.beside(spot.steps, loop)))
    source = spot.source
    if step not in source.block(statement) or step.lineno < statement.lineno:
        raise Unclear
    return [source.delete(statement), source.after(step, *source.lines(statement))]


def _out_of_batches(spot: Spot, call: ast.Call, statement: ast.stmt) -> list[Edit]:
    """Move it behind the loop over batches, with the conditions that it stands under."""
    source, loop = spot.source, spot.batches(call)
    stored = {n.id for n in ast.walk(loop) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    lines, child = source.lines(statement), statement
    if len(source.loops(call)) < 2 and source.function(call) is None:
        raise Unclear
    while (parent := source.parents[child]) is not loop:
        if not isinstance(parent, ast.If) or child not in parent.body:
            raise Unclear
        if stored & {n.id for n in ast.walk(parent.test) if isinstance(n, ast.Name)}:
            raise Unclear
        lines = [f"if {source.code(parent.test)}:", *(f"    {line}" for line in lines)]
        child = parent
    return [source.delete(statement), source.after(loop, *lines)]


def no_schedule(spot: Spot) -> list[Edit]:
    """Keep the rate as it is: the schedule is not called."""
    return [spot.source.delete(spot.statement(spot.named(spot.schedules)))]


def optimizer_in_loop(spot: Spot) -> list[Edit]:
    """Build the optimizer once, before the loops whose variables it does not need."""
    source, call = spot.source, spot.optimizer
    statement = source.parents[call]
    if not isinstance(statement, ast.Assign):
        raise Unclear
    used = {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
    outer = None
    for loop in source.loops(call):
        if used & {n.id for n in ast.walk(loop) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}:
            break
        outer = loop
    if outer is None:
        raise Unclear
    return [source.delete(statement), source.before(outer, *source.lines(statement))]
