"""Changes of how a captured training goes: its numbers, optimizer, examples, order of calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.diagnosis.structure import AFFINE
from preceptor.errors import ModelError
from preceptor.trials.change import USUAL_RATES, Change
from preceptor.trials.setup import Group, Setup


def option(setup: Setup, change: Change) -> Setup:
    """Give the optimizer another number."""
    if setup.option(change.kind) is None:
        raise ModelError(f"the optimizer has no {change.kind}")
    return setup.with_options(**{change.kind: change.after})


def clip(setup: Setup, change: Change) -> Setup:
    """Clip gradients at another norm."""
    return setup.but(max_grad_norm=change.after)


def batch_size(setup: Setup, change: Change) -> Setup:
    """Draw batches of another size."""
    rows = setup.rows
    if not rows.cells or rows.exact:
        raise ModelError("batches of another size do not fit the recorded step")
    return setup.but(rows=rows.but(size=int(change.after), recorded=False))


def longer(setup: Setup, change: Change) -> Setup:
    """Train for another number of steps."""
    return setup.but(steps=int(change.after))


def schedule(setup: Setup, change: Change) -> Setup:
    """Keep the first learning rate."""
    return setup.but(rates=())


def optimizer(setup: Setup, change: Change) -> Setup:
    """Step by another method, with its usual rate."""
    name, options = next(usual for usual in USUAL_RATES.items() if usual[0].lower() == change.after)
    groups = tuple(Group(group.cells, dict(options)) for group in setup.groups)
    return setup.but(kind=getattr(torch.optim, name), groups=groups, rates=())


def init(setup: Setup, change: Change) -> Setup:
    """Begin at weights from another initialisation."""
    generator = torch.Generator().manual_seed(0)
    fresh = {}
    for cell, tensor in setup.initial.items():
        value = tensor.clone()
        if tensor.ndim >= 2 and tensor.is_floating_point():
            nn.init.kaiming_uniform_(value, a=5**0.5, generator=generator)
        elif "bias" in setup.rerun.parameters[cell].name:
            nn.init.zeros_(value)
        fresh[cell] = value
    return setup.but(initial=fresh)


def reduction(setup: Setup, change: Change) -> Setup:
    """Divide a sum into a mean."""
    by = setup.accumulate if str(change.before).startswith("sum over batches") else setup.rows.size
    if by < 2:
        raise ModelError("there is nothing to divide by")
    return setup.but(scale=setup.scale / by)


def sign(setup: Setup, change: Change) -> Setup:
    """Minimise what was maximised."""
    if setup.option("maximize"):
        return setup.with_options(maximize=False)
    return setup.but(scale=-setup.scale)


def zero_grad(setup: Setup, change: Change) -> Setup:
    """Clear gradients before each backward pass."""
    if setup.zero_grad and setup.updates:
        raise ModelError("gradients are cleared already")
    return setup.but(zero_grad=True, updates=True)


def backward(setup: Setup, change: Change) -> Setup:
    """Compute gradients and step in every step."""
    return setup.but(zero_grad=True, updates=True)


def standardize_inputs(setup: Setup, change: Change) -> Setup:
    """Bring each input to mean 0 and deviation 1."""
    rows, target = setup.rows, setup.yardstick.target
    inside = {v.cell for node in setup.rerun.nodes if node.op in AFFINE or node.module for v in node.inputs}
    cells = [c for c, t in rows.whole[0].items() if t.is_floating_point() and t.ndim > 1 and c in inside]
    cells = [cell for cell in cells if cell != target]
    if not cells:
        raise ModelError("no inputs of numbers were found")
    for cell in cells:
        rows = rows.mapped(cell, _standardizer(_all_of(setup, cell)))
    return setup.but(rows=rows)


def standardize_targets(setup: Setup, change: Change) -> Setup:
    """Bring targets to mean 0 and deviation 1."""
    cell = setup.yardstick.target
    if cell not in setup.rows.whole[0] or not setup.rows.whole[0][cell].is_floating_point():
        raise ModelError("no targets of numbers were found")
    return setup.but(rows=setup.rows.mapped(cell, _standardizer(_all_of(setup, cell))))


def _all_of(setup: Setup, cell: int) -> Tensor:
    table = setup.rows.table
    return table[cell] if cell in table else torch.cat([batch[cell] for batch in setup.rows.whole])


def _standardizer(values: Tensor) -> Callable[[Tensor], Tensor]:
    """Of each feature for tables; of all together for pictures and sequences, whose features are alike."""
    axes = (0,) if values.ndim <= 2 else tuple(range(values.ndim))
    finite = torch.where(torch.isfinite(values), values, torch.zeros_like(values))
    mean, std = finite.mean(axes, keepdim=True), finite.std(axes, keepdim=True)
    std = torch.where(std > 0, std, torch.ones_like(std))
    return lambda x: (x - mean) / std


def shuffle(setup: Setup, change: Change) -> Setup:
    """Draw examples in random order."""
    if not setup.rows.cells:
        raise ModelError("the examples of a batch cannot be told apart")
    return setup.but(rows=setup.rows.but(recorded=False))


def trainable(setup: Setup, change: Change) -> Setup:
    """Train what was frozen."""
    frozen = frozenset(c for c, v in setup.rerun.parameters.items() if not v.requires_grad)
    if not frozen:
        raise ModelError("no parameter of the step is frozen")
    missing = [cell for cell in frozen if cell not in setup.trained]
    return (_given(setup, missing) if missing else setup).but(unfrozen=frozen)


def optimized(setup: Setup, change: Change) -> Setup:
    """Give the optimizer the parameters that it lacks."""
    missing = [c for c, v in setup.rerun.parameters.items() if c not in setup.trained and v.requires_grad]
    return _given(setup, missing)


def _given(setup: Setup, cells: list[int]) -> Setup:
    if not cells or not setup.groups:
        raise ModelError("the optimizer has all parameters already")
    first, *others = setup.groups
    return setup.but(groups=(Group((*first.cells, *cells), first.options), *others))


def finite(setup: Setup, change: Change) -> Setup:
    """Leave out examples with values that are not finite."""
    rows = setup.rows
    if not rows.cells:
        raise ModelError("the examples of a batch cannot be told apart")
    bad = torch.zeros(rows.count, dtype=torch.bool)
    for tensor in rows.table.values():
        if tensor.is_floating_point():
            bad |= ~torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)
    if not bool(bad.any()) or bool(bad.all()):
        raise ModelError("there are no such examples, or no others")
    return setup.but(rows=rows.without(bad))


def clipping(setup: Setup, change: Change) -> Setup:
    """Clip no more."""
    if setup.max_grad_norm is None:
        raise ModelError("nothing is clipped")
    return setup.but(max_grad_norm=None)
