"""The noisy channel with a language model of any order: Bayes' rule over whole sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.language._model import NgramModel
from preceptor.errors import ConfigError

__all__ = ["noisy_channel_search"]

Prior: TypeAlias = NgramModel | Callable[[Sequence[int]], Any]


@registered(
    kind="language-model",
    name="noisy-channel-search",
    aliases=("bayes-decoder", "noisy-channel-beam"),
    formula="ŝ = argmax_s log P(s) + Σ_t log P(y_t | s_t), P(s) = Π_t P(s_t | s_1 … s_{t−1}) by a language "
    "model; the "
    "`beam` best beginnings are kept at every place",
    shapes="log P(y_t | s) (T, S), a model of the next symbol → (ŝ, log P(ŝ) + log P(y | ŝ))",
    when="spelling, speech, recognised characters: what arrived is judged by what is said",
    pitfalls="a beam may lose the best sentence; with a bigram model noisy-channel-decoding finds it surely",
    source="Jelinek, Continuous Speech Recognition by Statistical Methods, 1976",
    example="""
    >>> model = get('add-k', [0, 1] * 20, 2, order=2, k=0.1)
    >>> channel = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1]]).log()  # the middle one was heard as a 0
    >>> get('noisy-channel-search', channel, model)[0]
    [0, 1, 0]
    """,
)
def noisy_channel_search(log_channel: Any, model: Prior, beam: int = 16) -> tuple[list[int], float]:
    """Most probable sentence behind a noisy channel, under any model of the next symbol."""
    check_count("noisy-channel-search", "beam", beam)
    channel = np.asarray(log_channel, dtype=np.float64)
    predict = model.distribution if isinstance(model, NgramModel) else model
    symbols = len(np.asarray(predict(())))
    if channel.ndim != 2 or not len(channel) or channel.shape[1] != symbols:
        raise ConfigError(
            "channel and language model do not belong together",
            expected=f"log P(y_t | s) of shape (T, {symbols})",
            received=str(channel.shape),
        )
    kept: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for row in channel:
        with np.errstate(divide="ignore"):
            scores = np.stack([score + np.log(np.asarray(predict(s))) + row for score, s in kept])
        best = np.argsort(-scores, axis=None, kind="stable")[:beam]
        places = [divmod(int(i), symbols) for i in best]
        kept = [(float(scores[i, j]), (*kept[i][1], j)) for i, j in places]
    score, sentence = kept[0]
    return list(sentence), score
