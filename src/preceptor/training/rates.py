"""The rate that normalised weights are really trained with, as a curve beside the nominal one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from preceptor.catalogue.rate_rules import effective_rate
from preceptor.training.callbacks import Callback

if TYPE_CHECKING:
    from preceptor.training.state import State

__all__ = ["EffectiveRate"]


class EffectiveRate(Callback):
    """Adds ``effective_lr`` to each row of the history: the mean over normalised weights w of lr / ‖w‖².

    Where a normalisation follows a layer, the scale of its weights does not matter, and a step turns them by
    so much. NaN for a model without such layers.

    Example:
        >>> import preceptor
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        >>> run = preceptor.train(net, "iris", epochs=2, out=False, callbacks=[EffectiveRate()])
        >>> len(run.history[:, "effective_lr"])
        2

    Source: van Laarhoven, L2 Regularization versus Batch and Weight Normalization (2017).
    """

    def __init__(self) -> None:
        self._rates = effective_rate()

    def on_epoch_end(self, state: State) -> None:
        """Add the rate to the epoch's row."""
        row = state.history.rows[-1]
        rates = self._rates(state.problem.model, row["lr"]).values()
        row["effective_lr"] = sum(rates) / len(rates) if rates else math.nan
