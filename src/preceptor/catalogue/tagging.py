"""A tag for each step of a sequence: the linear-chain conditional random field, and what is measured."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._measures import Metric, _Sums
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["CRFLoss", "Tagged", "linear_chain_crf", "sentence_accuracy", "tag_accuracy", "viterbi"]

_NO_TAG, _NEVER = -1, -1e4
_LAFFERTY = "Lafferty, McCallum and Pereira, Conditional Random Fields, 2001"


def pairwise(output: Tensor, ends: Tensor | None = None) -> Tensor:
    """Return scores of neighbouring tags (N, T, K, K): logits (N, T, K) score each tag by itself.

    Behind the end of a sequence, where ``ends`` (N, T) is true, a tag is repeated at no cost.
    """
    scores = output if output.ndim == 4 else output[:, :, None].expand(-1, -1, output.shape[2], -1)
    if ends is None:
        return scores
    tags = scores.shape[3]
    still = torch.full((tags, tags), _NEVER, dtype=scores.dtype, device=scores.device).fill_diagonal_(0.0)
    return torch.where(ends[:, :, None, None], still, scores)


class CRFLoss(nn.Module):
    """−log of the probability of a sequence of tags, for each example, over its length."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores (N, T, K, K) or logits (N, T, K), and tags (N, T)."""
        ends = target == _NO_TAG
        scores = pairwise(output, ends)
        total = scores[:, 0, 0]
        for t in range(1, scores.shape[1]):
            total = (total[:, :, None] + scores[:, t]).logsumexp(1)
        tags = target.clamp_min(0)
        rows = torch.arange(len(tags), device=tags.device)
        said = scores[rows, 0, 0, tags[:, 0]]
        for t in range(1, scores.shape[1]):
            said = said + scores[rows, t, tags[:, t - 1], tags[:, t]].masked_fill(ends[:, t], 0.0)
        each = (total.logsumexp(1) - said) / (~ends).sum(1).clamp_min(1)
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"reduction={self.reduction!r}"


@registered(
    kind="loss",
    name="linear-chain-crf",
    aliases=("crf", "conditional-random-field"),
    formula="L = −(1/N) Σ_i (1/T_i) log [exp s(y_i) / Σ_y exp s(y)], s(y) = Σ_t ψ_t(y_{t−1}, y_t); the "
    "sum over all "
    "K^T sequences by the forward recursion",
    shapes="scores (N, T, K, K), target (N, T) filled up with −1 → scalar; reduction='none': (N,). "
    "Logits (N, T, K) "
    "are taken as well",
    when="tags that depend on their neighbours: parts of speech, names, segments",
    pitfalls="of logits (N, T, K), which score each tag by itself, it is no more than the cross-entropy "
    "of each step",
    source=_LAFFERTY,
    example=">>> round(get('crf', kind='loss')(torch.zeros(1, 5, 4, 4), torch.tensor([[0, 1, 2, -1, "
    "-1]])).item(), 4)\n"
    "1.3863",
    traits={"targets": "tags", "output_unit": "softmax"},
)
def linear_chain_crf(reduction: str = "mean") -> nn.Module:
    """Linear-chain conditional random field: the likelihood of a whole sequence of tags."""
    return CRFLoss(check_choice("linear-chain-crf", "reduction", reduction, ("mean", "sum", "none")))


@registered(
    kind="decoding",
    name="crf-viterbi",
    aliases=("linear-chain-viterbi", "max-sum"),
    formula="ŷ = argmax_y Σ_t ψ_t(y_{t−1}, y_t): δ_t(j) = max_i δ_{t−1}(i) + ψ_t(i, j), and back along "
    "what was taken",
    shapes="scores (N, T, K, K) or logits (N, T, K) → tags (N, T)",
    when="the best whole sequence of a conditional random field or a hidden Markov model",
    pitfalls="the best sequence need not have the best tag at each place",
    source="Viterbi, Error Bounds for Convolutional Codes, 1967",
    example=">>> alike = torch.eye(2).expand(1, 3, 2, 2) * 2  # neighbours are alike, at a score of 2\n"
    ">>> each = torch.tensor([[[0.0, 9.0]], [[0.5, 0.0]], [[0.0, 0.1]]])\n"
    ">>> get('crf-viterbi', alike + each)\ntensor([[1, 1, 1]])",
)
def viterbi(scores: Tensor) -> Tensor:
    """Most probable sequence of tags."""
    steps = pairwise(scores.detach())
    best, back = steps[:, 0, 0], []
    for t in range(1, steps.shape[1]):
        best, came = (best[:, :, None] + steps[:, t]).max(1)
        back.append(came)
    tags = [best.argmax(1)]
    for came in reversed(back):
        tags.append(came.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], 1)


class Tagged(_Sums):
    """Hits of tags, and of sequences whose tags are all right.

    Example:
        >>> metric = Tagged("tag-accuracy")
        >>> metric.update(torch.tensor([[0, 1, 0]]), torch.tensor([[0, 0, -1]]))
        >>> metric.compute()
        0.5
    """

    def __init__(self, measure: str) -> None:
        super().__init__()
        self.measure = measure

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: tags (N, T), logits (N, T, K) or scores (N, T, K, K); targets (N, T)."""
        if output.shape[:2] != target.shape or not 2 <= output.ndim <= 4:
            raise ModelError(
                "outputs and targets do not belong together",
                expected="logits (N, T, K) and tags (N, T)",
                received=f"output {tuple(output.shape)}, target {tuple(target.shape)}",
            )
        self._note_nan(output)
        said = output if output.ndim == 2 else viterbi(output)
        counts = target != _NO_TAG
        right = (said == target) | ~counts
        self._add("hits", (right & counts).sum())
        self._add("tags", counts.sum())
        self._add("whole", right.all(1).sum())
        self.count += len(target)

    def compute(self) -> float:
        """Return the share, from 0 to 1."""
        if not self._usable():
            return float("nan")
        if self.measure == "sentence-accuracy":
            return int(self._sum("whole")) / self.count
        return int(self._sum("hits")) / max(int(self._sum("tags")), 1)


_SHAPES = "scores (N, T, K, K), logits (N, T, K) or tags (N, T); target (N, T) filled up with −1 → float"


def _run(name: str, shown: str) -> str:
    return f"""
        >>> metric = get({name!r}, kind='metric')
        >>> metric.update(torch.tensor([[0, 1, 0], [1, 1, 1]]), torch.tensor([[0, 0, -1], [1, 1, 1]]))
        >>> round(metric.compute(), 4)
        {shown}
        """


@registered(
    kind="metric",
    name="tag-accuracy",
    aliases=("token-tag-accuracy", "per-tag-accuracy"),
    formula="Σ_i Σ_t [ŷ_it = y_it] / Σ_i T_i, ŷ by crf-viterbi",
    shapes=_SHAPES,
    when="a tag for each word",
    pitfalls="high for whoever gives each word its most frequent tag: compare with that",
    source=_LAFFERTY,
    example=_run("tag-accuracy", "0.8"),
    traits={"better": "max", "targets": "tags"},
)
def tag_accuracy() -> Metric:
    """Share of tags that are right."""
    return Tagged("tag-accuracy")


@registered(
    kind="metric",
    name="sentence-accuracy",
    aliases=("whole-sequence-accuracy",),
    formula="(1/N) Σ_i [all T_i tags of example i are right]",
    shapes=_SHAPES,
    when="tags that are of use together alone",
    pitfalls="falls with the length of the sentences",
    source=_LAFFERTY,
    example=_run("sentence-accuracy", "0.5"),
    traits={"better": "max", "targets": "tags"},
)
def sentence_accuracy() -> Metric:
    """Share of sequences all of whose tags are right."""
    return Tagged("sentence-accuracy")
