"""What training minimises, term by term: calls of loss functions, and losses written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from preceptor.diagnosis._options import numbers
from preceptor.diagnosis.structure import LOSSES, REARRANGING, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["FORMS", "GUARDS", "PICKS", "Form", "Term", "one_minus", "stripped", "terms"]

Form = Literal[
    "squared error",
    "absolute error",
    "cross-entropy",
    "likelihood",
    "binary cross-entropy",
    "binary cross-entropy of logits",
    "divergence",
    "margin",
    "other",
]
FORMS: dict[str, Form] = {
    "mse_loss": "squared error",
    "l1_loss": "absolute error",
    "smooth_l1_loss": "absolute error",
    "huber_loss": "absolute error",
    "cross_entropy": "cross-entropy",
    "nll_loss": "likelihood",
    "binary_cross_entropy": "binary cross-entropy",
    "binary_cross_entropy_with_logits": "binary cross-entropy of logits",
    "multilabel_soft_margin_loss": "binary cross-entropy of logits",
    "kl_div": "divergence",
    "soft_margin_loss": "margin",
    "hinge_embedding_loss": "margin",
    "margin_ranking_loss": "margin",
    "cosine_embedding_loss": "margin",
}
"""The form of each loss function; of all others "other"."""
PICKS = frozenset({"gather", "getitem", "take_along_dim", "index_select", "take", "masked_select", "select"})
"""Operators that take some elements out."""
GUARDS = frozenset(
    {"clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_", "nan_to_num"}
)
"""Operators that keep values away from where a logarithm or a division fails."""

_MEANS = frozenset({"mean", "sum", "nanmean", "nansum", "neg", "neg_", "negative"}) | REARRANGING
_SUMS = frozenset({"add", "add_", "radd", "sub", "sub_", "rsub", "subtract"})
_PRODUCTS = frozenset(
    {"mul", "mul_", "rmul", "multiply", "div", "div_", "truediv", "divide", "dot", "einsum"}
)
_CHOICES = frozenset({"where", "masked_fill", "masked_select"})
_DIFFERENCES = frozenset({"sub", "sub_", "rsub", "subtract"})
_NORMS = frozenset({"norm", "vector_norm", "linalg_norm", "linalg_vector_norm", "frobenius_norm"})
_MOST = 400
_SMALL = 1e-2  # what is added inside a logarithm to keep it away from zero


@dataclass(frozen=True)
class Term:
    """One term of a loss.

    Attributes:
        form: what kind of loss it is; FORMS of a function, found out where it is written by hand.
        node: the call, or the operator that decides the form: the square, the logarithm.
        prediction: what the model gives to it, before guards such as a clamp.
        target: what it is compared with; None where there is nothing.
        function: the function's name; "" where the term is written by hand.
        picked: whether the target chooses elements of the prediction (an index) and does not weigh them.
        complete: False where there is y · ln p and nothing of ln(1 − p) in the loss.
    """

    form: Form
    node: Node
    prediction: Value
    target: Value | None
    function: str = ""
    picked: bool = False
    complete: bool = True

    @property
    def where(self) -> str:
        """The user's line."""
        return self.node.where

    @property
    def name(self) -> str:
        """The function's name, or what the term is in words."""
        return self.function or f"a {self.form} written by hand"


@dataclass(frozen=True)
class _Head:
    """A value of which the loss is a linear function, and what it is multiplied with on the way."""

    value: Value
    factors: tuple[Value, ...] = ()
    picks: tuple[Value, ...] = ()


def terms(structure: Structure) -> list[Term]:
    """Return the terms of a recorded step's losses that could be told, in the order of their operators.

    The loss is followed backwards through what is linear: sums, means, products with what is not learned,
    picking of elements. Where that ends, L = Σₖ tₖ · hₖ with heads h; each is a call of a loss function, a
    square or magnitude of a difference with a target, or a logarithm of probabilities. What has none of
    these forms (a physical residual, a distance of two embeddings, a critic's score) is no term.

    Example:
        >>> import torch
        >>> from preceptor.observation.capture import capture
        >>> layer, x, y = torch.nn.Linear(2, 1), torch.ones(3, 2), torch.zeros(3, 1)
        >>> with capture(layer) as captured:
        ...     ((layer(x) - y) ** 2).mean().backward()
        >>> [(term.form, term.function) for term in terms(Structure(captured.graph))]
        [('squared error', '')]
    """
    heads = [head for loss in structure.graph.losses for head in _unravelled(structure, loss)]
    found = [term for head in heads for term in _direct(structure, head)]
    found += _logarithms(structure, heads)
    unique = {(term.node.index, term.prediction.index): term for term in found}
    return [unique[key] for key in sorted(unique)]


# ---------------------------------------------------------------------- from the loss to its heads


def _unravelled(structure: Structure, loss: Value) -> list[_Head]:
    heads: list[_Head] = []
    stack, seen = [_Head(loss)], set[tuple[int, ...]]()
    while stack and len(seen) < _MOST:
        head = stack.pop()
        key = (head.value.index, *(value.index for value in (*head.factors, *head.picks)))
        if key in seen or head.value.index not in structure.learned:
            continue
        seen.add(key)
        further = _through(structure, head)
        if further is None:
            heads.append(head)
        else:
            stack += further
    return heads


def _through(structure: Structure, head: _Head) -> list[_Head] | None:
    """The heads before a linear operator; None where the head is one itself."""
    node = head.value.producer
    if node is None or not node.inputs:
        return None
    learned = [value for value in node.inputs if _is_learned(structure, value)]
    others = tuple(value for value in node.inputs if value not in learned)
    scalar_root = head.value.shape == () and node.op in ("sqrt", "exp", "log") and node.inputs[0].shape == ()
    if node.op in PICKS or node.op in _CHOICES:
        indices = tuple(v for v in others if v.dtype.startswith(("int", "uint"))) if node.op in PICKS else ()
        return [_Head(learned[0], head.factors, head.picks + indices)] if learned else None
    if node.op in _MEANS or node.op in _SUMS or scalar_root:
        return [_Head(value, head.factors, head.picks) for value in learned]
    if node.op in _PRODUCTS and len(learned) == 1 and len(node.inputs) - len(others) == 1:
        return _product(node, head, learned[0], others)
    return None


def _is_learned(structure: Structure, value: Value) -> bool:
    """Whether a value depends on parameters; indices do not, whatever they were expanded with."""
    return value.index in structure.learned and not value.dtype.startswith(("int", "uint", "bool"))


def _product(node: Node, head: _Head, learned: Value, others: tuple[Value, ...]) -> list[_Head] | None:
    divides = node.op in ("div", "div_", "truediv", "divide")
    if not others and not numbers(node):  # a square: the same tensor twice
        return None if not divides else [_Head(learned, head.factors, head.picks)]
    factors = () if divides else tuple(value for value in others if value.shape != ())
    return [_Head(learned, head.factors + factors, head.picks)]


# ---------------------------------------------------------------------- functions, squares, magnitudes


def _direct(structure: Structure, head: _Head) -> Iterator[Term]:
    node = head.value.producer
    if node is None or not node.inputs:
        return
    if node.op in LOSSES:
        yield _function(node)
        return
    if node.op in ("logsigmoid", "log_sigmoid"):
        target = next(iter(head.factors), None)
        yield Term("binary cross-entropy of logits", node, node.inputs[0], target)
        return
    hinge = _hinge(structure, node)
    if hinge is not None:
        yield Term("margin", node, *hinge)
        return
    form = _power(node)
    if form is None:
        return
    pair = _difference(structure, node.inputs[0])
    if pair is not None:
        yield Term(form, node, *pair)


def _hinge(structure: Structure, node: Node) -> tuple[Value, Value] | None:
    """Prediction and target of max(0, 1 − y · x)."""
    if node.op not in ("relu", "clamp", "clamp_min", "clip"):
        return None
    inside = one_minus(node.inputs[0])
    product = inside.producer if inside is not None else None
    if product is None or product.op not in ("mul", "multiply") or len(product.inputs) != 2:
        return None
    learned = [v for v in product.inputs if _is_learned(structure, v)]
    others = [v for v in product.inputs if v not in learned]
    return (learned[0], others[0]) if len(learned) == len(others) == 1 else None


def _function(node: Node) -> Term:
    given = node.inputs[0]
    target = node.inputs[1] if len(node.inputs) > 1 else None
    form = FORMS.get(node.op, "other")
    return Term(form, node, given, target, node.op, picked=form in ("cross-entropy", "likelihood"))


def _power(node: Node) -> Form | None:
    """Whether an operator is a square or a magnitude."""
    if node.op == "square" or node.op in _NORMS:
        return "squared error"
    if node.op in ("pow", "pow_", "float_power") and numbers(node)[:1] == [2.0]:
        return "squared error"
    if node.op in ("mul", "multiply") and len(node.inputs) == 1 and not numbers(node):
        return "squared error"
    return "absolute error" if node.op in ("abs", "absolute") else None


def _difference(structure: Structure, value: Value) -> tuple[Value, Value] | None:
    """Prediction and target whose difference the value is."""
    node = value.producer
    while node is not None and node.op in REARRANGING and node.inputs:
        node = node.inputs[0].producer
    if node is None or node.op not in _DIFFERENCES or len(node.inputs) != 2:
        return None
    learned = [v for v in node.inputs if _is_learned(structure, v)]
    others = [v for v in node.inputs if v not in learned]
    return (learned[0], others[0]) if len(learned) == len(others) == 1 else None


# ---------------------------------------------------------------------- logarithms of probabilities


@dataclass(frozen=True)
class _Log:
    head: _Head
    node: Node
    inside: Value  # what the logarithm is taken of, before guards
    picks: tuple[Value, ...]
    complement: bool  # of 1 − inside


def _logarithms(structure: Structure, heads: list[_Head]) -> Iterator[Term]:
    logs = [log for head in heads if (log := _log(structure, head)) is not None]
    complements = {log.inside.index: log for log in logs if log.complement}
    paired = complements.keys() <= {log.inside.index for log in logs if not log.complement}
    for log in logs:
        if log.complement:
            continue
        factor = next(iter(log.head.factors), None)
        index = log.picks[-1] if log.picks else None
        if log.inside.index in complements:
            yield Term("binary cross-entropy", log.node, log.inside, factor)
        elif index is not None:
            yield Term("likelihood", log.node, log.inside, index, picked=True)
        elif factor is not None:
            yield Term("likelihood", log.node, log.inside, factor, complete=not paired)
        else:
            yield Term("likelihood", log.node, log.inside, None)


def _log(structure: Structure, head: _Head) -> _Log | None:
    node = head.value.producer
    if node is None or not node.inputs or node.op not in ("log", "log_", "log_softmax"):
        return None
    if node.op == "log_softmax":
        return _Log(head, node, node.outputs[0], head.picks, False)
    inside, picks = stripped(structure, node.inputs[0])
    complement = one_minus(inside)
    if complement is not None:
        inside, more = stripped(structure, complement)
        picks += more
    return _Log(head, node, inside, head.picks + picks, complement is not None)


def stripped(structure: Structure, value: Value) -> tuple[Value, tuple[Value, ...]]:
    """Return what was there before guards, rearranging and picking, and the indices that were picked by."""
    picks: list[Value] = []
    while (node := value.producer) is not None and node.inputs:
        learned = [v for v in node.inputs if _is_learned(structure, v)]
        if len(learned) != 1 or not _passes(node):
            break
        if node.op in PICKS:
            picks += [v for v in node.inputs if v is not learned[0] and v.dtype.startswith(("int", "uint"))]
        value = learned[0]
    return value, tuple(picks)


def _passes(node: Node) -> bool:
    if node.op in GUARDS or node.op in REARRANGING or node.op in PICKS:
        return True
    tiny = node.op in ("add", "add_", "radd") and len(node.inputs) == 1
    return tiny and all(0 < abs(n) <= _SMALL for n in numbers(node)) and bool(numbers(node))


def one_minus(value: Value) -> Value | None:
    """Return x where the value is 1 − x; None where it is something else."""
    node = value.producer
    if node is not None and node.op in ("sub", "subtract") and len(node.inputs) == 2:
        s = node.inputs[0].statistics
        ones = s is not None and s.minimum == s.maximum == 1.0 and not node.inputs[0].requires_grad
        return node.inputs[1] if ones else None
    if node is None or len(node.inputs) != 1:
        return None
    return node.inputs[0] if node.op == "rsub" and numbers(node)[:1] == [1.0] else None
