"""How each change is made to a training that was captured: one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from preceptor.errors import ModelError
from preceptor.trials import _edit_operators as operators
from preceptor.trials import _edit_settings as settings
from preceptor.trials import _edit_width as width
from preceptor.trials.change import Change
from preceptor.trials.setup import Setup

__all__ = ["apply"]


def apply(change: Change, setup: Setup) -> Setup:
    """Return the training with one change.

    Raises:
        ModelError: there is nothing in it that the change could be made to.
    """
    make = _APPLY.get(change.kind)
    if make is None:
        raise ModelError(f"{change.kind} cannot be changed in a recorded step")
    return make(setup, change)


_APPLY: Mapping[str, Callable[[Setup, Change], Setup]] = {
    "lr": settings.option,
    "momentum": settings.option,
    "weight_decay": settings.option,
    "max_grad_norm": settings.clip,
    "batch_size": settings.batch_size,
    "epochs": settings.longer,
    "dropout": operators.dropout,
    "axis": operators.axis,
    "hidden": width.hidden,
    "schedule": settings.schedule,
    "optimizer": settings.optimizer,
    "activation": operators.activation,
    "output": operators.output,
    "loss": operators.loss,
    "init": settings.init,
    "reduction": settings.reduction,
    "sign": settings.sign,
    "zero_grad": settings.zero_grad,
    "backward": settings.backward,
    "standardize_inputs": settings.standardize_inputs,
    "standardize_targets": settings.standardize_targets,
    "nonlinearity": operators.nonlinearity,
    "shuffle": settings.shuffle,
    "flatten_prediction": operators.flatten,
    "trainable": settings.trainable,
    "optimized": settings.optimized,
    "train_mode": operators.train_mode,
    "finite_data": settings.finite,
    "eps": operators.eps,
    "softmax": operators.softmax,
    "detach": operators.detach,
    "clipping": settings.clipping,
    "batch_norm": operators.batch_norm,
}
