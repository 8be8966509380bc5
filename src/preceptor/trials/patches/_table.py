"""Which editor makes which change, and which repairs which fault: the place to add one."""

from __future__ import annotations

from collections.abc import Mapping

from preceptor.trials.patches import _losses as losses
from preceptor.trials.patches import _modes as modes
from preceptor.trials.patches import _numbers as numbers
from preceptor.trials.patches import _order as order
from preceptor.trials.patches import _shapes as shapes
from preceptor.trials.patches import _units as units
from preceptor.trials.patches import _values as values
from preceptor.trials.patches._spot import Editor

__all__ = ["OF_CAUSE", "OF_KIND"]

OF_KIND: Mapping[str, Editor] = {
    "lr": numbers.of_optimizer("lr"),
    "momentum": numbers.of_optimizer("momentum"),
    "weight_decay": numbers.of_optimizer("weight_decay"),
    "optimizer": numbers.optimizer,
    "batch_size": numbers.batch_size,
    "epochs": numbers.epochs,
    "dropout": numbers.dropout,
    "max_grad_norm": order.clip_norm,
    "clipping": order.clip_less,
    "zero_grad": order.missing_zero_grad,
    "backward": order.missing_backward,
    "shuffle": modes.shuffled,
    "train_mode": modes.training_mode,
    "softmax": losses.without_squash,
    "flatten_prediction": shapes.same_shape,
    "reduction": shapes.mean_of_loss,
    "sign": shapes.minimised,
    "eps": losses.guarded,
    "detach": values.uncut,
    "trainable": values.trainable,
    "optimized": values.listed_layers,
    "activation": units.activation,
    "nonlinearity": units.nonlinearity,
    "output": units.output_unit,
    "init": units.initialisation,
    "loss": losses.other_loss,
    "schedule": order.no_schedule,
}
"""How each kind of change is made in a program. Each editor returns edits, or raises `Unclear`."""

OF_CAUSE: Mapping[str, Editor] = {
    "missing-zero-grad": order.missing_zero_grad,
    "missing-backward": order.missing_backward,
    "clip-before-unscale": order.unscale_first,
    "missing-gradient-clipping": order.clip_norm,
    "scheduler-misuse": order.schedule,
    "optimizer-state-lost": order.optimizer_in_loop,
    "evaluation-mode-in-training": modes.training_mode,
    "training-mode-in-evaluation": modes.evaluation_mode,
    "evaluation-with-gradient": modes.no_gradient,
    "data-not-shuffled": modes.shuffled,
    "probabilities-as-logits": losses.without_squash,
    "logits-as-probabilities": losses.log_probabilities,
    "wrong-softmax-dim": losses.softmax_axis,
    "numeric-instability": losses.guarded,
    "broadcast-in-loss": shapes.same_shape,
    "loss-reduction": shapes.mean_of_loss,
    "gradient-ascent": shapes.minimised,
    "detached-graph": values.uncut,
    "frozen-parameters": values.trainable,
    "parameters-not-optimized": values.listed_layers,
    "missing-nonlinearity": units.nonlinearity,
    "bad-initialization": units.initialisation,
    "stale-best-weights": values.copied_weights,
    "memory-growth": values.numbers_kept,
    "wrong-reshape": values.axes_moved,
}
"""How a fault is repaired whose cause alone says how. Numbers are not among them: they are tried first."""
