"""Language models that count: n-grams, their smoothing, their measures, and decoding with them."""

from preceptor.catalogue.language._counts import NgramCounts
from preceptor.catalogue.language._model import NgramModel
from preceptor.catalogue.language.combinations import interpolation, katz, kneser_ney, stupid_back_off
from preceptor.catalogue.language.decoding import noisy_channel_search
from preceptor.catalogue.language.estimators import additive_smoothing, n_gram
from preceptor.catalogue.language.scores import (
    OutOfVocabulary,
    bits_per_character,
    localist,
    out_of_vocabulary,
    perplexity,
    unseen_n_grams,
)

__all__ = [
    "NgramCounts",
    "NgramModel",
    "OutOfVocabulary",
    "additive_smoothing",
    "bits_per_character",
    "interpolation",
    "katz",
    "kneser_ney",
    "localist",
    "n_gram",
    "noisy_channel_search",
    "out_of_vocabulary",
    "perplexity",
    "stupid_back_off",
    "unseen_n_grams",
]
