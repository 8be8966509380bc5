"""Choosing the next symbol: from raw outputs to the distribution that is drawn from, and to a draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["Selection", "draw", "greedy", "nucleus", "temperature", "top_k"]

_KIND = "decoding"
_SHAPES = "raw outputs (N, K), or (K,) → log-probabilities of the same shape, −∞ for what is never chosen"
_HOLTZMAN = "Holtzman et al., The Curious Case of Neural Text Degeneration, 2020"


@registered(
    kind=_KIND,
    name="greedy",
    aliases=("greedy-decoding", "argmax", "greedy-selection"),
    formula="P′(k) = 1 for k = argmax_j z_j (the first of equal ones), else 0",
    shapes=_SHAPES,
    when="one answer is wanted, the same each time: translation, spelling",
    pitfalls="each step is best, the whole seldom is: beam search looks further. Free text falls into loops",
    source=_HOLTZMAN,
    example=">>> get('greedy', torch.tensor([1.0, 3.0, 2.0])).exp()\ntensor([0., 1., 0.])",
)
def greedy(logits: Tensor) -> Tensor:
    """Greedy selection: always the most probable symbol."""
    best = logits.argmax(-1, keepdim=True)
    nothing = torch.full_like(logits, -torch.inf, dtype=torch.float32)
    return nothing.scatter(-1, best, 0.0)


@registered(
    kind=_KIND,
    name="temperature",
    aliases=("temperature-sampling", "softmax-temperature", "ancestral-sampling"),
    formula="P′ = softmax(z / T), T = temperature; T → 0 is greedy, T = 1 the model itself, T → ∞ uniform",
    shapes=_SHAPES,
    when="text of several kinds is wanted: below 1 safer, above 1 more surprising",
    pitfalls="at T = 1 the many improbable symbols together are drawn often, and one of them derails what "
    "follows: cut them off with top-k or nucleus",
    source="Ackley, Hinton and Sejnowski, A Learning Algorithm for Boltzmann Machines, 1985",
    example=">>> get('temperature', torch.tensor([0.0, 1.0]), temperature=0.5).exp()\n"
    "tensor([0.1192, 0.8808])",
)
def temperature(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Temperature of the softmax: sharpens or flattens what is drawn from."""
    check_number(_KIND, "temperature", temperature, 0.0)
    return (logits.float() / temperature).log_softmax(-1) if temperature else greedy(logits)


@registered(
    kind=_KIND,
    name="top-k",
    aliases=("top-k-sampling", "top-k-selection"),
    formula="P′(k) ∝ P(k) for the `k` most probable symbols (and what equals the last of them), else 0",
    shapes=_SHAPES,
    when="open-ended text; 10 to 50 for words, fewer for characters",
    pitfalls="one k for every place: too many where the next symbol is sure, too few where all is open; "
    "nucleus adapts",
    source="Fan, Lewis and Dauphin, Hierarchical Neural Story Generation, 2018",
    example=">>> get('top-k', torch.tensor([0.0, 1.0, 2.0]), k=2, kind='decoding').exp()\n"
    "tensor([0.0000, 0.2689, 0.7311])",
)
def top_k(logits: Tensor, k: int = 40) -> Tensor:
    """Top-k selection: only the k most probable symbols can be drawn."""
    check_count(_KIND, "k", k)
    z = logits.float()
    least = z.topk(min(k, z.shape[-1]), -1).values[..., -1:]
    return z.masked_fill(z < least, -torch.inf).log_softmax(-1)


@registered(
    kind=_KIND,
    name="nucleus",
    aliases=("top-p", "nucleus-sampling", "top-p-sampling"),
    formula="P′(k) ∝ P(k) within the smallest set of the most probable symbols whose P sums to p or more, "
    "else 0",
    shapes=_SHAPES,
    when="open-ended text, where the number of sensible next symbols changes from place to place",
    pitfalls="p = 1 cuts nothing off; apply the temperature first, for it changes what the set holds",
    source=_HOLTZMAN,
    example=">>> get('nucleus', torch.tensor([0.5, 0.3, 0.2]).log(), p=0.7).exp()\n"
    "tensor([0.6250, 0.3750, 0.0000])",
)
def nucleus(logits: Tensor, p: float = 0.9) -> Tensor:
    """Nucleus selection: only the fewest symbols that hold the share p of the probability can be drawn."""
    check_number(_KIND, "p", p, 0.0, 1.0)
    logs, order = logits.float().log_softmax(-1).sort(dim=-1, descending=True, stable=True)
    share = logs.exp()
    before = share.cumsum(-1) - share  # what the more probable symbols hold already
    before[..., 0] = -1.0  # the most probable one always stays
    kept = logs.masked_fill(before >= p, -torch.inf).log_softmax(-1)
    return torch.empty_like(kept).scatter_(-1, order, kept)


def draw(log_probabilities: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw a symbol from each row of log-probabilities, (N, K) → (N,); with K alone, one symbol.

    Raises:
        ModelError: a row is no distribution, as of a network that has diverged.

    Example:
        >>> draw(torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]))
        tensor([0, 1])
    """
    p = log_probabilities.detach().float().cpu().exp()
    if not bool(torch.isfinite(p).all() and (p.sum(-1) > 0).all()):
        raise ModelError(
            "nothing can be drawn from these outputs",
            expected="probabilities",
            received="NaN or infinite outputs",
            hint="did the training diverge?",
        )
    return torch.multinomial(p, 1, generator=generator).squeeze(-1)


@dataclass(frozen=True)
class Selection:
    """How the next symbol is chosen: temperature, then top-k, then nucleus, then a draw.

    Attributes:
        temperature: of the softmax; 0 is greedy.
        top_k: draw from the k most probable only; None: from all.
        top_p: draw from the nucleus of this share only; None: from all.

    Example:
        >>> Selection(temperature=0.0)(torch.tensor([[0.1, 0.9]]))
        tensor([1])
        >>> Selection(top_k=2, top_p=0.5).distribution(torch.tensor([0.0, 1.0, 2.0])).exp()
        tensor([0., 0., 1.])
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        check_number(_KIND, "temperature", self.temperature, 0.0)
        if self.top_k is not None:
            check_count(_KIND, "top_k", self.top_k)
        if self.top_p is not None:
            check_number(_KIND, "top_p", self.top_p, 0.0, 1.0)

    def distribution(self, logits: Tensor) -> Tensor:
        """Return the log-probabilities that are drawn from, in the shape of the raw outputs."""
        logs = temperature(logits, self.temperature)
        if self.top_k is not None:
            logs = top_k(logs, self.top_k)
        return logs if self.top_p is None else nucleus(logs, self.top_p)

    def __call__(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the chosen symbol of each row; greedy selection draws nothing from the generator."""
        if not self.temperature:
            return logits.argmax(-1).cpu()
        return draw(self.distribution(logits), generator)
