"""Whether a trained network suits other data, said from what is known of both data sets."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue.transfer import Facts, Probe, moments_of, transfer_check
from preceptor.data import Preprocessor
from preceptor.data._scaler import Scaler
from preceptor.data.batches import TensorBatches
from preceptor.training.augmentation import acts_in_evaluation
from preceptor.training.feeds import Feeds
from preceptor.training.source import Source

__all__ = ["same_data", "say"]

_LOOKED_AT = 500  # examples whose mean and spread are taken


def say(source: Source, feeds: Feeds, gain: Probe | None, *, check: bool) -> list[str]:
    """Return sentences: how the inputs are scaled, and what speaks for the transfer or against it.

    Arguments:
        source: the earlier run.
        feeds: the new data.
        gain: what a probe of the features showed; None where none was made.
        check: whether to compare the data sets.
    """
    lines = [_scaling(source, feeds)]
    if source.experiment is not None:
        steps = acts_in_evaluation(source.experiment.augmentations)
        if steps:
            lines.append(
                f"not taken over from there: {', '.join(steps)}, which changes inputs in evaluation too"
            )
    if not check or source.preprocessor is None or feeds.preprocessor is None:
        return lines
    if same_data(source, feeds):
        lines.append("the data are those that the source was trained on")
        if source.data.get("split") != feeds.data.get("split"):
            lines.append("against it: the split is another, so that it has seen what is held out here")
        return lines
    there, here = _facts(source, feeds)
    said = transfer_check(there, here, gain)
    if there.examples and here.examples and there.examples > here.examples:
        lines.append(f"more data there: {there.examples:,} training examples, {here.examples:,} here")
    if gain is not None and gain.verdict == "helps":
        lines.append(f"the source's features help: {gain}")
    lines += [f"against it: {one}" for one in said]
    if any(one.startswith(("negative", "another kind")) for one in said):
        lines.append("compare with the same network from scratch: the same command without --from")
    return lines


def _scaling(source: Source, feeds: Feeds) -> str:
    own, there = feeds.preprocessor, source.preprocessor
    if own is None or there is None:
        return "how inputs were scaled there is not known: scale them alike"
    if own.same_inputs(there):
        return "inputs are scaled as there"
    return "inputs are scaled by these data, not as there: the first layers meet other numbers"


def _facts(source: Source, feeds: Feeds) -> tuple[Facts, Facts]:
    there, here = source.preprocessor, feeds.preprocessor
    assert there is not None and here is not None  # noqa: S101, PT018 - the caller has looked
    sets = [(there, source.examples), (here, feeds.examples)]
    facts = [Facts(p.kind, p.input_shape, examples) for p, examples in sets]
    if isinstance(there.encoder, Scaler) and isinstance(here.encoder, Scaler):
        moments = _moments(there, here, feeds)
        if moments is not None:
            facts = [
                Facts(one.kind, one.shape, one.examples, mean, deviation)
                for one, (mean, deviation) in zip(facts, moments, strict=True)
            ]
    return facts[0], facts[1]


def _moments(
    there: Preprocessor, here: Preprocessor, feeds: Feeds
) -> list[tuple[tuple[float, ...], tuple[float, ...]]] | None:
    """Return mean and deviation of both, in the same units; None where they are not known."""
    a, b = there.encoder, here.encoder
    assert isinstance(a, Scaler) and isinstance(b, Scaler)  # noqa: S101, PT018 - the caller has looked
    if a.mean is None or a.deviation is None or not isinstance(feeds.train, TensorBatches):
        return None
    if there.same_inputs(here):  # in the source's standard deviations, by what the source's scaling left
        n = len(feeds.train.y)
        rows = torch.linspace(0, n - 1, min(n, _LOOKED_AT)).round().long().to(feeds.train.y.device)
        x: Tensor = feeds.train.x[rows]
        spread = tuple(float(d > 0) for d in a.deviation)
        return [((0.0,) * len(spread), spread), moments_of(x.cpu())]
    if b.mean is None or b.deviation is None:
        return None
    return [
        (tuple(map(float, scaler.mean)), tuple(map(float, scaler.deviation)))  # type: ignore[arg-type]  # arrays of numbers
        for scaler in (a, b)
    ]


def same_data(source: Source, feeds: Feeds) -> bool:
    """Say whether the examples are those that the source was trained on."""
    return bool(source.data) and source.data.get("examples") == feeds.data.get("examples")
