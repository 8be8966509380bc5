"""Writing a sequence symbol by symbol: a model's own output is its next input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = ["Hypothesis", "Step", "beam_search", "free_running", "repeated"]

Step: TypeAlias = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""From the symbols written last, (N,), and a state to raw outputs (N, K) and the state behind them."""

_SHAPES = (
    "step: symbols (N,) int64, state → raw outputs (N, K), state; state: None, or tensors with N rows, in "
    "tuples"
)


class Hypothesis(NamedTuple):
    """What a beam has written: symbols without begin and end, and log P(y) / |y|^length_penalty."""

    symbols: list[int]
    score: float


def repeated(state: Any, times: int) -> Any:
    """Return a state with each row as often as asked, one after the other.

    Example:
        >>> repeated((torch.tensor([[1], [2]]), None), 2)
        (tensor([[1],
                [1],
                [2],
                [2]]), None)
    """
    return tree_map(lambda t: t.repeat_interleave(times, 0) if isinstance(t, Tensor) else t, state)


@registered(
    kind="decoding",
    name="free-running",
    aliases=("freerun", "free-running-generation", "autoregressive-generation", "own-output-fed-back"),
    formula="y_0 = begin, y_t = choose(z_t), z_t = step(y_{t−1}); a row is over with its first end, all are "
    "after longest symbols; choose: argmax, or a Selection by temperature, top-k or nucleus",
    shapes=_SHAPES + "; rows sequences → a list of symbols each, without begin and end",
    when="a model that was trained on true symbols is to write by itself",
    pitfalls="what training with true symbols never showed: after a first mistake others follow; train some "
    "steps on own outputs (scheduled-sampling), or search with a beam",
    source="Williams and Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural "
    "Networks, 1989",
    example=">>> table = torch.eye(4).roll(1, 1)  # after 0 comes 1, then 2, then 3\n"
    ">>> get('free-running', lambda y, state: (table[y], state), None, begin=0, end=3)\n[[1, 2]]",
)
@torch.no_grad()
def free_running(
    step: Step,
    state: Any,
    begin: int = 0,
    end: int | None = None,
    rows: int = 1,
    longest: int = 50,
    choose: Callable[[Tensor], Tensor] | None = None,
) -> list[list[int]]:
    """Free-running generation: every symbol that a model writes is the next one that it reads."""
    check_count("free-running", "rows", rows)
    check_count("free-running", "longest", longest)
    symbols: Tensor = torch.full((rows,), begin)
    written: list[list[int]] = [[] for _ in range(rows)]
    going = set(range(rows))
    for _ in range(longest):
        logits, state = step(symbols, state)
        symbols = logits.argmax(-1) if choose is None else choose(logits)
        for row, symbol in enumerate(symbols.tolist()):
            if row in going and symbol == end:
                going.discard(row)
            elif row in going:
                written[row].append(symbol)
        if not going:
            break
    return written


@registered(
    kind="decoding",
    name="beam-search",
    aliases=("beam", "beam-decoding", "beam-search-decoding"),
    formula="at every step the `beam` hypotheses with the largest log P(y_1 … y_t) / |y|^length_penalty are "
    "kept, |y| their symbols with the end; one that has ended keeps its place and its score",
    shapes=_SHAPES + "; step sees rows · beam symbols, the hypotheses of a row one after the other; the "
    "state has rows "
    "rows → for each row its hypotheses, the best first",
    when="one answer that is probable as a whole: translation, speech, captions; 4 to 10 hypotheses",
    pitfalls="with length_penalty=0 short sequences win, for every further symbol costs probability; wider "
    "beams find what is more probable, which is not always better",
    source="Graves, Sequence Transduction with Recurrent Neural Networks, 2012; length normalisation: Cho et "
    "al., On the Properties of Neural Machine Translation, 2014",
    example=">>> table = torch.tensor([[0.0, 0.5, 0.4, 0.1], [0, 0, 0, 0.4], [0, 0, 0, 1], [0, 0, 0, 1]])\n"
    ">>> table[1, :3] = 0.2  # 1 is likely at first, and then nothing is\n"
    ">>> logs = (table + 1e-9).log()\n"
    ">>> best, *_ = get('beam-search', lambda y, s: (logs[y], s), None, begin=0, end=3, beam=3)[0]\n"
    ">>> best.symbols, round(best.score, 3)\n([2], -0.458)",
)
@torch.no_grad()
def beam_search(
    step: Step,
    state: Any,
    begin: int = 0,
    end: int = 1,
    rows: int = 1,
    beam: int = 5,
    longest: int = 50,
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """Beam search: several hypotheses are carried on, and the most probable of them kept, by length."""
    for option, value in (("rows", rows), ("beam", beam), ("longest", longest)):
        check_count("beam-search", option, value)
    check_number("beam-search", "length_penalty", length_penalty, 0.0)
    beams = _Beams(rows, beam, begin, end, length_penalty)
    state = repeated(state, beam)
    for _ in range(longest):
        logits, state = step(beams.symbols, state)
        kept = beams.grow(logits)
        state = tree_map(lambda t, kept=kept: t[kept] if isinstance(t, Tensor) else t, state)
        if bool(beams.ended.all()):
            break
    return beams.best()


class _Beams:
    """The hypotheses of all rows: (N, B) scores, lengths and ends, (N, B, T) symbols."""

    def __init__(self, rows: int, beam: int, begin: int, end: int, penalty: float) -> None:
        self.end, self.penalty = end, penalty
        self.logs = torch.full((rows, beam), -torch.inf)
        self.logs[:, 0] = 0.0  # at first there is one hypothesis, not several equal ones
        self.lengths = torch.zeros(rows, beam, dtype=torch.int64)
        self.ended = torch.zeros(rows, beam, dtype=torch.bool)
        self.written = torch.zeros(rows, beam, 0, dtype=torch.int64)
        self.symbols = torch.full((rows * beam,), begin)

    def grow(self, logits: Tensor) -> Tensor:
        """Write a symbol more; return which row of the state each hypothesis goes on from."""
        (rows, beam), symbols = self.logs.shape, logits.shape[-1]
        logs = logits.detach().cpu().float().log_softmax(-1).reshape(rows, beam, symbols)
        over = torch.full((symbols,), -torch.inf)
        over[self.end] = 0.0  # what has ended goes on with nothing else, at no cost
        logs = torch.where(self.ended[..., None], over, logs)
        total = self.logs[..., None] + logs
        lengths = self.lengths + ~self.ended
        ranked = total / lengths[..., None] ** self.penalty
        chosen = ranked.flatten(1).topk(beam).indices
        parent, symbol = chosen // symbols, chosen % symbols
        self.logs = total.flatten(1).gather(1, chosen)
        self.lengths = lengths.gather(1, parent)
        self.ended = self.ended.gather(1, parent) | (symbol == self.end)
        before = self.written.gather(1, parent[..., None].expand(-1, -1, self.written.shape[-1]))
        self.written = torch.cat([before, symbol[..., None]], -1)
        self.symbols = symbol.flatten()
        return (torch.arange(rows)[:, None] * beam + parent).flatten()

    def best(self) -> list[list[Hypothesis]]:
        """Return the hypotheses of each row, those that have ended first, the most probable first."""
        scores = self.logs / self.lengths**self.penalty
        found = []
        for row, ended in enumerate(self.ended.tolist()):
            order = sorted(range(len(ended)), key=lambda i: (not ended[i], -float(scores[row, i])))
            found.append([self._made(row, i) for i in order if self.logs[row, i] > -torch.inf])
        return found

    def _made(self, row: int, i: int) -> Hypothesis:
        length = int(self.lengths[row, i])
        symbols = self.written[row, i, : length - int(self.ended[row, i])].tolist()
        return Hypothesis(symbols, float(self.logs[row, i]) / length**self.penalty)
