"""Whether transfer suits: the same kind of input, more data there, features that are of use here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["Facts", "Probe", "moments_of", "probe", "transfer_check"]

_FAR, _WIDE = 0.5, 2.0  # standard deviations between means, and a ratio of spreads: what is worth a word
_FOLDS = 5
_Z = 1.96


@dataclass(frozen=True)
class Facts:
    """What a check must know of a data set.

    Attributes:
        kind: ``"images"``, ``"vectors"``, ``"table"`` or ``"tensors"``.
        shape: of one example.
        examples: to learn from; None where nobody knows.
        mean, deviation: of the inputs as the network is given them, by channel or feature; None: unknown.
        name: what it is called.
    """

    kind: str
    shape: tuple[int, ...]
    examples: int | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    name: str = "the source"


@dataclass(frozen=True)
class Probe:
    """How well a linear readout does on trained and on untrained features, example by example, held out.

    Attributes:
        trained, untrained: the share that is right, or R².
        gain: their mean difference, with a 95 % interval.
        n: examples.
    """

    trained: float
    untrained: float
    gain: float
    interval: tuple[float, float]
    n: int
    measure: str = "accuracy"

    @property
    def verdict(self) -> str:
        """``"helps"``, ``"harms"`` or ``"undecided"``, by the interval."""
        low, high = self.interval
        return "helps" if low > 0 else "harms" if high < 0 else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.measure} {self.trained:.2f} from trained features, {self.untrained:.2f} from untrained "
            f"ones (gain {self.gain:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}, n = {self.n})"
        )


def probe(trained: Tensor, untrained: Tensor, y: Tensor) -> Probe:
    """Compare two sets of features by ridge regression onto the targets, in five folds.

    Arguments:
        trained: N × …, of the network with the source's weights.
        untrained: N × …, of the same network before.
        y: class indices (N,), or numbers (N,) or (N, D).

    Example:
        >>> y = torch.arange(40) % 2
        >>> informed = y[:, None] + 0.01 * torch.arange(40.0)[:, None] % 3
        >>> probe(informed, torch.ones(40, 1), y).verdict
        'helps'
    """
    whole = not y.is_floating_point()
    target = torch.nn.functional.one_hot(y.reshape(-1)).double() if whole else y.double().reshape(len(y), -1)
    right = []
    for features in (trained, untrained):
        predicted = _held_out(_flat(features), target.numpy())
        if whole:
            right.append((predicted.argmax(1) == y.reshape(-1).numpy()).astype(float))
        else:  # each example's share of the explained variance
            spread = ((target - target.mean(0)) ** 2).mean().item() or 1.0
            right.append(1 - ((predicted - target.numpy()) ** 2).mean(1) / spread)
    difference = right[0] - right[1]
    gain = float(difference.mean())
    half = _Z * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return Probe(
        float(right[0].mean()),
        float(right[1].mean()),
        gain,
        (gain - half, gain + half),
        len(difference),
        "accuracy" if whole else "R²",
    )


def _flat(features: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return N × D; maps are averaged over their places."""
    if features.ndim > 2:
        features = features.flatten(2).mean(2)
    return features.double().numpy()


def _held_out(x: Any, target: Any) -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predicted = np.empty_like(target)
    fold = np.arange(len(x)) % _FOLDS
    for i in range(_FOLDS):
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 4, 11)))
        predicted[fold == i] = (
            model.fit(x[fold != i], target[fold != i]).predict(x[fold == i]).reshape(-1, target.shape[1])
        )
    return predicted


@registered(
    kind="transfer",
    name="transfer-check",
    aliases=("applicability-check", "tl-check", "negative-transfer", "transferability"),
    formula="(1) the inputs are of one kind, shape and scale: |μ_t − μ_s| ≤ σ_s / 2, ½ ≤ σ_t / σ_s ≤ 2; "
    "(2) n_source > n_target; (3) a linear readout does better on the source's features than on those of the "
    "same network untrained: the 95 % interval of the gain lies above 0",
    shapes="the facts of both data sets, perhaps a probe → sentences, one for each condition that fails",
    when="before a network is reused: what fails says why it may not help",
    pitfalls="it is no proof: train once from scratch and compare; a probe sees what a linear readout can "
    "use before any fine-tuning",
    source="Pan and Yang, A Survey on Transfer Learning, 2010; Alain and Bengio, Understanding Intermediate "
    "Layers Using Linear Classifier Probes, 2017",
    example="""
    >>> from preceptor.catalogue.transfer import Facts
    >>> get('transfer-check', Facts('images', (3, 32, 32), 500), Facts('images', (3, 32, 32), 244))
    []
    >>> get('transfer-check', Facts('images', (1, 28, 28), 100), Facts('images', (3, 28, 28), 244))[1]
    'no more data there: 100 training examples there, 244 here'
    """,
)
def transfer_check(source: Facts, target: Facts, gain: Probe | None = None) -> list[str]:
    """Transfer check: whether the conditions hold under which a trained network is worth reusing.

    Raises:
        ConfigError: something else than `Facts`.
    """
    if not isinstance(source, Facts) or not isinstance(target, Facts):
        raise ConfigError(
            "transfer-check needs the facts of two data sets",
            expected="Facts(kind, shape, examples, mean, deviation)",
            received=f"{type(source).__name__}, {type(target).__name__}",
        )
    said = [*_kinds(source, target), *_scales(source, target)]
    if None not in (source.examples, target.examples) and source.examples <= target.examples:  # type: ignore[operator]  # None is ruled out before
        said.append(
            f"no more data there: {source.examples:,} training examples there, {target.examples:,} here"
        )
    if gain is not None and gain.verdict != "helps":
        sure, how = ("likely", "worse than") if gain.verdict == "harms" else ("possible", "no better than")
        said.append(f"negative transfer is {sure}: the source's features do {how} untrained ones: {gain}")
    return said


def _kinds(source: Facts, target: Facts) -> list[str]:
    if source.kind != target.kind:
        return [f"another kind of input: {source.kind} there, {target.kind} here"]
    if source.shape != target.shape:
        there, here = ("×".join(map(str, facts.shape)) for facts in (source, target))
        return [f"another shape: {source.kind} {there} there, {here} here"]
    return []


def _scales(source: Facts, target: Facts) -> list[str]:
    known = (source.mean, source.deviation, target.mean, target.deviation)
    if any(values is None for values in known):
        return []
    means, spreads, own, own_spreads = (np.asarray(values, dtype=float) for values in known)
    if means.shape != own.shape:
        return []
    spreads = np.where(spreads > 0, spreads, 1.0)
    far = float(np.abs((own - means) / spreads).max(initial=0.0))
    ratio = own_spreads / spreads
    said = []
    if far > _FAR:
        said.append(f"the inputs lie elsewhere: a mean is {far:.2g} of the source's standard deviations away")
    wide = float(ratio.max(initial=0.0)) if ratio.max(initial=0.0) > _WIDE else float(ratio.min(initial=1.0))
    if not 1 / _WIDE <= wide <= _WIDE:
        said.append(f"the inputs are spread otherwise: {wide:.2g} times the source's standard deviation")
    return said


def moments_of(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation by channel or feature.

    Example:
        >>> moments_of(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
        ((1.0, 1.0), (1.0, 0.0))
    """
    values = x.double().transpose(0, 1).flatten(1)
    return tuple(values.mean(1).tolist()), tuple(values.std(1, correction=0).tolist())
