"""The conditional random field against all sequences counted out, Viterbi, and tags that are measured."""

from __future__ import annotations

import itertools

import pytest
import torch

from preceptor.catalogue import get
from preceptor.errors import ModelError


def all_scores(scores: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Return the score of every sequence of tags for scores (T, K, K)."""
    steps, tags = scores.shape[:2]
    return {
        y: float(scores[0, 0, y[0]] + sum(scores[t, y[t - 1], y[t]] for t in range(1, steps)))
        for y in itertools.product(range(tags), repeat=steps)
    }


def test_the_loss_is_the_share_of_one_sequence_in_all():
    scores = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    every = all_scores(scores[0])
    total = torch.tensor(list(every.values()), dtype=torch.float64).logsumexp(0)
    expected = float(total - every[2, 0, 1, 1]) / 4
    assert float(get("crf", kind="loss")(scores, torch.tensor([[2, 0, 1, 1]]))) == pytest.approx(
        expected, rel=1e-9
    )


def test_what_lies_behind_the_end_has_no_part_in_it():
    scores = torch.randn(1, 6, 3, 3)
    loss = get("linear-chain-crf", kind="loss")
    short = loss(scores[:, :4], torch.tensor([[0, 1, 2, 0]]))
    torch.testing.assert_close(loss(scores, torch.tensor([[0, 1, 2, 0, -1, -1]])), short)


def test_of_logits_it_is_the_cross_entropy_of_each_step():
    logits, tags = torch.randn(2, 5, 4), torch.randint(4, (2, 5))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tags.flatten())
    torch.testing.assert_close(get("crf", kind="loss")(logits, tags), expected)


@pytest.mark.parametrize("seed", range(4))
def test_viterbi_finds_the_best_of_all_sequences(seed: int):
    scores = torch.randn(1, 5, 3, 3, generator=torch.Generator().manual_seed(seed))
    every = all_scores(scores[0])
    assert tuple(get("crf-viterbi", scores)[0].tolist()) == max(every, key=every.get)


def test_tags_are_counted_where_there_are_words():
    said, true = torch.tensor([[0, 1, 2], [1, 1, 1]]), torch.tensor([[0, 0, -1], [1, 1, 1]])
    for name, expected in (("tag-accuracy", 4 / 5), ("sentence-accuracy", 1 / 2)):
        metric = get(name, kind="metric")
        metric.update(torch.nn.functional.one_hot(said, 3).float(), true)
        assert metric.compute() == pytest.approx(expected)
    with pytest.raises(ModelError, match="do not belong together"):
        get("tag-accuracy", kind="metric").update(said, true[:, :2])


def test_a_tagger_repeats_its_tag_behind_the_end():
    torch.manual_seed(0)
    model = get("bilstm-crf", (5,), 3, vocabulary=9, hidden=4)
    whole = model(torch.tensor([[2, 3, 4, 0, 0]]))
    short = model(torch.tensor([[2, 3, 4]]))
    torch.testing.assert_close(whole[:, :3], short)
    assert get("crf-viterbi", whole)[0, :3].tolist() == get("crf-viterbi", short)[0].tolist()
