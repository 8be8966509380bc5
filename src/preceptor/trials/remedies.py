"""What to try for each cause: changes in order of least intrusion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from preceptor.diagnosis.finding import Finding
from preceptor.trials._edit_operators import output_nodes
from preceptor.trials._edit_width import narrowest
from preceptor.trials.change import Change
from preceptor.trials.setup import Setup

__all__ = ["REMEDIES", "RIVALS", "remedies"]

_HIDDEN = ("sigmoid", "tanh", "softmax", "softplus", "relu", "leaky_relu", "elu", "exp", "sin", "hardtanh")
_GENTLE, _LOOSE = 1e-4, 1e-2


def remedies(finding: Finding, setup: Setup) -> list[Change]:
    """Return the changes that would remove the cause of a finding, the least intrusive first.

    Example:
        >>> sorted(REMEDIES)[:3]
        ['bad-initialization', 'batch-norm-small-batch', 'broadcast-in-loss']
    """
    make = REMEDIES.get(finding.cause)
    found = (
        [change for change in make(setup) if change.before is None or change.before != change.after]
        if make
        else []
    )
    return list(dict.fromkeys(found))


def _lower(setup: Setup) -> Iterable[Change]:
    if setup.lr > 0:
        yield from (Change("lr", setup.lr, setup.lr / by) for by in (10, 100, 1000))
    yield Change("max_grad_norm", setup.max_grad_norm, 1.0)


def _higher(setup: Setup) -> Iterable[Change]:
    if setup.lr > 0:
        yield from (Change("lr", setup.lr, setup.lr * by) for by in (10, 100, 1000))
    yield from _other_optimizer(setup)


def _other_optimizer(setup: Setup) -> Iterable[Change]:
    name = setup.kind.__name__.lower()
    yield Change("optimizer", name, "sgd" if name in ("adam", "adamw") else "adam")
    if name not in ("adam", "adamw") and setup.lr > 0:
        yield from (Change("lr", setup.lr, setup.lr * by) for by in (10, 0.1))


def _longer(setup: Setup) -> Iterable[Change]:
    yield from (Change("epochs", setup.steps, setup.steps * by) for by in (3, 10))


def _batches(setup: Setup) -> Iterable[Change]:
    size = setup.rows.size
    yield Change("batch_size", size, 32)
    if size > 64:
        yield Change("batch_size", size, max(8, size // 16))


def _activation(setup: Setup) -> Iterable[Change]:
    units = {node.index for node in output_nodes(setup)}
    used = {n.op.rstrip("_") for n in setup.rerun.nodes if n.index not in units} & set(_HIDDEN)
    for name in sorted(used):
        yield from (Change("activation", name, other) for other in ("relu", "elu", "tanh") if other != name)


def _output(setup: Setup) -> Iterable[Change]:
    units = sorted({node.op.rstrip("_") for node in output_nodes(setup)})
    wanted = {"accuracy": ("linear", "sigmoid", "softmax"), "explained": ("linear", "sigmoid")}
    for after in wanted.get(setup.yardstick.measure, ("linear",)):
        for unit in units:
            if unit != after:
                yield Change("output", unit, after)
        if not units and after != "linear":
            yield Change("output", None, after)
    yield from _loss(setup)


def _loss(setup: Setup) -> Iterable[Change]:
    if setup.yardstick.measure == "accuracy":
        yield Change("loss", _loss_name(setup), "cross_entropy")
        yield Change("loss", _loss_name(setup), "binary_cross_entropy_with_logits")
    elif setup.yardstick.measure == "explained":
        yield Change("loss", _loss_name(setup), "mse_loss")
        if any(node.op.rstrip("_") == "sigmoid" for node in output_nodes(setup)):
            yield Change("loss", _loss_name(setup), "binary_cross_entropy")


def _loss_name(setup: Setup) -> str:
    node = setup.rerun.loss.producer
    return node.op if node is not None else "loss"


def _scale(setup: Setup) -> Iterable[Change]:
    yield Change("standardize_inputs")
    if setup.lr > 0:
        yield Change("lr", setup.lr, setup.lr / 100)


def _clip(setup: Setup) -> Iterable[Change]:
    yield Change("max_grad_norm", setup.max_grad_norm, 1.0)
    yield from list(_lower(setup))[:2]


def _wider(setup: Setup) -> Iterable[Change]:
    width = narrowest(setup)
    if width is not None:
        yield from (Change("hidden", width, max(least, by * width)) for by, least in ((4, 8), (16, 64)))


def _reduction(setup: Setup) -> Iterable[Change]:
    if setup.accumulate > 1:
        yield Change("reduction", f"sum over batches ({setup.accumulate})", "mean")
    yield Change("reduction", "sum", "mean")


def _decay(setup: Setup) -> Iterable[Change]:
    if setup.option("weight_decay"):
        yield from (Change("weight_decay", setup.option("weight_decay"), to) for to in (_GENTLE, 0.0))


def _regularized(setup: Setup) -> Iterable[Change]:
    yield from (Change("epochs", setup.steps, max(1, setup.steps // by)) for by in (3, 10))
    if setup.option("weight_decay") is not None:
        yield Change("weight_decay", setup.option("weight_decay"), _LOOSE)
    yield Change("dropout", _rate(setup), 0.5)


def _rate(setup: Setup) -> float | None:
    """The strongest dropout in the step."""
    calls = [n.call for n in setup.rerun.nodes if n.op.rstrip("_") == "dropout" and n.call is not None]
    rates = [call.kwargs.get("p", call.args[1] if len(call.args) > 1 else 0.5) for call in calls]
    return max((float(rate) for rate in rates if isinstance(rate, (int, float))), default=None)


def _stable(setup: Setup) -> Iterable[Change]:
    yield from (Change("eps", None, eps) for eps in (1e-6, 1e-3))
    yield from _lower(setup)


def _labels_as_logits(setup: Setup) -> Iterable[Change]:
    yield from (Change("output", None, unit) for unit in ("log_softmax", "softmax"))
    yield from _loss(setup)


def _init(setup: Setup) -> Iterable[Change]:
    yield Change("init", "the program's", "kaiming-uniform")


def _only(kind: str, before: object = None, after: object = None) -> Callable[[Setup], Iterable[Change]]:
    return lambda setup: [Change(kind, before, after)]


REMEDIES: Mapping[str, Callable[[Setup], Iterable[Change]]] = {
    "learning-rate-too-high": _lower,
    "learning-rate-too-low": _higher,
    "unsuitable-optimizer": _other_optimizer,
    "too-few-epochs": _longer,
    "unsuitable-batch-size": _batches,
    "unsuitable-output-activation": _output,
    "unsuitable-hidden-activation": _activation,
    "missing-nonlinearity": _only("nonlinearity", None, "relu"),
    "loss-mismatch": _loss,
    "probabilities-as-logits": _only("softmax", "softmax"),
    "logits-as-probabilities": _labels_as_logits,
    "broadcast-in-loss": lambda setup: [Change("flatten_prediction"), *_loss(setup)],
    "wrong-softmax-dim": lambda setup: [Change("axis", "the program's", axis) for axis in (-1, 1, -2)],
    "unscaled-inputs": _scale,
    "unscaled-targets": _only("standardize_targets"),
    "invalid-values-in-data": _only("finite_data"),
    "data-not-shuffled": _only("shuffle"),
    "bad-initialization": _init,
    "missing-zero-grad": _only("zero_grad"),
    "missing-backward": _only("backward"),
    "parameters-not-optimized": _only("optimized"),
    "frozen-parameters": _only("trainable"),
    "detached-graph": _only("detach", "detach()"),
    "evaluation-mode-in-training": _only("train_mode"),
    "scheduler-misuse": _only("schedule", "the program's", "constant"),
    "weight-decay-too-strong": _decay,
    "capacity-too-low": _wider,
    "dropout-too-strong": lambda setup: [Change("dropout", _rate(setup), rate) for rate in (0.2, 0.0)],
    "batch-norm-small-batch": lambda setup: [*_batches(setup), Change("batch_norm")],
    "missing-gradient-clipping": _clip,
    "clipping-too-tight": lambda setup: [
        Change("max_grad_norm", setup.max_grad_norm, 1.0),
        Change("clipping", setup.max_grad_norm),
    ],
    "loss-reduction": _reduction,
    "overfitting": _regularized,
    "numeric-instability": _stable,
    "gradient-ascent": _only("sign", "the negative loss", "the loss"),
}
"""For a cause, what makes its candidates; causes without an entry lie outside of what a step shows."""

RIVALS: Mapping[str, tuple[str, ...]] = {
    "learning-rate-too-high": ("unscaled-inputs", "unscaled-targets", "unsuitable-optimizer"),
    "learning-rate-too-low": ("too-few-epochs", "unscaled-inputs", "unsuitable-optimizer"),
    "too-few-epochs": ("learning-rate-too-low", "unsuitable-optimizer"),
    "unsuitable-optimizer": ("learning-rate-too-low", "learning-rate-too-high"),
    "missing-gradient-clipping": ("learning-rate-too-high",),
    "capacity-too-low": ("too-few-epochs", "learning-rate-too-low"),
    "unscaled-inputs": ("learning-rate-too-high",),
}
"""Causes that look the same: what is tried beside the cause's own remedies, to tell them apart."""
