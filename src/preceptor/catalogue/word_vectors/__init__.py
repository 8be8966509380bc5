"""Vectors for words: co-occurrences, GloVe, factorisation, published vectors, and what is asked of them."""

from preceptor.catalogue.word_vectors.cooccurrence import Cooccurrences, cooccurrence_matrix, subsampled
from preceptor.catalogue.word_vectors.evaluation import (
    AnalogyScore,
    SimilarityScore,
    analogy_accuracy,
    word_similarity,
)
from preceptor.catalogue.word_vectors.factorization import low_rank_factorization
from preceptor.catalogue.word_vectors.glove import Glove, GloveTrainer, glove, glove_cost, glove_weight
from preceptor.catalogue.word_vectors.vectors import WordVectors, word_vectors

__all__ = [
    "AnalogyScore",
    "Cooccurrences",
    "Glove",
    "GloveTrainer",
    "SimilarityScore",
    "WordVectors",
    "analogy_accuracy",
    "cooccurrence_matrix",
    "glove",
    "glove_cost",
    "glove_weight",
    "low_rank_factorization",
    "subsampled",
    "word_similarity",
    "word_vectors",
]
