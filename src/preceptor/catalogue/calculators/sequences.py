"""What models of sequences cost, by their sizes; and how long training sequences should be, by the step."""

from __future__ import annotations

import math
from typing import NamedTuple

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["SequenceCost", "length_schedule", "sequence_costs"]

_MODELS = ("rnn", "attention-rnn", "self-attention", "causal-convolution")


class SequenceCost(NamedTuple):
    """Multiply-adds of a forward pass, numbers kept, operations in sequence, and steps between far ends."""

    operations: int
    training_memory: int
    test_memory: int
    training_sequential: int
    test_sequential: int
    path: int


@registered(
    kind="calculator",
    name="sequence-costs",
    aliases=("seq-cost", "sequence-model-cost", "sequence-cost-table"),
    formula="t steps, d layers of k units, kernel w; operations: rnn t k² d; attention-rnn adds t² k "
    "(scores and "
    "context), self-attention is 4 t k² d + 2 t² k d, causal-convolution w t k² d. Kept in training: t k d, "
    "with attention t² more (a layer of self-attention each); drawing step by step: k d, attention t k d, "
    "convolution w k d. Operations in sequence: rnn t + d in training (layers overlap) and t d at test, "
    "self-attention and convolution d and t d. Path between the ends: t; attention 1; convolution ⌈(t − 1) / "
    "(w − 1)⌉, or its logarithm to base w with dilation w^l",
    shapes="t, k, d, w → by model: operations, training_memory, test_memory, training_sequential, "
    "test_sequential, path",
    when="choosing a kind of model for a length: attention costs more than recurrence from t ≈ k on",
    pitfalls="leading terms: gates multiply an rnn's operations by 3 or 4, backward passes all by about 3; "
    "embeddings and softmax are left out",
    source="Vaswani et al., Attention Is All You Need, 2017, table 1; Kalchbrenner et al., Neural Machine "
    "Translation in Linear Time, 2016",
    example=">>> costs = get('sequence-costs', t=100, k=64, d=2)\n"
    ">>> costs['rnn'].operations, costs['self-attention'].path, costs['rnn'].path\n(819200, 1, 100)",
)
def sequence_costs(
    t: int = 100, k: int = 128, d: int = 1, w: int = 3, dilated: bool = False
) -> dict[str, SequenceCost]:
    """Costs of recurrence, attention and causal convolution over a sequence."""
    for option, value in (("t", t), ("k", k), ("d", d)):
        check_count("sequence-costs", option, value)
    check_count("sequence-costs", "w", w, 2)
    weights = t * k * k * d
    reach = math.ceil(math.log(t, w) - 1e-9) if dilated else math.ceil((t - 1) / (w - 1))
    both = t * t * k
    return {
        "rnn": SequenceCost(weights, t * k * d, k * d, t + d - 1, t * d, t),
        "attention-rnn": SequenceCost(weights + 2 * both, t * k * d + t * t, t * k, t + d - 1, t * d, 1),
        "self-attention": SequenceCost(
            4 * weights + 2 * both * d, t * k * d + t * t * d, t * k * d, d, t * d, 1
        ),
        "causal-convolution": SequenceCost(w * weights, t * k * d, w * k * d, d, t * d, max(1, reach)),
    }


@registered(
    kind="calculator",
    name="length-schedule",
    aliases=("curric", "progressive-learning", "progressive-lengths", "curriculum-by-length"),
    formula="length = ⌊first + (last − first) · s⌋, s = min(1, step / (share · total)) ('linear'), or "
    "⌊first · (last / first)^s⌋ ('geometric')",
    shapes="step from 0, total steps → the length of sequences, or the longest taken, at that step",
    when="dependencies that are hard to find over long sequences: short ones are learned before long ones",
    pitfalls="what only long sequences hold is not seen at first; share=1 leaves the last step alone at the "
    "full length",
    source="Bengio, Louradour, Collobert and Weston, Curriculum Learning, 2009",
    example=">>> [get('length-schedule', step, total=100, first=10, last=50) for step in (0, 25, 50, 99)]\n"
    "[10, 30, 50, 50]",
)
def length_schedule(
    step: int, total: int = 1000, first: int = 10, last: int = 100, share: float = 0.5, rule: str = "linear"
) -> int:
    """Length of training sequences: from short to long over the first part of a training."""
    owner = "length-schedule"
    check_count(owner, "step", step, 0)
    for option, value in (("total", total), ("first", first), ("last", last)):
        check_count(owner, option, value)
    if not 0 < share <= 1:
        raise ConfigError(
            f"{owner}: share is not usable", expected="a share above 0, up to 1", received=f"share={share!r}"
        )
    done = min(1.0, step / (share * total))
    if check_choice(owner, "rule", rule, ("linear", "geometric")) == "linear":
        return math.floor(first + (last - first) * done + 1e-9)
    return math.floor(first * math.exp(done * math.log(last / first)) + 1e-9)
