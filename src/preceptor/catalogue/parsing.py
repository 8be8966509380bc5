"""Trees over sentences: the conditional random field of trees, the best tree, and what is measured.

A tree over T words is held as its binary form: 2T − 1 rows (first word, last word, label), the whole sentence
first, filled up with −1. Label 0 marks a span that binary form alone needs; it is no constituent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._measures import Metric, _Sums
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = [
    "Bracketed",
    "TreeCRFLoss",
    "best_tree",
    "bracket_f1",
    "closed",
    "counted",
    "tree_accuracy",
    "tree_crf",
]

_NO_SPAN, _NEVER = -1, -1e4
_BLACK = (
    "Black et al., A Procedure for Quantitatively Comparing the Syntactic Coverage of English Grammars, 1991"
)


def closed(scores: Tensor, words: Tensor) -> Tensor:
    """Return span scores (N, T, T, L) by which every tree holds the sentence, words (N,) long, as one span.

    What lies behind the end hangs on the sentence word by word, at no cost.
    """
    steps = scores.shape[1]
    place = torch.arange(steps, device=scores.device)
    behind = place >= words[:, None]  # (N, T): last words that are none
    spine = (place[:, None] == 0) | (place[:, None] == place)  # from the beginning, or of one word
    free = torch.full((steps, steps, scores.shape[3]), _NEVER, dtype=scores.dtype, device=scores.device)
    free[..., 0] = torch.where(spine, 0.0, _NEVER).to(scores.dtype)
    return torch.where(behind[:, None, :, None], free, scores)


def _joined(scores: Tensor, join: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return, for each width, what spans (N, begin) are worth, and which width their best first half has.

    ``scores`` (N, T, T) are of spans; ``join`` is "sum", over all trees, or "best".
    """
    steps = scores.shape[1]
    worth = [scores.diagonal(0, 1, 2)]
    starts = ends = worth[0][:, :, None]  # (N, T, widths): of spans by their first word, and by their last
    halves: list[Tensor] = []
    for width in range(1, steps):
        # first halves of widths 0, 1, …, and the second halves that end where the span ends
        pairs = starts[:, : steps - width] + ends[:, width:].flip(2)
        if join == "sum":
            inner = pairs.logsumexp(2)
        else:
            inner, half = pairs.max(2)
            halves.append(half)
        worth.append(inner + scores.diagonal(width, 1, 2))
        pad = (0, width), (width, 0)
        starts = torch.cat([starts, nn.functional.pad(worth[-1], pad[0])[:, :, None]], 2)
        ends = torch.cat([ends, nn.functional.pad(worth[-1], pad[1])[:, :, None]], 2)
    return worth, halves


class TreeCRFLoss(nn.Module):
    """−log of the probability of a tree, for each sentence, over its number of words."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of span scores (N, T, T, L) and trees (N, 2T − 1, 3)."""
        words = target[:, 0, 1].long() + 1
        longest = (target.shape[1] + 1) // 2  # no sentence is longer
        worth, _ = _joined(output[:, :longest, :longest].logsumexp(3), "sum")
        total = torch.stack([one[:, 0] for one in worth], 1).gather(1, words[:, None] - 1)[:, 0]
        spans = target.long().clamp_min(0)
        rows = torch.arange(len(spans), device=spans.device)[:, None]
        said = output[rows, spans[..., 0], spans[..., 1], spans[..., 2]]
        each = (total - said.masked_fill(target[..., 0] == _NO_SPAN, 0.0).sum(1)) / words
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"reduction={self.reduction!r}"


@registered(
    kind="loss",
    name="tree-crf",
    aliases=("tree-conditional-random-field", "span-crf", "inside-likelihood"),
    formula="L = −(1/N) Σ_i (1/T_i) log [exp s(y_i) / Σ_y exp s(y)], s(y) = Σ_{(a,b,l) ∈ y} ψ(a, b, l); the "
    "sum over all binary trees with labels by the inside recursion β(a, b) = log Σ_l exp ψ(a, b, l) + "
    "log Σ_c exp(β(a, c) + β(c + 1, b))",
    shapes="span scores (N, T, T, K), target (N, 2T − 1, 3): first word, last word and label of each span of "
    "the binary tree, the whole sentence first, filled up with −1 → scalar; reduction='none': (N,)",
    when="trees over sentences, learned as a whole",
    pitfalls="T³ numbers a sentence, in T steps one after the other; label 0 is no constituent: one of three "
    "words needs a span that is none",
    source="Finkel, Kleeman and Manning, Efficient, Feature-Based, Conditional Random Field Parsing, 2008; "
    "inside recursion: Baker, Trainable Grammars for Speech Recognition, 1979",
    example=">>> tree = torch.tensor([[[0, 2, 1], [0, 0, 0], [1, 2, 1], [1, 1, 0], [2, 2, 0]]])\n"
    ">>> loss = get('tree-crf')(torch.zeros(1, 3, 3, 2), tree)\n"
    ">>> round(3 * loss.item(), 4)  # ln 64: 2 shapes, 2 labels in 5 places\n"
    "4.1589",
    traits={"targets": "trees", "output_unit": "softmax"},
)
def tree_crf(reduction: str = "mean") -> nn.Module:
    """Conditional random field of trees: the likelihood of a whole tree over a sentence."""
    return TreeCRFLoss(check_choice("tree-crf", "reduction", reduction, ("mean", "sum", "none")))


@registered(
    kind="decoding",
    name="best-tree",
    aliases=("cky", "cocke-kasami-younger", "chart-parsing"),
    formula="ŷ = argmax_y Σ_{(a,b,l) ∈ y} ψ(a, b, l): δ(a, b) = max_l ψ(a, b, l) + max_c δ(a, c) + "
    "δ(c + 1, b), and back along what was taken",
    shapes="span scores (N, T, T, K) → trees (N, 2T − 1, 3): first word, last word and label of each span",
    when="the best tree of a conditional random field or of a grammar; always a tree, whatever the scores",
    pitfalls="T³ steps; of sentences of several lengths, close the scores first (`closed`)",
    source="Kasami, An Efficient Recognition and Syntax-Analysis Algorithm, 1966; Younger, Recognition and "
    "Parsing of Context-Free Languages in Time n³, 1967",
    example=">>> scores = torch.zeros(1, 3, 3, 2)\n"
    ">>> scores[0, 0, 1, 1] = scores[0, 0, 2, 1] = 1.0  # the first two words, and all three\n"
    ">>> get('cky', scores)[0].tolist()\n"
    "[[0, 2, 1], [0, 1, 1], [0, 0, 0], [1, 1, 0], [2, 2, 0]]",
)
def best_tree(scores: Tensor) -> Tensor:
    """Tree of the highest score."""
    best, labels = scores.detach().max(3)
    _, halves = _joined(best, "best")
    count, steps = labels.shape[:2]
    split = torch.zeros_like(labels)
    for width, half in enumerate(halves, 1):
        split.diagonal(width, 1, 2).copy_(half)
    rows, depth = (torch.arange(count, device=scores.device) * k for k in (1, 0))
    waiting = torch.zeros(count, steps + 1, 2, dtype=torch.int64, device=scores.device)
    waiting[:, 0, 1] = steps - 1
    made = []
    for _ in range(2 * steps - 1):
        a, b = waiting[rows, depth].unbind(1)
        made.append(torch.stack([a, b, labels[rows, a, b]], 1))
        middle, parted = a + split[rows, a, b], b > a
        # Both halves wait in place of the span, the first one on top; a single word has none.
        for at, first, last in ((depth, middle + 1, b), (depth + 1, a, middle)):
            span = torch.stack([first, last], 1)
            waiting[rows, at] = torch.where(parted[:, None], span, waiting[rows, at])
        depth = (depth + 2 * parted - 1).clamp_min(0)
    return torch.stack(made, 1)


def counted(said: Tensor, target: Tensor, labels: int) -> Tensor:
    """Return how many brackets of each label agree, were said, and are true, (N, labels, 3) int64.

    A bracket is a span with a label other than 0; both are trees (N, M, 3).
    """
    words = target[:, :1, 1] + 1
    said, target = said.long(), target.long()
    here = (said[..., 2] > 0) & (said[..., 1] < words) & (said[..., 0] >= 0)
    there = target[..., 2] > 0
    alike = (said[:, :, None] == target[:, None]).all(3) & here[:, :, None] & there[:, None]

    def each(which: Tensor, of: Tensor) -> Tensor:
        none = torch.zeros(len(of), labels, dtype=torch.int64, device=of.device)
        return none.scatter_add_(1, of[..., 2].clamp_min(0), which.long())

    return torch.stack([each(alike.any(1), target), each(here, said), each(there, target)], 2)


class Bracketed(_Sums):
    """Brackets that agree, and trees all of whose brackets do.

    Example:
        >>> metric = Bracketed("bracket-f1")
        >>> tree = torch.tensor([[[0, 1, 1], [0, 0, 0], [1, 1, 2]]])
        >>> metric.update(torch.tensor([[[0, 1, 1], [0, 0, 2], [1, 1, 2]]]), tree)
        >>> metric.compute()
        0.8
    """

    def __init__(self, measure: str) -> None:
        super().__init__()
        self.measure = measure

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: trees (N, M, 3), or span scores (N, T, T, K); targets (N, 2T − 1, 3)."""
        if output.ndim not in (3, 4) or target.ndim != 3 or len(output) != len(target):
            raise ModelError(
                "outputs and targets do not belong together",
                expected="span scores (N, T, T, K) and trees (N, 2T − 1, 3)",
                received=f"output {tuple(output.shape)}, target {tuple(target.shape)}",
            )
        self._note_nan(output)
        said = output if output.ndim == 3 else best_tree(closed(output, target[:, 0, 1] + 1))
        self.add(counted(said, target, int(max(said[..., 2].max(), target[..., 2].max())) + 1))

    def add(self, counts: Tensor) -> None:
        """Add what `counted` found of each sentence, (N, labels, 3)."""
        brackets = counts.sum(1)
        self._add("brackets", brackets.sum(0))
        self._add("whole", (brackets[:, :1] == brackets[:, 1:]).all(1).sum())
        self.count += len(counts)

    def compute(self) -> float:
        """Return the measure, from 0 to 1."""
        if not self._usable():
            return float("nan")
        if self.measure == "tree-accuracy":
            return int(self._sum("whole")) / self.count
        alike, said, true = self._sum("brackets").tolist()
        return float(2 * alike / max(said + true, 1))

    def _usable(self) -> bool:
        return self.count > 0 and not int(self._sums.get("nan", torch.tensor(0)))


_SHAPES = "span scores (N, T, T, K) or trees (N, M, 3); target (N, 2T − 1, 3) filled up with −1 → float"


def _run(name: str, shown: str) -> str:
    return f"""
        >>> metric = get({name!r}, kind='metric')
        >>> true = torch.tensor([[[0, 1, 1], [0, 0, 0], [1, 1, 2]], [[0, 1, 1], [0, 0, 0], [1, 1, 0]]])
        >>> said = torch.tensor([[[0, 1, 1], [0, 0, 2], [1, 1, 2]], [[0, 1, 1], [0, 0, 0], [1, 1, 0]]])
        >>> metric.update(said, true)
        >>> round(metric.compute(), 4)
        {shown}
        """


@registered(
    kind="metric",
    name="bracket-f1",
    aliases=("labelled-bracket-f1", "parseval", "evalb"),
    formula="F1 = 2 Σ_i |ŷ_i ∩ y_i| / Σ_i (|ŷ_i| + |y_i|), y_i the spans of sentence i with their labels, ŷ "
    "by best-tree",
    shapes=_SHAPES,
    when="trees over sentences: the share of constituents that are right, and found",
    pitfalls="constituents of the same span one in another count as one, right where all labels are; trees "
    "that all branch to the right have a part of it for nothing: compare with them",
    source=_BLACK,
    example=_run("bracket-f1", "0.8571"),
    traits={"better": "max", "targets": "trees"},
)
def bracket_f1() -> Metric:
    """Harmonic mean of precision and recall of labelled brackets."""
    return Bracketed("bracket-f1")


@registered(
    kind="metric",
    name="tree-accuracy",
    aliases=("exact-match-of-trees", "complete-match"),
    formula="(1/N) Σ_i [ŷ_i = y_i], y_i the spans of sentence i with their labels",
    shapes=_SHAPES,
    when="trees that are of use as a whole alone",
    pitfalls="falls with the length of the sentences",
    source=_BLACK,
    example=_run("tree-accuracy", "0.5"),
    traits={"better": "max", "targets": "trees"},
)
def tree_accuracy() -> Metric:
    """Share of sentences whose tree is right in all brackets."""
    return Bracketed("tree-accuracy")
