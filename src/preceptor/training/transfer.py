"""What a training takes over from an earlier one: weights, what of them is frozen, and rates by layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue.augmentations import Pipeline
from preceptor.catalogue.pretrained import MatchReport, pretrained
from preceptor.catalogue.transfer import (
    Freezing,
    Probe,
    call_order,
    cut_at,
    head_of,
    inputs_of,
    layers_of,
    probe,
    rate_factors,
)
from preceptor.catalogue.transfer.parts import tensors_of
from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, ModelError
from preceptor.training.applicability import same_data, say
from preceptor.training.evaluate import evaluation
from preceptor.training.experiment import Experiment
from preceptor.training.features import FeatureBatches
from preceptor.training.feeds import Feeds
from preceptor.training.problem import Problem
from preceptor.training.settings import TransferSettings
from preceptor.training.source import Source

__all__ = ["Reused", "Transfer", "begin", "precompute", "refuse_layers_apart"]

_PROBED = 300  # training examples
_NUMBERS = 9_000_000  # of all of them together: large images are probed by fewer
_FEWEST = 40  # below that a probe tells nothing


@dataclass(frozen=True)
class Reused:
    """One layer: what became of it.

    Attributes:
        layer: the names of its modules.
        weights: ``"copied"``, ``"new"``, ``"partly copied"`` or ``""`` where nothing was to be copied.
        learns: ``"always"``, ``"never"`` or ``"from epoch 5"``.
        factor: of the learning rate.
    """

    layer: str
    weights: str
    learns: str
    factor: float


@dataclass
class Transfer:
    """What was taken over.

    Attributes:
        source: the run; None where nothing was loaded.
        lines: what is to be said of it.
        rows: the layers from the inputs on.
        freezing: which of them learn when.
        factors: of the learning rate, by parameter; empty where all have the same.
        fresh: the tensors that were not loaded.
    """

    source: str | None
    lines: list[str] = field(default_factory=list)
    rows: tuple[Reused, ...] = ()
    freezing: Freezing | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()

    def to_plain(self) -> dict[str, Any]:
        """Return it as the manifest holds it."""
        return {
            "source": self.source,
            "lines": list(self.lines),
            "layers": [vars(row) for row in self.rows],
            "fresh": sorted(self.fresh),
        }

    def groups(self, model: nn.Module) -> tuple[list[nn.Parameter], list[list[nn.Parameter]]]:
        """Return the parameters that ever learn, and the same by their rate's factor, the largest first."""
        found: dict[float, list[nn.Parameter]] = {}
        for name, p in model.named_parameters():
            if self.freezing.ever(p) if self.freezing else p.requires_grad:
                found.setdefault(self.factors.get(name, 1.0), []).append(p)
        ordered = [found[factor] for factor in sorted(found, reverse=True)]
        return [p for group in ordered for p in group], ordered

    def scale(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        """Multiply the rate of each parameter group of an optimizer by its layers' factor.

        Raises:
            ConfigError: the optimizer's groups have no rates.
        """
        names = {id(p): name for name, p in model.named_parameters()}
        for group in optimizer.param_groups:
            if "lr" not in group:
                raise ConfigError(
                    "the optimizer has no rate by layer",
                    expected="an optimizer whose groups have a learning rate, such as adam or sgd",
                    received=type(optimizer).__name__,
                )
            group["lr"] *= self.factors.get(names[id(group["params"][0])], 1.0)


def begin(
    experiment: Experiment,
    source: Source | None,
    model: nn.Module,
    feeds: Feeds,
    width: int,
    pipeline: Pipeline | None = None,
) -> Transfer | None:
    """Load what is to be reused into a model that was just made; None where no such setting is in force.

    Draws nothing from the random generators.

    Raises:
        ModelError: nothing of the source fits the model.
        UnknownName: layers of other names than the model has.
        CheckpointError: the source cannot be read.
    """
    settings = experiment.transfer
    if not settings.active:
        return None
    sample = feeds.sample[0]
    order = call_order(model, sample) if isinstance(sample, Tensor) else ()
    head = _head(model, width, order)
    transfer = Transfer(settings.source)
    if settings.source is not None and source is not None:
        _take_over(transfer, settings, source, model, feeds, head, pipeline)
    pairs = list(settings.thaws)
    if settings.freeze or pairs:
        transfer.freezing = Freezing(
            model, settings.freeze, pairs, head=head, order=order, never=transfer.fresh
        )
        transfer.lines.append(_frozen(model, transfer.freezing, settings))
    if settings.layer_lr_decay is not None or settings.lr_factors:
        decay = 1.0 if settings.layer_lr_decay is None else settings.layer_lr_decay
        transfer.factors = rate_factors(model, decay, settings.factors, head=head, order=order)
        low, high = min(transfer.factors.values()), max(transfer.factors.values())
        transfer.lines.append(f"learning rates by layer: {low:.3g} to {high:.3g} times the rate")
    transfer.rows = tuple(_rows(transfer, model, order))
    return transfer


def _head(model: nn.Module, width: int, order: tuple[str, ...]) -> str | None:
    try:
        return head_of(model, width, order)
    except ModelError:
        return None


def _take_over(
    transfer: Transfer,
    settings: TransferSettings,
    source: Source,
    model: nn.Module,
    feeds: Feeds,
    head: str | None,
    pipeline: Pipeline | None,
) -> None:
    if source.weights is None:  # a run that goes on: its checkpoint brings the weights
        noted = source.noted or {}
        transfer.fresh = frozenset(noted.get("fresh", ()))
        return
    # What the source has learned from these very labels tells nothing of what it can do for others.
    tell = settings.check and head is not None and not same_data(source, feeds)
    x = _probed(feeds, pipeline) if tell else None
    before = _features(model, head, x) if x is not None and head is not None else None
    report, renewed = _load(settings, source, model, feeds, head)
    transfer.fresh = frozenset(report.missing) | {name for name, *_ in report.mismatched}
    transfer.lines.append(_matched(report, source, head, renewed))
    gain = None
    if before is not None and x is not None and head is not None:
        gain = _gain(_features(model, head, x), before, _targets(feeds, len(x)))
    transfer.lines += say(source, feeds, gain, check=settings.check)


def _load(
    settings: TransferSettings, source: Source, model: nn.Module, feeds: Feeds, head: str | None
) -> tuple[MatchReport, bool]:
    """Copy what fits; the head only where it stands for the same classes."""
    assert source.weights is not None  # noqa: S101 - the caller has looked
    weights = dict(source.weights)
    same = bool(source.classes) and source.classes == feeds.signature.classes
    if not source.classes and not feeds.signature.classes and feeds.preprocessor is not None:
        same = source.preprocessor is not None and (
            source.preprocessor.target_name == feeds.preprocessor.target_name
        )
    renewed = settings.head == "new" or (settings.head == "by-classes" and not same)
    if renewed and head is not None:
        weights = {k: v for k, v in weights.items() if head and not k.startswith(f"{head}.")}
    report = pretrained(model, weights)
    learned = {name for name, _ in model.named_parameters()}
    if not learned & set(report.loaded):
        raise ModelError(
            f"nothing of {source.name} fits the model",
            expected="layers of the same names and shapes",
            received=f"there {', '.join(list(source.weights)[:6])}; here {', '.join(list(learned)[:6])}",
            hint="leave out --model, and the source's own model is taken",
        )
    return report, renewed


def _matched(report: MatchReport, source: Source, head: str | None, renewed: bool) -> str:
    loaded, total = len(report.loaded), len(report.loaded) + len(report.missing) + len(report.mismatched)
    text = f"{loaded} of {total} tensors from {source.name}"
    if head is not None and (renewed or any(name.startswith(f"{head}.") for name, *_ in report.mismatched)):
        text += f"; the head {head or 'itself'} is new"
    apart = [
        f"{name} has another shape, {own} here, {there} there"
        for name, own, there in report.mismatched
        if head is None or not name.startswith(f"{head}.")
    ]
    apart += [
        f"{name} is missing there"
        for name in report.missing
        if head is None or not name.startswith(f"{head}.")
    ]
    left = [name for name in report.unexpected if head is None or not name.startswith(f"{head}.")]
    apart += [f"{name} is not in the model" for name in left]
    more = len(apart) - 6
    return "; ".join([text, *apart[:6], *([f"and {more} more"] if more > 0 else [])])


def _probed(feeds: Feeds, pipeline: Pipeline | None) -> Tensor | None:
    """Return an even choice of the training examples as the model sees them; None where there are too few."""
    if not isinstance(feeds.train, TensorBatches) or (pipeline is not None and pipeline.views > 1):
        return None
    rows = _rows_probed(feeds)
    if rows is None:
        return None
    x = feeds.train.x[rows.to(feeds.train.y.device)]
    return x if pipeline is None else pipeline.eval().forward(x)


def _rows_probed(feeds: Feeds) -> Tensor | None:
    assert isinstance(feeds.train, TensorBatches)  # noqa: S101 - the caller has looked
    n, each = len(feeds.train.y), max(1, feeds.sample[0][0].numel())
    wanted = min(n, _PROBED, max(_FEWEST, _NUMBERS // each))
    return torch.linspace(0, n - 1, wanted).round().long() if n >= _FEWEST else None


def _targets(feeds: Feeds, n: int) -> Tensor:
    assert isinstance(feeds.train, TensorBatches)  # noqa: S101 - they were probed
    rows = torch.linspace(0, len(feeds.train.y) - 1, n).round().long()
    return feeds.train.y[rows.to(feeds.train.y.device)].cpu()


def _features(model: nn.Module, head: str, x: Tensor) -> Tensor | None:
    before = generators.capture()
    try:
        with evaluation(model):
            made = [inputs_of(model, head, part) for part in torch.split(x, 64)]
    finally:
        generators.restore(before)
    found = [features.float().cpu() for features in made if features is not None]
    return torch.cat(found) if found else None


def _gain(trained: Tensor | None, untrained: Tensor, y: Tensor) -> Probe | None:
    if trained is None or y.ndim > 2 or len(trained) != len(y):  # an output for each place, not each example
        return None
    if not (trained.isfinite().all() and untrained.isfinite().all()):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that are constant
        return probe(trained, untrained, y)


def _frozen(model: nn.Module, freezing: Freezing, settings: TransferSettings) -> str:
    named = dict(model.named_parameters())
    frozen = sum(p.numel() for name, p in named.items() if not freezing.learns(name, 1))
    text = f"{frozen:,} of {sum(p.numel() for p in named.values()):,} parameters are frozen"
    for epoch, words in settings.thaws:
        text += f"; from epoch {epoch} on {words} learns"
    if freezing.spared:
        text += f"; {', '.join(sorted(freezing.spared)[:6])} would be, but was not loaded, and learns"
    return text


def _rows(transfer: Transfer, model: nn.Module, order: tuple[str, ...]) -> list[Reused]:
    modules, rows = dict(model.named_modules()), []
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for layer in layers_of(model, order):
        names = [f"{m}.{own}" if m else own for m in layer for own in tensors_of(modules[m])]
        own = [name for name in names if name in learned]
        factors = [transfer.factors[name] for name in own if name in transfer.factors]
        rows.append(
            Reused(
                ", ".join(layer) or "(model)",
                "" if transfer.source is None else _became(own or names, transfer.fresh),
                _learns(own or names, transfer.freezing),
                max(factors, default=1.0),
            )
        )
    return rows


def _became(names: Sequence[str], fresh: Collection[str]) -> str:
    new = sum(name in fresh for name in names)
    return "copied" if not new else "new" if new == len(names) else "partly copied"


def _learns(names: Sequence[str], freezing: Freezing | None) -> str:
    held = [name for name in names if freezing is not None and not freezing.learns(name, 1)]
    if freezing is None or not held:
        return "always"
    epochs = {freezing.thaws.get(name) for name in held}
    known = [epoch for epoch in epochs if epoch is not None]
    when = f"from epoch {min(known)}" if known else "never"
    return when if len(held) == len(names) and len(epochs) == 1 else f"partly, the rest {when}"


def refuse_layers_apart(transfer: Transfer) -> None:
    """Refuse layers that thaw or have rates of their own, for an optimizer that takes all weights as one.

    Raises:
        ConfigError: there are such layers.
    """
    thaws = transfer.freezing is not None and bool(transfer.freezing.thaws)
    if thaws or transfer.factors:
        raise ConfigError(
            "the optimizer takes all weights as one vector, with one rate",
            expected="frozen layers that stay frozen, and no rates by layer",
            received="transfer.unfreeze" if thaws else "rates by layer",
            hint="adam, or sgd",
        )


def precompute(problem: Problem, feeds: Feeds, settings: TransferSettings) -> None:
    """Have the problem learn from features of its frozen part, where they are the same in every epoch.

    The model is in the modes of its first epoch.

    Raises:
        ConfigError: that was asked for, and cannot be.
    """
    transfer = problem.transfer
    if transfer is None or settings.cache_features == "never":
        return
    reason = _varies(problem, feeds, transfer)
    cut = None
    if reason is None:
        assert transfer.freezing is not None  # noqa: S101 - it is among the reasons
        cut = cut_at(problem.model, feeds.sample[0], transfer.freezing.ever)
        if cut is None:
            reason = "what is frozen is no part that can be cut off: something in it varies, or adapts"
    if cut is None:
        if settings.cache_features == "always":
            raise ConfigError(
                "the features cannot be computed once",
                expected="a frozen part that comes first, and inputs that do not vary",
                received=reason,
                hint='transfer.cache_features="where-possible"',
            )
        return
    extract = partial(_extract, problem, cut.body)
    for name in ("train", "probe", "val"):
        batches = getattr(problem, name)
        if type(batches) is TensorBatches:
            setattr(problem, name, FeatureBatches(batches, extract, cut.tail))
    transfer.lines.append(
        f"features are computed once: what comes before {cut.at} is the same in every epoch"
    )


def _varies(problem: Problem, feeds: Feeds, transfer: Transfer) -> str | None:
    """Say why the features of the frozen part are others each time; None where they may be the same."""
    hooks = problem.regularization.acts("examples", "perturb") if problem.regularization else False
    reasons = {
        "nothing is frozen": transfer.freezing is None or not transfer.freezing.frozen,
        "layers are unfrozen later": transfer.freezing is not None and bool(transfer.freezing.thaws),
        "augmentations vary the inputs": problem.augment is not None,
        "a regularizer varies inputs or weights": hooks,
        "auxiliary heads need the whole model": problem.heads,
        "batch normalisation is measured anew": problem.population is not None,
        "whole images go through in tiles": problem.tiling is not None,
        "the examples come in another form each time": type(feeds.train) is not TensorBatches,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _extract(problem: Problem, body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with evaluation(problem.model):
        return problem.in_precision(body, x)
