"""The task of continuing texts: measures held against sums over symbols, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from preceptor.data.text import TextIds, WholeText
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks import LanguageModelling, make

TASK = LanguageModelling(5)
OUTPUT = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([[0, 1, 2, 3], [4, -100, 0, 1], [-100, -100, 2, 2]])


def test_it_is_made_from_the_kind_of_targets():
    task = make("language-modelling", "next-symbols", dims=5)
    assert task == TASK
    assert (task.loss, task.outputs) == ("cross-entropy", 5)


def test_measures_are_over_the_symbols_that_count():
    kept = TARGET >= 0
    nats = functional.cross_entropy(OUTPUT[kept], TARGET[kept])
    torch.testing.assert_close(functional.cross_entropy(*TASK.align(OUTPUT, TARGET)), nats)
    batches = WholeText(TextIds(np.arange(9), characters=36), batch_size=1, steps=2, carried=True)
    found = {}
    for name, meter in TASK.meters(batches).items():
        meter.update(OUTPUT[:2], TARGET[:2])
        meter.update(OUTPUT[2:], TARGET[2:])
        found[name] = meter.compute()
    assert found["perplexity"] == pytest.approx(math.exp(nats))
    assert found["bits_per_character"] == pytest.approx(float(nats) / math.log(2) / 4)
    assert found["accuracy"] == pytest.approx(float((OUTPUT[kept].argmax(-1) == TARGET[kept]).float().mean()))
    assert TASK.counted(TARGET) == int(kept.sum())


def test_surprises_and_losses_of_sequences():
    each = TASK.surprises(OUTPUT, TARGET)
    assert each.shape == TARGET.shape
    assert bool((each[TARGET < 0] == 0).all())
    sums, counts = TASK.compact(OUTPUT, TARGET)
    assert counts.tolist() == [4, 3, 2]
    torch.testing.assert_close(TASK.example_losses(OUTPUT, TARGET), (sums / counts).float())


def test_the_interval_is_over_stretches_and_holds_the_measure():
    draws = torch.Generator().manual_seed(1)
    output, target = torch.randn(60, 8, 5, generator=draws), torch.randint(5, (60, 8), generator=draws)
    sums, counts = TASK.compact(output, target)
    low, high = TASK.interval(sums, counts)
    assert low < math.exp(float(sums.sum() / counts.sum())) < high
    few = TASK.interval(sums[:15], counts[:15])
    assert few[1] - few[0] > high - low
    accuracy = LanguageModelling(5, metrics=("accuracy",))
    assert all(math.isnan(end) for end in accuracy.interval(sums, counts))


def test_half_precision_keeps_its_digits():
    logits, _ = TASK.align(OUTPUT.bfloat16(), TARGET)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("output", "target", "message"),
    [
        (OUTPUT[..., :4], TARGET, r"output \(N, T, 5\)"),
        (OUTPUT[:, 0], TARGET, "symbol at each step"),
        (OUTPUT, TARGET.clamp_min(7), "out of range"),
        (OUTPUT, TARGET.float(), "no symbols"),
    ],
)
def test_what_does_not_fit_is_refused(output: torch.Tensor, target: torch.Tensor, message: str):
    with pytest.raises(ModelError, match=message):
        TASK.check(output, target)


def test_a_task_without_symbols_or_with_another_loss_is_refused():
    with pytest.raises(DataError, match="at least two"):
        LanguageModelling(1)
    with pytest.raises(ConfigError, match="hinge"):
        LanguageModelling(5, loss="hinge")
    with pytest.raises(ModelError, match="belong together"):
        TASK.align(OUTPUT[:, :2], TARGET)
