"""From steps to symbols without an alignment: the CTC loss, two decodings, and the errors that are left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._measures import Metric, _Sums
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = [
    "CTC",
    "Transcribed",
    "character_error_rate",
    "ctc",
    "ctc_greedy",
    "ctc_prefix_beam",
    "edit_distance",
    "sequence_accuracy",
    "transcribed",
]

_PAD = -1
_GRAVES = "Graves, Fernández, Gomez and Schmidhuber, Connectionist Temporal Classification, 2006"
_SHAPES = "logits (N, T, K), the last of the K the blank; target (N, L) int64 below K − 1, filled up with −1"
_DATA = "logits, y = torch.tensor([[[9., 0, 0], [0, 0, 9.], [0, 9., 0]]]), torch.tensor([[0, 1]])"


class CTC(nn.Module):
    """−log Σ of the probabilities of all paths that say the target, for each example, over its length."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (N, T, K) and targets (N, L)."""
        said = target != _PAD
        lengths = said.sum(1)
        steps = torch.full_like(lengths, output.shape[1])
        each = nn.functional.ctc_loss(
            output.log_softmax(2).transpose(0, 1),
            target.clamp_min(0),
            steps,
            lengths,
            blank=output.shape[2] - 1,
            reduction="none",
            zero_infinity=True,
        )
        each = each / lengths.clamp_min(1)
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"reduction={self.reduction!r}"


@registered(
    kind="loss",
    name="ctc",
    aliases=("connectionist-temporal-classification", "ctc-loss"),
    formula="L = −(1/N) Σ_i (1/L_i) log Σ_{π: B(π) = y_i} Π_t softmax(z_it)_{π_t}; "
    "B takes repeated symbols as one and leaves out blanks",
    shapes="logits (N, T, K), target (N, T) filled up with −1 → scalar; reduction='none': (N,)",
    when="a text for an image or a sound, without saying where each symbol is",
    pitfalls="needs T ≥ L, and a step more for each symbol that is said twice in a row: "
    "a target that cannot be said counts as 0",
    source=_GRAVES,
    differs="torch's CTCLoss takes log-probabilities (T, N, K) and has blank=0; "
    "its mean, too, divides each loss by the target's length",
    example=">>> logits = torch.tensor([[[9., 0, 0], [0, 0, 9.], [0, 9., 0]]])\n"
    ">>> round(get('ctc', kind='loss')(logits, torch.tensor([[0, 1]])).item(), 4)\n0.0002",
    traits={"targets": "texts", "output_unit": "softmax"},
)
def ctc(reduction: str = "mean") -> nn.Module:
    """Connectionist temporal classification: the likelihood of a text, over all its alignments."""
    return CTC(check_choice("ctc", "reduction", reduction, ("mean", "sum", "none")))


def transcribed(symbols: Sequence[int], blank: int) -> list[int]:
    """Return what a path says: repeated symbols as one, blanks left out.

    Example:
        >>> transcribed([2, 0, 0, 2, 0, 1, 1], blank=2)
        [0, 0, 1]
    """
    return [s for i, s in enumerate(symbols) if s != blank and (i == 0 or symbols[i - 1] != s)]


@registered(
    kind="decoding",
    name="ctc-greedy",
    aliases=("best-path-decoding", "ctc-best-path"),
    formula="ŷ = B(argmax_k z_1k, …, argmax_k z_Tk): the most probable symbol of each step, repeated "
    "ones taken "
    "as one, "
    "blanks left out",
    shapes="logits (T, K), the last of the K the blank → a list of symbols",
    when="quick, and nearly always what the beam finds once the network is sure",
    pitfalls="the best path need not say the most probable text, which may have many paths",
    source=_GRAVES,
    example=">>> get('ctc-greedy', torch.tensor([[9., 0, 0], [9., 0, 0], [0, 0, 9.], [0, 9., 0]]))\n[0, 1]",
)
def ctc_greedy(logits: Any) -> list[int]:
    """Greedy decoding of CTC outputs."""
    scores = _steps("ctc-greedy", logits)
    return transcribed(scores.argmax(1).tolist(), scores.shape[1] - 1)


@registered(
    kind="decoding",
    name="ctc-prefix-beam",
    aliases=("ctc-beam-search", "prefix-beam-search"),
    formula="P(prefix) = P_blank + P_symbol by the last step; for each step the beam most probable "
    "prefixes are "
    "gone on with: a blank or its last symbol again keeps a prefix, another symbol, or the last one behind a "
    "blank, makes it longer. ŷ = the most probable prefix at the end",
    shapes="logits (T, K), the last of the K the blank → a list of symbols",
    when="the network is unsure, and a text has many paths",
    pitfalls="some beam · K operations a step, in Python",
    source="Hannun, Maas, Jurafsky and Ng, First-Pass Large Vocabulary Continuous Speech Recognition Using "
    "Bi-Directional Recurrent DNNs, 2014",
    example=">>> p = torch.tensor([[0.4, 0.6], [0.4, 0.6]])  # a blank at both steps 0.36, the symbol "
    "somewhere 0.64\n"
    ">>> get('ctc-greedy', p.log()), get('ctc-prefix-beam', p.log())\n([], [0])",
)
def ctc_prefix_beam(logits: Any, beam: int = 16) -> list[int]:
    """Prefix beam search over CTC outputs."""
    check_count("ctc-prefix-beam", "beam", beam)
    scores = _steps("ctc-prefix-beam", logits)
    log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    blank = scores.shape[1] - 1
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for step in log_p.tolist():
        found: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (ends_blank, ends_symbol) in kept.items():
            either = float(np.logaddexp(ends_blank, ends_symbol))
            _gain(found, prefix, either + step[blank], -math.inf)
            for symbol in range(blank):
                again = bool(prefix) and prefix[-1] == symbol
                if again:
                    _gain(found, prefix, -math.inf, ends_symbol + step[symbol])
                _gain(found, (*prefix, symbol), -math.inf, (ends_blank if again else either) + step[symbol])
        best = sorted(found.items(), key=lambda item: -float(np.logaddexp(*item[1])))
        kept = dict(best[:beam])
    return list(next(iter(kept)))


def _gain(
    found: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], b: float, s: float
) -> None:
    before = found.get(prefix, (-math.inf, -math.inf))
    found[prefix] = (float(np.logaddexp(before[0], b)), float(np.logaddexp(before[1], s)))


def _steps(owner: str, logits: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    scores = np.asarray(logits.detach().cpu() if isinstance(logits, Tensor) else logits, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ConfigError(
            f"{owner} takes the outputs of one example",
            expected="logits (T, K), K ≥ 2, the last of the K the blank",
            received=str(scores.shape),
        )
    return scores


def edit_distance(said: Sequence[Any], true: Sequence[Any]) -> int:
    """Return the least number of insertions, deletions and exchanges that make one sequence of the other.

    Example:
        >>> edit_distance("kitten", "sitting")
        3

    Source: Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions and Reversals (1966).
    """
    row = list(range(len(true) + 1))
    for i, one in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(true, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


class Transcribed(_Sums):
    """Edits and exact hits of greedy transcriptions.

    Example:
        >>> metric = Transcribed("sequence-accuracy")
        >>> metric.update(torch.tensor([[[9.0, 0, 0], [0, 9.0, 0]]]), torch.tensor([[0, 1]]))
        >>> metric.compute()
        1.0
    """

    def __init__(self, measure: str) -> None:
        super().__init__()
        self.measure = measure

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: logits (N, T, K), or symbols (N, T) filled up with −1; targets (N, L)."""
        if output.ndim not in (2, 3) or len(output) != len(target):
            raise ModelError(
                "outputs and targets do not belong together",
                expected="logits (N, T, K) and symbols (N, L)",
                received=f"output {tuple(output.shape)}, target {tuple(target.shape)}",
            )
        self._note_nan(output)
        blank = output.shape[2] - 1 if output.ndim == 3 else _PAD
        paths = output.argmax(2) if output.ndim == 3 else output
        for path, row in zip(paths.tolist(), target.tolist(), strict=True):
            said = transcribed(path, blank) if output.ndim == 3 else [s for s in path if s != _PAD]
            true = [symbol for symbol in row if symbol != _PAD]
            self._add("edits", torch.tensor(edit_distance(said, true)))
            self._add("symbols", torch.tensor(len(true)))
            self._add("hits", torch.tensor(int(said == true)))
        self.count += len(target)

    def compute(self) -> float:
        """Return the measure."""
        if not self._usable():
            return float("nan")
        if self.measure == "sequence-accuracy":
            return int(self._sum("hits")) / self.count
        return int(self._sum("edits")) / max(int(self._sum("symbols")), 1)


@registered(
    kind="metric",
    name="sequence-accuracy",
    aliases=("exact-sequence-accuracy", "exact-match"),
    formula="(1/N) Σ_i [ŷ_i = y_i], ŷ_i as ctc-greedy decodes it",
    shapes=_SHAPES + " → float",
    when="a text is of use only without a mistake: numbers, codes",
    pitfalls="falls with the length of the texts, however good the symbols are",
    source=_GRAVES,
    example=f">>> {_DATA}\n>>> metric = get('sequence-accuracy', kind='metric')\n"
    ">>> metric.update(logits, y)\n>>> metric.compute()\n1.0",
    traits={"better": "max", "targets": "texts"},
)
def sequence_accuracy() -> Metric:
    """Share of texts that are transcribed without a mistake."""
    return Transcribed("sequence-accuracy")


@registered(
    kind="metric",
    name="character-error-rate",
    aliases=("cer", "symbol-error-rate"),
    formula="Σ_i (edit distance of ŷ_i and y_i) / Σ_i L_i, ŷ_i as ctc-greedy decodes it",
    shapes=_SHAPES + " → float",
    when="texts that a person corrects: the share of symbols to be mended",
    pitfalls="can be above 1, where more is said than there is",
    source="Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions and Reversals, 1966",
    example=f">>> {_DATA}\n>>> metric = get('cer', kind='metric')\n"
    ">>> metric.update(logits, torch.tensor([[0, 0]]))\n>>> metric.compute()\n0.5",
    traits={"better": "min", "targets": "texts"},
)
def character_error_rate() -> Metric:
    """Edits that mend the transcriptions, to the number of true symbols."""
    return Transcribed("character-error-rate")
