from __future__ import annotations

import numpy as np
import torch

from preceptor.observation.probes._pairs import Pairs
from preceptor.observation.probes._predictions import Predictions, predicted


def test_what_comes_again_with_the_same_target_and_with_others() -> None:
    pairs = Pairs()
    pairs.add([1, 2, 3, 1], [0.0, 1.0, 2.0, 1.0])
    pairs.add([3, 2, 4], [2.0, 0.0, 9.0])
    assert pairs.counts == {"rows": 7, "again": 3, "other": 2, "known": 2, "within": 1, "within_other": 1}


def test_a_target_that_is_new_is_not_known_from_others() -> None:
    pairs = Pairs()
    pairs.add([1, 2], [0.1, 0.2])
    pairs.add([1, 2], [0.15, 0.25])
    assert (pairs.counts["other"], pairs.counts["known"]) == (2, 0)
    pairs.add([1], [0.2])
    assert (pairs.counts["other"], pairs.counts["known"]) == (3, 1)


def test_memory_and_work_are_bounded() -> None:
    pairs, keys = Pairs(), list(range(5000))
    pairs.add(keys, [0.0] * 5000)
    assert pairs.counts["rows"] == 2048
    assert not pairs.enough
    pairs.add(keys, [0.0] * 5000)
    assert pairs.counts["again"] == 2048
    assert pairs.enough
    fresh = Pairs()
    for start in range(0, 8192, 512):
        assert not fresh.enough
        fresh.add(range(start, start + 512), [0.0] * 512)
    assert fresh.enough


def test_what_is_predicted() -> None:
    scores, labels = torch.tensor([[0.1, 2.0, 0.0], [3.0, 1.0, 0.0]]), torch.tensor([1, 2])
    for function in ("cross_entropy", "nll_loss"):
        assert predicted(function, scores, labels).tolist() == [1, 0]
    logits, yes = torch.tensor([[-0.3], [0.2]]), torch.tensor([[0.0], [1.0]])
    assert predicted("binary_cross_entropy_with_logits", logits, yes).tolist() == [0, 1]
    assert predicted("binary_cross_entropy", logits.sigmoid(), yes.bool()).tolist() == [0, 1]
    for function, given, target in (
        ("mse_loss", logits, yes),
        ("cross_entropy", scores, scores.softmax(1)),
        ("cross_entropy", torch.zeros(2, 500), labels),
        ("cross_entropy", torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)),
        ("cross_entropy", None, labels),
        ("binary_cross_entropy", torch.rand(2, 3), torch.rand(2, 3)),
        ("cross_entropy", torch.zeros(3), torch.tensor(1)),
    ):
        assert predicted(function, given, target) is None


def test_the_latest_looks_count() -> None:
    predictions, told = Predictions(), []
    for look in range(20):
        predictions.add(look, [0.0, 1.0, float("nan")], [0.0, float(look >= 12), 0.0])
        told.append(predictions.due)
        if predictions.due:
            found = predictions.to_plain()
    assert told[:8] == [True] * 8
    assert [look for look, due in enumerate(told) if due][8:] == [9, 12, 15, 19]
    assert (found["looks"], found["since"]) == (8, 12)
    predictions.add(40, [-100.0], [3.0])
    assert predictions.to_plain()["counts"] == [-100, 3, 1]
    predictions.add(81, [0.0], [0.0])
    assert predictions.to_plain() == {"looks": 1, "since": 81, "counts": [0, 0, 1]}
    assert sorted(zip(*[iter(found["counts"])] * 3, strict=True)) == [(0, 0, 8), (1, 1, 8)]


def test_fingerprints_of_every_row() -> None:
    from preceptor.observation.probes._fingerprints import fingerprints

    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 3)))
    assert len(fingerprints(rows)) == 100
    assert len(fingerprints(rows, every=True).unique()) == 300
