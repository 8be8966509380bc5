"""Remedies for our own trainings: from a cause and the settings of a run to the changes worth trying."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from preceptor import catalogue
from preceptor.errors import ConfigError, PreceptorError
from preceptor.training.experiment import Experiment
from preceptor.trials.change import KINDS, Change, kind_of

__all__ = ["applied", "candidates", "change_to", "is_setting", "settings_of"]

_NAMED = ("optimizer", "schedule", "loss")  # settings that are blocks: what is set is their name
_MEANT: Mapping[str, tuple[str, Any]] = {
    "standardize_inputs": ("data.scale", "standard"),
    "standardize_targets": ("data.scale", "standard"),
    "clipping": ("training.max_grad_norm", None),
}
"""Changes that have another name for programs in general: the setting and the value they come to here."""


def candidates(cause: str, experiment: Experiment, fixed: Collection[str] = ()) -> list[Change]:
    """Return the changes that may remove a cause, the least intrusive first; none where no setting does.

    Only settings that the run's own blocks have are changed: a model without an option ``dropout`` is not
    given any, and an optimizer without a learning rate keeps what it has.

    Arguments:
        cause: an id of `preceptor.diagnosis.causes.CAUSES`.
        experiment: the run's settings, with everything decided.
        fixed: settings, or blocks, that were given in code and cannot be set.

    Example:
        >>> run = Experiment.of({"model": "mlp", "model.hidden": [16], "optimizer.lr": 0.5})
        >>> [str(change) for change in candidates("learning-rate-too-high", run)]
        ['lr 0.5 → 0.05', 'lr 0.5 → 0.005', 'lr 0.5 → 0.001', 'max_grad_norm none → 1']
        >>> candidates("missing-zero-grad", run)
        []
    """
    current = _Current(experiment, fixed)
    made = _REMEDIES.get(cause, _nothing)(current)
    found: list[Change] = []
    for kind, after in made:
        if current.takes(kind) and not _same(current[kind], after):
            change = Change(kind, current[kind], after)
            if change not in found:
                found.append(change)
    return found


def is_setting(change: Change) -> bool:
    """Whether a change is one of a training's settings, not of a program's code.

    Example:
        >>> is_setting(Change("lr", 0.5, 0.05)), is_setting(Change("zero_grad"))
        (True, False)
    """
    return bool(_key(change.kind))


def change_to(kind: str, after: Any, experiment: Experiment) -> Change:
    """Return the change that gives a setting another value.

    Raises:
        UnknownName: there is no such kind of change.
        ConfigError: no setting of this run can be changed so.

    Example:
        >>> str(change_to("lr", 0.01, Experiment.of({"optimizer.lr": 0.5})))
        'lr 0.5 → 0.01'
    """
    change = Change(kind, None, after)
    current = _Current(experiment)
    settings_of(change, experiment)
    return Change(kind, current[kind], after)


def settings_of(change: Change, experiment: Experiment) -> dict[str, Any]:
    """Return the settings that a change comes to, by dotted key.

    Raises:
        ConfigError: it is no change of settings, or the run has no such setting.

    Example:
        >>> settings_of(Change("optimizer", "sgd", "adam"), Experiment())
        {'optimizer.name': 'adam'}
        >>> settings_of(Change("standardize_inputs"), Experiment())
        {'data.scale': 'standard'}
    """
    if change.kind in _MEANT:
        key, value = _MEANT[change.kind]
        return {key: value}
    if not change.setting:
        raise ConfigError(
            "this change is no setting of a training",
            expected="one of " + ", ".join(kind for kind in KINDS if KINDS[kind].setting),
            received=str(change),
            hint="it is an edit of a program's code, to be made by hand",
        )
    if not _Current(experiment).takes(change.kind):
        raise ConfigError(
            f"the run has no setting {change.setting}",
            expected=_options(experiment, change.setting.partition(".")[0]),
            received=str(change),
        )
    after = list(change.after) if isinstance(change.after, tuple) else change.after
    return {_key(change.kind): after}


def applied(change: Change, experiment: Experiment) -> Experiment:
    """Return the experiment with a change made.

    Raises:
        ConfigError: it is no change of settings, or its value cannot be used.

    Example:
        >>> applied(Change("lr", 0.5, 0.05), Experiment.of({"optimizer.lr": 0.5})).optimizer.options["lr"]
        0.05
    """
    return experiment.changed(settings_of(change, experiment))


class _Current:
    """What the settings of a run are, by the kind of change that would change them."""

    def __init__(self, experiment: Experiment, fixed: Collection[str] = ()) -> None:
        self.experiment, self.fixed = experiment, frozenset(fixed)
        self.flat = experiment.flat()

    def __getitem__(self, kind: str) -> Any:
        key = _key(kind)
        value = self.flat.get(key, _defaults(self.experiment, key).get(key.rpartition(".")[2]))
        return tuple(value) if isinstance(value, list) else value

    def number(self, kind: str) -> float | None:
        """Return a setting that is a positive number; None where it is none."""
        value = self[kind]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number and value > 0 else None

    def takes(self, kind: str) -> bool:
        """Whether the run has the setting, and it is not given in code."""
        key = _key(kind)
        if not key or not self.fixed.isdisjoint({key, key.partition(".")[0]}):
            return False
        return key in self.flat or key.rpartition(".")[2] in _defaults(self.experiment, key)


def _key(kind: str) -> str:
    """Return the setting that a kind of change is about; "" where there is none."""
    key = _MEANT[kind][0] if kind in _MEANT else kind_of(kind).setting
    return f"{key}.name" if key in _NAMED else key


def _defaults(experiment: Experiment, key: str) -> Mapping[str, Any]:
    """Return the options, with their defaults, of the block of the catalogue that a setting belongs to."""
    block = getattr(experiment, key.partition(".")[0], None)
    kind = {"model": "architecture"}.get(key.partition(".")[0], key.partition(".")[0])
    if key.partition(".")[0] not in (*_NAMED, "model"):
        return {}
    try:
        return catalogue.entry(block.name, kind).defaults  # type: ignore[union-attr]  # a block that has a name
    except PreceptorError:  # a block of the user's own
        return {}


def _options(experiment: Experiment, block: str) -> str:
    chosen = [key for key in experiment.flat() if key.startswith(f"{block}.")]
    return ", ".join(dict.fromkeys([*chosen, *(f"{block}.{key}" for key in _defaults(experiment, block))]))


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, int | float) and isinstance(after, int | float):
        return abs(before - after) <= 1e-3 * abs(before)
    return bool(before == after)


_Edits = Iterable[tuple[str, Any]]


def _nothing(current: _Current) -> _Edits:
    return ()


def _scaled(current: _Current, kind: str, *factors: float) -> Iterator[tuple[str, Any]]:
    """Yield a number times each factor, in as few digits as tell it."""
    value = current.number(kind)
    for factor in factors if value is not None else ():
        assert value is not None  # noqa: S101 - just looked at
        yield kind, float(f"{value * factor:.6g}")


def _usual_rate(current: _Current, *, below: float = 0.0, above: float = 0.0) -> Iterator[tuple[str, Any]]:
    """Yield the optimizer's own default rate, if it lies clearly on the right side of the present one."""
    usual, rate = _defaults(current.experiment, "optimizer.lr").get("lr"), current.number("lr")
    if rate and usual and ((below and usual < rate * below) or (above and usual > rate * above)):
        yield "lr", usual


def _slower(current: _Current) -> _Edits:
    return [
        *_scaled(current, "lr", 0.1, 0.01),
        *_usual_rate(current, below=1 / 3),
        ("max_grad_norm", 1.0),
    ]


def _faster(current: _Current) -> _Edits:
    return [
        *_scaled(current, "lr", 10.0, 100.0),
        *_usual_rate(current, above=3.0),
        *(_looser(current) if current.number("max_grad_norm") else ()),
    ]


def _longer(current: _Current) -> _Edits:
    epochs = current.experiment.training.epochs
    return [("epochs", 3 * epochs), *_scaled(current, "lr", 3.0)]


def _regularised(current: _Current) -> _Edits:
    decay, dropout = current["weight_decay"] or 0.0, current["dropout"] or 0.0
    return [
        *([("patience", 10)] if current.experiment.training.patience is None else ()),
        ("weight_decay", float(f"{max(1e-2, 10 * decay):.6g}")),
        *([("dropout", 0.3)] if dropout < 0.3 else ()),
        *_resized(current, lambda width: max(4, width // 4)),
    ]


def _larger(current: _Current) -> _Edits:
    return [
        *_resized(current, lambda width: 4 * width),
        *_resized(current, lambda width: max(64, 16 * width)),
    ]


def _resized(current: _Current, to: Callable[[int], int]) -> Iterator[tuple[str, Any]]:
    hidden = current["hidden"]
    if isinstance(hidden, int):
        yield "hidden", to(hidden)
    elif hidden and all(isinstance(width, int) for width in hidden):
        yield "hidden", tuple(to(width) for width in hidden)


def _looser(current: _Current) -> _Edits:
    return [*_scaled(current, "max_grad_norm", 100.0), ("clipping", None)]


def _batches(current: _Current) -> _Edits:
    size = current.experiment.training.batch_size
    if not isinstance(size, int) or size < 16:
        return [("batch_size", 32)]
    return [("batch_size", max(16, size // 4)), ("batch_size", 32)]


def _less_decay(current: _Current) -> _Edits:
    return [*_scaled(current, "weight_decay", 0.01), ("weight_decay", 0.0)]


def _less_dropout(current: _Current) -> _Edits:
    return [*([("dropout", 0.2)] if (current["dropout"] or 0.0) > 0.3 else ()), ("dropout", 0.0)]


def _sound_precision(current: _Current) -> _Edits:
    half = current.experiment.training.precision
    return [*([("precision", "bf16")] if half == "fp16" else ()), ("precision", "fp32")]


def _finite(current: _Current) -> _Edits:
    return [*_sound_precision(current), *_slower(current)]


_REMEDIES: Mapping[str, Callable[[_Current], _Edits]] = {
    "learning-rate-too-high": _slower,
    "learning-rate-too-low": _faster,
    "too-few-epochs": _longer,
    "unsuitable-optimizer": lambda current: [("optimizer", "adam"), ("optimizer", "momentum")],
    "unsuitable-batch-size": _batches,
    "batch-norm-small-batch": lambda current: [("batch_size", 32)],
    "weight-decay-too-strong": _less_decay,
    "missing-gradient-clipping": lambda current: [("max_grad_norm", 1.0), *_scaled(current, "lr", 0.1)],
    "clipping-too-tight": _looser,
    "scheduler-misuse": lambda current: [("schedule", "constant")],
    "overfitting": _regularised,
    "dropout-too-strong": _less_dropout,
    "capacity-too-low": _larger,
    "unscaled-inputs": lambda current: [("scaling", "standard")],
    "unscaled-targets": lambda current: [("scaling", "standard")],
    "unsuitable-hidden-activation": lambda current: [("activation", "relu"), ("activation", "tanh")],
    "missing-nonlinearity": lambda current: [("activation", "relu")],
    "bad-initialization": lambda current: [("init", "he-normal"), ("init", "xavier-uniform")],
    "loss-mismatch": lambda current: [("loss", "auto")],
    "numeric-instability": _finite,
    "loss-scale-collapse": _sound_precision,
    "updates-lost-to-rounding": _sound_precision,
}
"""What may remove a cause: pairs of a kind of change and the value after it, the least intrusive first."""
