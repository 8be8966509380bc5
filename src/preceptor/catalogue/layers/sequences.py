"""What all layers of sequences need: lengths of padded sequences, their reversal, dropout over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["Reversal", "VariationalDropout", "checked_lengths", "last_step", "masked_mean", "within"]


def checked_lengths(lengths: Tensor | None, x: Tensor) -> Tensor | None:
    """Return the lengths of a batch of padded sequences x (N, T, …).

    Raises:
        DataError: they are not N integers from 1 to T.

    Example:
        >>> checked_lengths(torch.tensor([2, 5]), torch.zeros(2, 5, 3))
        tensor([2, 5])
    """
    if lengths is None:
        return None
    whole = isinstance(lengths, Tensor) and not lengths.is_floating_point() and lengths.shape == x.shape[:1]
    if not whole or int(lengths.min()) < 1 or int(lengths.max()) > x.shape[1]:
        raise DataError(
            "the lengths do not suit the sequences",
            expected=f"{x.shape[0]} integers from 1 to {x.shape[1]}",
            received=f"{lengths!r:.120}",
            hint="sequences without a single step are left out before",
        )
    return lengths


def within(lengths: Tensor, T: int) -> Tensor:
    """Return which of T steps belong to sequences of these lengths, (N, T).

    Example:
        >>> within(torch.tensor([1, 3]), 3).int().tolist()
        [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(T, device=lengths.device) < lengths[:, None]


def last_step(y: Tensor, lengths: Tensor | None, directions: int = 1) -> Tensor:
    """Return where each direction's pass over a sequence ends: its last step, backwards its first.

    Arguments:
        y: outputs (N, T, directions · H).
        lengths: of the sequences, if they are padded.
        directions: 2 where the second half of the outputs runs backwards.

    Example:
        >>> y = torch.arange(6.0).reshape(1, 3, 2)
        >>> last_step(y, torch.tensor([2])), last_step(y, torch.tensor([2]), directions=2)
        (tensor([[2., 3.]]), tensor([[2., 1.]]))
    """
    end = y[:, -1] if lengths is None else y[torch.arange(len(y), device=y.device), lengths.to(y.device) - 1]
    if directions == 1:
        return end
    H = y.shape[-1] // 2
    return torch.cat([end[:, :H], y[:, 0, H:]], -1)


def masked_mean(y: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the mean of outputs (N, T, H) over the steps of each sequence.

    Example:
        >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
        tensor([[2.]])
    """
    if lengths is None:
        return y.mean(1)
    lengths = lengths.to(y.device)
    return (y * within(lengths, y.shape[1])[..., None]).sum(1) / lengths[:, None]


@registered(
    kind="layer",
    name="input-reversal",
    aliases=("rev-in", "reversal", "sequence-reversal", "reversed-source"),
    formula="y[n, t] = x[n, lengths[n] − 1 − t] for t < lengths[n], y[n, t] = x[n, t] behind: ABC·· → CBA··",
    shapes="x (N, T, …), lengths (N,) or None → the same shape",
    when="a sequence to be translated or copied: its beginning comes next to the output's beginning, and the "
    "first dependencies to be learned are short",
    pitfalls="the mean distance stays: what gains at the beginning loses at the end; without lengths the "
    "padding comes first",
    source="Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks, 2014",
    differs="torch.flip turns the padding to the front",
    example=">>> get('input-reversal')(torch.tensor([[1, 2, 3, 0]]), torch.tensor([3]))\n"
    "tensor([[3, 2, 1, 0]])",
    traits={"takes": (2, 4, 3), "gives": (2, 4, 3)},
)
class Reversal(nn.Module):
    """Input reversal: each sequence backwards, its padding where it was."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Turn the sequences round."""
        checked = checked_lengths(lengths, x)
        if checked is None:
            return x.flip(1)
        steps = torch.arange(x.shape[1], device=x.device)
        ends = checked.to(x.device)[:, None]
        source = torch.where(steps < ends, ends - 1 - steps, steps)
        return x[torch.arange(len(x), device=x.device)[:, None], source]


@registered(
    kind="layer",
    name="variational-dropout",
    aliases=("locked-dropout", "sequence-dropout"),
    formula="training: y[n, t] = x[n, t] · m[n] / (1 − p), m[n] = 0 with probability p, else 1, one for all "
    "steps of a sequence; test: y = x",
    shapes="(N, T, D), or (N, D) behind the last step → the same shape",
    when="between the layers of recurrent networks: a feature is missing for a whole sequence, so that no "
    "step can make up for another",
    pitfalls="a carried state goes on under a new mask with every chunk",
    source="Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural "
    "Networks, "
    "2016",
    example=">>> y = get('variational-dropout', p=0.5)(torch.ones(1, 3, 8))\n"
    ">>> bool((y == y[:, :1]).all())\nTrue",
    traits={"takes": (2, 4, 3), "gives": (2, 4, 3)},
)
class VariationalDropout(nn.Module):
    """Variational dropout: one mask for all steps of a sequence."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_number("variational-dropout", "p", p, 0.0, 0.999)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features in training."""
        if not self.training or self.p == 0:
            return x
        return x * nn.functional.dropout(torch.ones_like(x[:, :1] if x.ndim > 2 else x), self.p)
