"""Co-occurrences and GloVe against loops, planted factors, and questions with known answers."""

from __future__ import annotations

import gzip
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from preceptor.catalogue import get
from preceptor.catalogue.word_vectors import (
    Cooccurrences,
    Glove,
    GloveTrainer,
    WordVectors,
    glove_cost,
    subsampled,
)
from preceptor.catalogue.word_vectors.vectors import parse
from preceptor.errors import ConfigError, DataError, UnknownName


def by_hand(text: list[int], size: int, window: int, weighting: str) -> np.ndarray:
    X = np.zeros((size, size))
    for i in range(len(text)):
        for d in range(1, window + 1):
            between = text[i : i + d + 1]
            if len(between) == d + 1 and min(between) >= 0:
                weight = 1 / d if weighting == "harmonic" else 1
                X[text[i], text[i + d]] += weight
                X[text[i + d], text[i]] += weight
    return X


@settings(max_examples=40, deadline=None)
@given(
    text=st.lists(st.integers(-1, 4), max_size=40),
    window=st.integers(1, 6),
    weighting=st.sampled_from(["harmonic", "uniform"]),
    piece=st.integers(1, 9),
)
def test_co_occurrence_matrix_is_that_of_loops(text: list[int], window: int, weighting: str, piece: int):
    expected = by_hand(text, 5, window, weighting)
    whole = get("cooc", np.array(text, dtype=np.int64), 5, window=window, weighting=weighting)
    pieces = (np.array(text[i : i + piece]) for i in range(0, len(text), piece))
    streamed = get("cooc", pieces, 5, window=window, weighting=weighting)
    for found in (whole, streamed):
        X = found.matrix().toarray()
        np.testing.assert_allclose(X, expected, rtol=1e-6)
        assert (X == X.T).all()
        assert (found.rows <= found.columns).all()


def test_co_occurrences_tell_what_they_take():
    assert "entries" in get("co-occurrence-matrix", np.arange(10), 10).text
    with pytest.raises(DataError, match="no word ids"):
        get("cooc", np.array([0, 7]), 5)
    with pytest.raises(ConfigError, match="weighting"):
        get("cooc", np.array([0, 1]), 5, weighting="linear")


def test_subsampling_keeps_rare_words_and_line_ends():
    text = np.array(([0] * 99 + [1, -1]) * 50)
    kept = Counter(subsampled(text, [4950, 50], 1e-2, generator=np.random.default_rng(0)).tolist())
    assert kept[1] == kept[-1] == 50
    expected = 4950 * (np.sqrt(1e-2 * 5000 / 4950) + 1e-2 * 5000 / 4950)
    assert abs(kept[0] - expected) < 100
    assert subsampled(text, [4950, 50], 0.0, generator=np.random.default_rng(0)) is text


def test_glove_weighting():
    f = get("glove-weight", torch.tensor([0.0, 50.0, 100.0, 200.0]))
    assert f.tolist() == pytest.approx([0.0, 0.5946, 1.0, 1.0], abs=1e-4)


def random_counts(size: int = 7, seed: int = 0) -> Cooccurrences:
    rng = np.random.default_rng(seed)
    return get("cooc", rng.integers(0, size, 60), size, window=3)


def test_glove_cost_is_that_of_loops():
    x = random_counts()
    torch.manual_seed(0)
    model = Glove(torch.randn(7, 3), torch.randn(7, 3), torch.randn(7), torch.randn(7))
    X, said = x.matrix().toarray(), model.log_counts()
    expected = sum(
        min(1, (X[i, j] / 10) ** 0.75) * (float(said[i, j]) - np.log(X[i, j])) ** 2
        for i in range(7)
        for j in range(7)
        if X[i, j] > 0
    )
    assert float(glove_cost(model, x, x_max=10)) == pytest.approx(expected, rel=1e-5)


def test_a_step_of_glove_is_adagrad_on_the_gradient_of_its_cost():
    x = random_counts()
    trainer = GloveTrainer(x, dim=3, lr=0.1, x_max=10, batch=10**6)
    before = trainer.model
    leaves = [t.clone().requires_grad_() for t in (before.words, before.contexts, before.word_biases)]
    biases = before.context_biases.clone().requires_grad_()
    (glove_cost(Glove(*leaves, biases), x, x_max=10) / 2).backward()
    cost = trainer.epoch()
    cells = (x.matrix().toarray() > 0).sum()
    assert cost * cells == pytest.approx(float(glove_cost(before, x, x_max=10)), rel=1e-5)
    after = trainer.model
    moved = (after.words, after.contexts, after.word_biases, after.context_biases)
    for leaf, now in zip([*leaves, biases], moved, strict=True):
        expected = leaf.detach() - 0.1 * leaf.grad / (leaf.grad.abs() + 1e-10)
        torch.testing.assert_close(now, expected, atol=2e-3, rtol=0)


@pytest.mark.slow
def test_glove_recovers_planted_factors():
    rng = np.random.default_rng(0)
    R, b = rng.normal(size=(30, 3)) * 0.7, rng.normal(size=30)
    logs = R @ R.T + b[:, None] + b
    rows, columns = np.triu_indices(30)
    counts = np.exp(logs[rows, columns]).astype(np.float32)
    planted = Cooccurrences(rows.astype(np.int32), columns.astype(np.int32), counts, 30)
    model = get("glove", planted, dim=3, epochs=400, lr=0.1, x_max=1e-3, batch=200)
    said = model.log_counts().numpy()
    assert np.corrcoef(said.ravel(), logs.ravel())[0, 1] > 0.99
    assert model.vectors.shape == (30, 3)


def test_glove_is_the_same_from_the_same_seed():
    one, two, other = (get("glove", random_counts(), dim=2, epochs=3, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.words, two.words)
    assert not torch.equal(one.words, other.words)
    with pytest.raises(DataError, match="near each other"):
        get("glove", get("cooc", np.array([0]), 2))


def test_low_rank_factorization_is_exact_for_its_rank():
    torch.manual_seed(0)
    R = torch.randn(12, 3)
    for X in (R @ R.T, get("cooc", np.arange(6), 6).matrix()):
        found = get("factorise", X, rank=3)
        assert found.shape[1] == 3
    found = get("low-rank-factorization", R @ R.T, rank=3)
    torch.testing.assert_close(found @ found.T, R @ R.T, atol=1e-4, rtol=0)
    for wrong in (torch.randn(3, 3), torch.randn(2, 3)):
        with pytest.raises(DataError):
            get("factorise", wrong, rank=1)


KING = ("king", "queen", "man", "woman", "apple")
VECTORS = WordVectors(KING, torch.tensor([[1.0, 0.1, 1], [1, 1, 1], [0, 0.1, 1], [0, 1, 1], [-1, 0.3, -1]]))


def test_neighbours_of_sums():
    assert VECTORS.neighbours("king - man + woman", 1)[0][0] == "queen"
    assert VECTORS.neighbours("King", 9)[0][0] == "queen"
    assert len(VECTORS.neighbours("king", 9)) == 4
    assert parse("- a + b") == (["b"], ["a"])
    for wrong in ("", "king -", "king + - man"):
        with pytest.raises(ConfigError, match="no sum"):
            VECTORS.neighbours(wrong)
    with pytest.raises(UnknownName, match="queen"):
        VECTORS.neighbours("qeen")


def test_analogies_and_similarity():
    found = get("analogies", VECTORS, [": royal", "man woman king queen", "a b c d", "man king woman queen"])
    assert (found.accuracy, found.asked, found.unknown, found.sections) == (1.0, 2, 1, {"royal": 1.0})
    pairs = [("king", "queen", 9.0), ("king", "apple", 1.0), ("man", "queen", 5.0), ("no", "king", 1.0)]
    score = get("word-similarity", VECTORS, pairs)
    cosines = [VECTORS.similarity(a, b) for a, b, _ in pairs[:3]]
    assert score.spearman == pytest.approx(spearmanr(cosines, [9, 1, 5])[0])
    assert (score.pairs, score.unknown) == (3, 1)
    with pytest.raises(DataError, match="four words"):
        get("analogies", VECTORS, ["man woman king"])


def test_what_all_vectors_share_is_taken_out():
    torch.manual_seed(0)
    shared = 10 * torch.randn(8)
    plain = torch.randn(50, 8)
    vectors = WordVectors(tuple(map(str, range(50))), plain + torch.randn(50, 1) * shared)
    left = vectors.without_common(1).vectors
    assert float((left @ (shared / shared.norm())).abs().max()) < 0.5
    torch.testing.assert_close(left.mean(0), torch.zeros(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pack", [None, gzip.compress, lzma.compress])
def test_text_vectors_are_read(tmp_path: Path, pack):
    text = b"3 2\nking 1 0\nnew york 0.5 1e-1\nking 7 7\n" + "ärger -1 2\n".encode()
    path = tmp_path / "v.txt"
    path.write_bytes(pack(text) if pack else text)
    found = get("word-vectors", path)
    assert found.words == ("king", "new york", "ärger")
    assert found["new york"].tolist() == pytest.approx([0.5, 0.1])
    assert found.notes
    assert get("glove-pre", path, limit=1).words == ("king",)
    assert get("glove-pre", path, words=["ärger"]).words == ("ärger",)
    for unknown, expected in (("zero", [0.0, 0.0]), ("mean", found.vectors.mean(0).tolist())):
        matrix, missing = found.matrix(["duke", "king"], unknown=unknown)
        assert missing == ["duke"]
        assert matrix.tolist() == [pytest.approx(expected), [1.0, 0.0]]
    found.save(tmp_path / "again.txt")
    assert torch.equal(get("word-vectors", tmp_path / "again.txt").vectors, found.vectors)


@pytest.mark.parametrize("text", ["king 1 2\nqueen 1\n", "king a b\n", "king 1 nan\n", "\n", "1 2\n"])
def test_damaged_vectors_are_refused(tmp_path: Path, text: str):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(DataError):
        get("word-vectors", tmp_path / "v.txt")


@pytest.mark.slow
def test_glove_on_encyclopedia_leads(shared: Path):
    from preceptor.run import embed

    data = shared / "data"
    vectors = embed(data / "wiki-leads" / "wiki-leads.txt.xz", out=False).vectors
    with lzma.open(data / "word-eval" / "questions-words.txt.xz", "rt") as file:
        questions = file.readlines()
    lines = (data / "word-eval" / "wordsim353.tsv").read_text().splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    assert get("analogies", vectors, questions).accuracy > 0.2
    assert get("word-similarity", vectors, pairs).spearman > 0.53
