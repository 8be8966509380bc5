"""The conditional random field of trees against all trees counted out, the best one, what is measured."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import get
from preceptor.catalogue.parsing import closed
from preceptor.errors import ModelError

Spans = tuple[tuple[int, int, int], ...]


def every_tree(first: int, last: int, labels: int) -> list[Spans]:
    """Return all binary trees with labels over the words from first to last."""
    inner: list[Spans] = [()] if first == last else []
    for middle in range(first, last):
        for left in every_tree(first, middle, labels):
            inner += [left + right for right in every_tree(middle + 1, last, labels)]
    return [((first, last, label), *tree) for tree in inner for label in range(labels)]


def worth(scores: torch.Tensor, tree: Spans) -> float:
    return sum(float(scores[0, a, b, label]) for a, b, label in tree)


@pytest.fixture(scope="module")
def trees() -> list[Spans]:
    return every_tree(0, 3, 2)


def random_scores(seed: int, steps: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, steps, steps, 2, generator=generator, dtype=torch.float64)


def test_the_loss_is_the_share_of_one_tree_in_all(trees: list[Spans]):
    assert len(trees) == 5 * 2**7  # Catalan's number of shapes, and labels in seven places
    scores, one = random_scores(0), trees[77]
    total = torch.tensor([worth(scores, tree) for tree in trees], dtype=torch.float64).logsumexp(0)
    expected = float(total - worth(scores, one)) / 4
    assert float(get("tree-crf")(scores, torch.tensor([one]))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_tree_is_the_best_of_all(trees: list[Spans], seed: int):
    scores = random_scores(seed)
    found = tuple(map(tuple, get("best-tree", scores)[0].tolist()))
    assert set(found) == set(max(trees, key=lambda tree: worth(scores, tree)))


def test_what_lies_behind_the_end_has_no_part_in_it(trees: list[Spans]):
    scores, one = random_scores(1, steps=6), torch.tensor([trees[77]])
    longer = torch.nn.functional.pad(one, (0, 0, 0, 4), value=-1)
    loss, words = get("tree-crf"), torch.tensor([4])
    short = loss(scores[:, :4, :4], one)
    torch.testing.assert_close(loss(scores, longer), short)
    torch.testing.assert_close(loss(closed(scores, words), longer), short)
    within = {tuple(row) for row in get("cky", closed(scores, words))[0].tolist() if row[1] < 4}
    assert within == set(map(tuple, get("cky", scores[:, :4, :4])[0].tolist()))


def test_sentences_of_several_lengths_are_scored_and_read_as_they_are_alone():
    model = get("span-parser", (5,), 3, vocabulary=9, hidden=4).eval()
    x = torch.tensor([[2, 3, 4, 0, 0], [5, 6, 7, 8, 2]])
    together, alone = model(x), model(x[:1, :3])
    torch.testing.assert_close(together[:1, :3, :3], alone)
    read = [row for row in get("cky", together)[0].tolist() if row[1] < 3]
    assert sorted(read) == sorted(get("cky", alone)[0].tolist())


def test_brackets_are_counted_that_lie_in_the_sentence_and_have_a_label():
    true = torch.tensor([[[0, 2, 1], [0, 1, 2], [0, 0, 0], [1, 1, 0], [2, 2, 2]]])
    said = torch.tensor([[[0, 3, 1], [0, 2, 1], [0, 0, 2], [1, 2, 2], [1, 1, 0], [2, 2, 2], [3, 3, 0]]])
    for name, expected in (("bracket-f1", 2 * 2 / (4 + 3)), ("tree-accuracy", 0.0)):
        metric = get(name, kind="metric")
        metric.update(said, true)
        assert metric.compute() == pytest.approx(expected)
    with pytest.raises(ModelError, match="do not belong together"):
        get("bracket-f1", kind="metric").update(said, true[0])
