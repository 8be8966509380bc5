"""Measures of several labels an example: a logit for each label, above 0 where the label is said to hold."""

from __future__ import annotations

from torch import Tensor

from preceptor.catalogue._measures import Metric, _Sums
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["LabelCounts", "hamming_loss", "micro_f1", "multi_label_macro_f1", "subset_accuracy"]

_KIND = "metric"
_SHAPES = "logits (N, K), target (N, K) of 0 and 1 → float"
_SOURCE = "Tsoumakas and Katakis, Multi-Label Classification: An Overview, 2007"
_UP = {"better": "max", "targets": "labels"}
_DATA = "logits, y = torch.tensor([[3.0, -1.0], [2.0, 1.0]]), torch.tensor([[1, 0], [0, 1]])"


def _run(name: str, shown: str) -> str:
    return f"""
        >>> {_DATA}
        >>> metric = get({name!r}, kind='metric')
        >>> metric.update(logits, y)
        >>> round(metric.compute(), 4)
        {shown}
        """


class LabelCounts(_Sums):
    """Hits, false alarms and misses of each label, and the examples whose labels are all right.

    Example:
        >>> import torch
        >>> metric = LabelCounts("micro-f1")
        >>> metric.update(torch.tensor([[3.0, -1.0], [2.0, 1.0]]), torch.tensor([[1, 0], [0, 1]]))
        >>> metric.compute()
        0.8
    """

    def __init__(self, measure: str) -> None:
        super().__init__()
        self.measure = measure

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: logits (N, K) and targets (N, K)."""
        if output.shape != target.shape or output.ndim != 2:
            raise ModelError(
                "outputs and targets do not belong together",
                expected="logits (N, K) and targets (N, K) of 0 and 1",
                received=f"output {tuple(output.shape)}, target {tuple(target.shape)}",
            )
        said, true = output > 0, target > 0.5
        self._add("hit", (said & true).sum(0))
        self._add("said", said.sum(0))
        self._add("true", true.sum(0))
        self._add("whole", (said == true).all(1).sum())
        self._note_nan(output)
        self.count += len(target)

    def compute(self) -> float:
        """Return the measure, from 0 to 1."""
        if not self._usable():
            return float("nan")
        hit, both = self._sum("hit").double(), (self._sum("said") + self._sum("true")).double()
        if self.measure == "subset-accuracy":
            return int(self._sum("whole")) / self.count
        if self.measure == "hamming-loss":
            return float((both - 2 * hit).sum()) / (self.count * len(hit))
        if self.measure == "micro-f1":
            return float(2 * hit.sum() / both.sum()) if float(both.sum()) else float("nan")
        seen = both > 0
        return float((2 * hit[seen] / both[seen]).mean())

    def each_label(self) -> list[dict[str, float]]:
        """Return precision, recall and F1 of each label, and how many examples have it; NaN where none does.

        Raises:
            ModelError: no batch was added yet.
        """
        if not self.count:
            raise ModelError("nothing was counted yet", expected="at least one batch", received="none")
        hit, said, true = (self._sum(name).tolist() for name in ("hit", "said", "true"))
        return [
            {
                "precision": h / s if s else float("nan"),
                "recall": h / t if t else float("nan"),
                "F1": 2 * h / (s + t) if s + t else float("nan"),
                "examples": float(t),
            }
            for h, s, t in zip(hit, said, true, strict=True)
        ]


@registered(
    kind=_KIND,
    name="micro-f1",
    aliases=("f1-micro", "micro-averaged-f1"),
    formula="2·TP / (2·TP + FP + FN), TP, FP and FN summed over all labels",
    shapes=_SHAPES,
    when="several labels an example: every single decision counts alike",
    pitfalls="frequent labels decide it; multi-label-macro-f1 gives rare ones the same weight",
    source=_SOURCE,
    example=_run("micro-f1", "0.8"),
    traits=_UP,
)
def micro_f1() -> Metric:
    """F1 score over all decisions on all labels."""
    return LabelCounts("micro-f1")


@registered(
    kind=_KIND,
    name="multi-label-macro-f1",
    aliases=("label-averaged-f1", "macro-f1-of-labels"),
    formula="mean over labels of 2·TP_k / (2·TP_k + FP_k + FN_k)",
    shapes=_SHAPES,
    when="several labels an example, rare ones as important as frequent ones",
    pitfalls="noisy where a label has few examples",
    source=_SOURCE,
    differs="a label that neither occurs nor is predicted is left out; scikit-learn counts it as 0",
    example=_run("multi-label-macro-f1", "0.8333"),
    traits=_UP,
)
def multi_label_macro_f1() -> Metric:
    """F1 score of each label, averaged with equal weight."""
    return LabelCounts("macro-f1")


@registered(
    kind=_KIND,
    name="subset-accuracy",
    aliases=("exact-match-ratio", "exact-match-of-labels"),
    formula="(1/N) Σ_i [all K labels of example i are right]",
    shapes=_SHAPES,
    when="an example is of use only if all its labels are right",
    pitfalls="falls with the number of labels, however good each one is",
    source=_SOURCE,
    example=_run("subset-accuracy", "0.5"),
    traits=_UP,
)
def subset_accuracy() -> Metric:
    """Share of examples all of whose labels are right."""
    return LabelCounts("subset-accuracy")


@registered(
    kind=_KIND,
    name="hamming-loss",
    aliases=("label-error-rate",),
    formula="(1/(N·K)) Σ_i Σ_k [label k of example i is wrong]",
    shapes=_SHAPES,
    when="the share of wrong decisions, whatever their kind",
    pitfalls="small where labels are rare, even if none is ever found",
    source=_SOURCE,
    example=_run("hamming-loss", "0.25"),
    traits={"better": "min", "targets": "labels"},
)
def hamming_loss() -> Metric:
    """Share of labels that are wrong."""
    return LabelCounts("hamming-loss")
