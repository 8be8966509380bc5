"""CTC against all paths counted out, its decodings, and what is measured of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from preceptor.catalogue import get
from preceptor.catalogue.transcription import edit_distance, transcribed
from preceptor.errors import ConfigError, ModelError


def texts_of(logits: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Return the probability of every text, by going through all paths."""
    p, blank = logits.softmax(1), logits.shape[1] - 1
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        text = tuple(transcribed(path, blank))
        found[text] = found.get(text, 0.0) + math.prod(float(p[t, s]) for t, s in enumerate(path))
    return found


@pytest.mark.parametrize("target", [[0], [0, 1], [0, 0], [1, 0, 1]])
def test_ctc_is_the_probability_of_all_paths_that_say_the_text(target: list[int]):
    torch.manual_seed(0)
    logits = torch.randn(5, 3, dtype=torch.float64)
    expected = -math.log(texts_of(logits)[tuple(target)]) / len(target)
    padded = torch.tensor([target + [-1] * (4 - len(target))])
    assert float(get("ctc", kind="loss")(logits[None], padded)) == pytest.approx(expected, rel=1e-9)


def test_ctc_is_torch_s_with_the_blank_at_the_other_end():
    torch.manual_seed(1)
    logits, target = torch.randn(4, 9, 6), torch.randint(5, (4, 3))
    moved = logits.roll(1, 2).log_softmax(2).transpose(0, 1)
    sizes = torch.full((4,), 9), torch.full((4,), 3)
    torch.testing.assert_close(
        get("ctc", kind="loss")(logits, target), torch.nn.CTCLoss()(moved, target + 1, *sizes)
    )


def test_a_text_that_cannot_be_said_costs_nothing():
    loss = get("ctc", kind="loss")(torch.randn(1, 2, 3), torch.tensor([[0, 0, 1]]))
    assert float(loss) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_most_probable_text(seed: int):
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = texts_of(logits)
    assert tuple(get("ctc-prefix-beam", logits, beam=200)) == max(found, key=found.get)


def test_the_best_path_is_decoded_greedily():
    logits = torch.eye(3)[[0, 0, 2, 0, 1, 1, 2]] * 9
    assert get("ctc-greedy", logits) == [0, 0, 1]
    with pytest.raises(ConfigError, match="outputs of one example"):
        get("ctc-greedy", logits[None])


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("flaw", "lawn", 2)],
)
def test_the_edit_distance_of_known_pairs(a: str, b: str, edits: int):
    assert edit_distance(a, b) == edit_distance(b, a) == edits


def test_errors_are_counted_over_all_symbols_and_hits_over_all_texts():
    output = torch.tensor([[0, 1, -1], [2, -1, -1], [0, 0, 0]])
    target = torch.tensor([[0, 1, -1], [2, 1, 0], [0, 0, 0]])
    for name, expected in (("cer", 2 / 8), ("sequence-accuracy", 2 / 3)):
        metric = get(name, kind="metric")
        metric.update(output[:1], target[:1])
        metric.update(output[1:], target[1:])
        assert metric.compute() == pytest.approx(expected)
    with pytest.raises(ModelError, match="do not belong together"):
        get("cer", kind="metric").update(output, target[:2])


def test_a_crnn_gives_a_step_for_two_columns():
    assert get("crnn", (1, 10, 64), 11, base=2, hidden=3)(torch.zeros(2, 1, 10, 64)).shape == (2, 32, 11)
