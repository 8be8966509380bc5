"""Language models that count: n-grams, their smoothing, their measures, and decoding with them."""

from preceptor.catalogue.language._counts import NgramCounts
from preceptor.catalogue.language._model import NgramModel
from preceptor.catalogue.language.combinations import interpolation, katz, kneser_ney, stupid_back_off
from preceptor.catalogue.language.decoding import noisy_channel_search
from preceptor.catalogue.language.dictionary import word_by_word
from preceptor.catalogue.language.estimators import additive_smoothing, n_gram
from preceptor.catalogue.language.scores import (
    OutOfVocabulary,
    bits_per_character,
    localist,
    out_of_vocabulary,
    perplexity,
    unseen_n_grams,
)
from preceptor.catalogue.language.search import Hypothesis, beam_search, free_running, repeated
from preceptor.catalogue.language.selection import Selection, draw, greedy, nucleus, temperature, top_k

__all__ = [
    "Hypothesis",
    "NgramCounts",
    "NgramModel",
    "OutOfVocabulary",
    "Selection",
    "additive_smoothing",
    "beam_search",
    "bits_per_character",
    "draw",
    "free_running",
    "greedy",
    "interpolation",
    "katz",
    "kneser_ney",
    "localist",
    "n_gram",
    "noisy_channel_search",
    "nucleus",
    "out_of_vocabulary",
    "perplexity",
    "repeated",
    "stupid_back_off",
    "temperature",
    "top_k",
    "unseen_n_grams",
    "word_by_word",
]
