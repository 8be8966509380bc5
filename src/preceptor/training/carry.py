"""The state that goes on along a text, from one batch to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from preceptor.catalogue.derivatives import detached

__all__ = ["Carried", "goes_on"]


class Carried:
    """Calls a model with the state that it left behind the batch before, cut from the graph.

    Attributes:
        state: as the model returned it; None at the beginning of a text.

    Example:
        >>> from preceptor.catalogue import get
        >>> carried = Carried()
        >>> y = carried(get("rnn", (5,), 2, hidden=3, per_step=True), torch.ones(4, 5))
        >>> y.shape, carried.state[0].shape, carried.state[0].requires_grad
        (torch.Size([4, 5, 2]), torch.Size([1, 4, 3]), False)
    """

    def __init__(self) -> None:
        self.state: Any = None

    def __call__(self, model: Any, x: Tensor) -> Tensor:
        """Return the outputs of a batch, and keep the state behind it."""
        output, state = model(x, self.state)
        self.state = detached(state)
        return output  # type: ignore[no-any-return]  # what the user's model gives

    def reset(self) -> None:
        """Stand at the beginning of a text."""
        self.state = None

    def load(self, state: Any, device: torch.device) -> None:
        """Go on from a state that was stored."""
        self.state = tree_map(lambda part: part.to(device) if isinstance(part, Tensor) else part, state)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Begin another text for the length of a block, and then go on where the first was left."""
        before, self.state = self.state, None
        try:
            yield
        finally:
            self.state = before


def goes_on(model: Any) -> bool:
    """Say whether a network, or the class of one, hands on a state that does not grow with the text.

    Its attribute ``carries`` says that ``model(x, state)`` returns outputs and the state that goes on;
    ``grows``, that this state holds every step so far, as that of a transformer does.

    Example:
        >>> from preceptor.catalogue import entry
        >>> [goes_on(entry(name, "architecture").factory) for name in ("lstm", "tcn", "transformer", "mlp")]
        [True, True, False, False]
    """
    return bool(getattr(model, "carries", False)) and not getattr(model, "grows", False)
