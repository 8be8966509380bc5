"""Networks beside each other: parameters, operations and memory, each at its published input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch

from preceptor.catalogue._entry import Entry
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import entry, find, registered
from preceptor.catalogue.calculators._walk import forward, training_step, without_values
from preceptor.errors import ConfigError

__all__ = ["Counts", "architecture_chart", "counts_of", "published_input"]

_SAID = re.compile(r"(\d+)×(\d+)×(\d+)(?: or [\d×]+)? and ([\d,]+) outputs")
_PAPERS = {  # those whose entries give no parameter count for it
    "lenet-5-original": ((1, 32, 32), 10),
    "fractalnet": ((3, 32, 32), 10),
    "stochastic-depth-resnet": ((3, 32, 32), 10),
    "u-net": ((1, 572, 572), 2),
}


def published_input(of: Entry) -> tuple[tuple[int, int, int], int] | None:
    """Return the images and outputs that an architecture was published for; None where it is for any.

    Example:
        >>> published_input(entry("lenet-5"))
        ((1, 28, 28), 10)
    """
    said = _SAID.search(of.shapes)
    if said is None:
        return _PAPERS.get(of.name)
    channels, height, width, outputs = (int(number.replace(",", "")) for number in said.groups())
    return (channels, height, width), outputs


class Counts(NamedTuple):
    """Parameters; of one example operations, forward, and bytes that are kept for the backward pass."""

    input: tuple[int, int, int]
    outputs: int
    parameters: int
    operations: int
    activations: int


def counts_of(of: Entry) -> Counts:
    """Count an architecture at its published input, on the meta device.

    Raises:
        ConfigError: it was not published for one.
    """
    published = published_input(of)
    if published is None:
        raise ConfigError(
            f"{of.name} was not published for one input",
            expected="an architecture for images of one size",
            received=of.name,
            hint=f"preceptor summary {of.name} --input C,H,W",
        )
    shape, outputs = published
    with torch.device("meta"):
        model = without_values(of.build(shape, outputs))
        walk = forward(model, (torch.zeros(1, *shape),))
        step = training_step(model, (torch.zeros(1, *shape),), training=False, backward=False)
    operations = sum(passed.operations for passed in walk.passed.values())
    parameters = sum(p.numel() for p in model.parameters())
    return Counts(shape, outputs, parameters, operations, sum(step.kept.values()))


@registered(
    kind="inspection",
    name="architecture-chart",
    aliases=("arch-chart", "architecture-comparison"),
    formula="for each architecture at its published input: parameters against operations of one example, "
    "forward (2 for a multiplication with addition)",
    shapes="names of architectures, all that were published for images by default → counts, with a picture",
    when="choosing a network for what a machine can take",
    pitfalls="operations are not time: small convolutions and those of many groups keep a processor less "
    "busy; networks for 32×32 pixels stand beside such for 224×224, at their own size",
    source="Canziani, Paszke and Culurciello, An Analysis of Deep Neural Network Models for Practical "
    "Applications, 2016",
    example=">>> seen = get('architecture-chart', names=('lenet-5', 'squeezenet-1.1'))\n"
    ">>> seen['parameters']\n{'lenet-5': 61706, 'squeezenet-1.1': 1235496}",
)
def architecture_chart(names: Sequence[str] | None = None) -> Inspection:
    """Parameters against operations of the architectures for images."""
    known = [e for e in find(kind="architecture") if published_input(e)]
    entries = known if names is None else [entry(name, "architecture") for name in names]
    if not entries:
        raise ConfigError("architecture-chart: nothing to draw", expected="names", received=repr(names))
    counts = {e.name: counts_of(e) for e in entries}
    most = max(counts, key=lambda name: counts[name].operations)
    fewest = min(counts, key=lambda name: counts[name].parameters)
    picture = Picture(
        "points",
        {
            "x": [c.operations for c in counts.values()],
            "y": [c.parameters for c in counts.values()],
            "labels": [_images(c) for c in counts.values()],
            "names": list(counts),
        },
        x_label="operations of one example, forward",
        y_label="parameters",
        log="xy",
    )
    return Inspection(
        "Architectures",
        f"{len(counts)} networks, from {counts[fewest].parameters:,} parameters ({fewest}) "
        f"to {counts[most].operations:,} operations ({most})",
        {key: {name: getattr(c, key) for name, c in counts.items()} for key in Counts._fields},
        (picture,),
    )


def _images(counts: Counts) -> str:
    return "photographs" if max(counts.input[1:]) >= 100 else "small images"
