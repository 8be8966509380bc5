"""Rules: whether the loss suits its targets: classes, probabilities, counts, numbers, signs."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis._about import about
from preceptor.diagnosis._aims import Aim, Compared, compared, labels_over_classes
from preceptor.diagnosis._origins import origin
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["targets_outside_the_loss"]

_CAUSE = "loss-mismatch"
_PROBABILITIES = ("softmax", "sigmoid", "share")
_BETWEEN = 1e-3
_OF_SIGNS = ("soft_margin_loss", "hinge_embedding_loss", "")


@rule(_CAUSE, early=True)
def targets_outside_the_loss(case: Case) -> Iterator[Finding]:
    """Targets that the loss is not defined for.

    −y ln p − (1 − y) ln(1 − p) is a likelihood for 0 ≤ y ≤ 1; beyond, one coefficient is negative and the
    loss falls without bound. −Σ_c t_c ln p_c asks for a distribution t (t ≥ 0); a class number is not one,
    and over a single unit it gives samples with t = 0 no loss at all. ``cross_entropy`` with floating
    targets asks for rows of probabilities, and over one class it is 0 whatever comes in. Hinge losses ask
    for y = ±1: with y = 0 a sample has no gradient. Exact: range and type of all targets seen. Soft targets
    within [0, 1], label smoothing, and targets that sum to less than 1 do not count.

    Source: PyTorch manual, torch.nn.BCELoss, CrossEntropyLoss, HingeEmbeddingLoss (2025).
    """
    for one in compared(case):
        aim = one.aim
        if aim is None:
            continue
        found = _binary(one, aim) or _one_class(one, aim) or _weights(one, aim)
        found = found or _distribution(one, aim) or _signs(one, aim) or _swapped(one)
        if found is not None:
            yield found


def _binary(one: Compared, aim: Aim) -> Finding | None:
    if not one.term.form.startswith("binary cross-entropy"):
        return None
    if aim.low >= -_BETWEEN and aim.high <= 1 + _BETWEEN:
        return None
    signs = aim.low == -1 and aim.high == 1
    coded = any(row.get("target_distinct") == 2 and row.get("integral") for row in one.rows)
    found = about(
        one,
        _CAUSE,
        "critical",
        f"{one.term.name} is given targets from {aim.low:.4g} to {aim.high:.4g}; it is defined for 0 … 1",
        {"targets from": aim.low, "to": aim.high, "allowed": [0, 1]},
        effect="one of the two logarithms gets a negative weight: the loss has no lower bound",
        remedy="encode the labels as 0 and 1 and not as −1 and 1"
        if signs
        else "use mse_loss for quantities, poisson_nll_loss for counts, cross_entropy for several classes",
    )
    # two whole numbers are a yes and a no that were coded otherwise: the loss suits them, their code does not
    return found.but(confidence=0.9) if coded else found


def _one_class(one: Compared, aim: Aim) -> Finding | None:
    """A likelihood over a single unit: it knows only one class."""
    shape = one.term.prediction.shape
    classes = shape[1] if len(shape) > 1 else 0
    by_hand = one.term.form == "likelihood" and not one.term.function and not one.term.picked
    half = (
        by_hand
        and not one.term.complete
        and origin(one.structure, one.term.prediction).kind in _PROBABILITIES
    )
    if classes != 1 or not (one.term.form == "cross-entropy" or half):
        return None
    return about(
        one,
        _CAUSE,
        "critical",
        f"{one.term.name} runs over a single unit, and so knows one class only",
        {"shape of the predictions": list(shape), "targets from": aim.low, "to": aim.high},
        effect="samples of class 0 give no loss and no gradient"
        if by_hand
        else "softmax over one unit is 1, so the loss is 0 or constant whatever the model does",
        remedy="use binary_cross_entropy_with_logits for one unit, mse_loss for a quantity",
    )


def _weights(one: Compared, aim: Aim) -> Finding | None:
    """Class numbers that weigh log-probabilities as if they were one-hot."""
    if not labels_over_classes(one):
        return None
    return about(
        one,
        _CAUSE,
        "critical",
        f"class numbers from {aim.low:.4g} to {aim.high:.4g} are multiplied with the log-probabilities as if"
        " they were one-hot rows",
        {"labels": list(aim.shape), "type": aim.dtype, "log-probabilities": list(one.term.prediction.shape)},
        effect="class 0 has no weight, the last class the largest, and no term says which class is right",
        remedy="use cross_entropy with the class numbers, or one_hot(labels) in the product",
    )


def _distribution(one: Compared, aim: Aim) -> Finding | None:
    """cross_entropy with floating targets that are no probabilities."""
    if one.term.function != "cross_entropy" or aim.integer:
        return None
    shape = one.term.prediction.shape
    if aim.low < -_BETWEEN or aim.high > 1 + _BETWEEN:
        return about(
            one,
            _CAUSE,
            "critical",
            f"cross_entropy is given quantities from {aim.low:.4g} to {aim.high:.4g} as class probabilities",
            {"targets from": aim.low, "to": aim.high, "type": aim.dtype},
            effect="weights of classes that are no probabilities: the loss measures nothing that is meant",
            remedy="use mse_loss for quantities; for classes give their numbers as a tensor of type long",
        )
    if len(shape) == 1 and abs(aim.mean * shape[0] - 1) > 0.01:
        return about(
            one,
            _CAUSE,
            "critical",
            f"cross_entropy is given one axis of length {shape[0]}: it takes the batch's samples for classes",
            {"shape of the predictions": list(shape), "sum of the targets": round(aim.mean * shape[0], 3)},
            effect="the samples of a batch compete for one probability",
            remedy="use binary_cross_entropy_with_logits for one score per sample",
        )
    return None


def _signs(one: Compared, aim: Aim) -> Finding | None:
    if one.term.form != "margin" or one.term.function not in _OF_SIGNS:
        return None
    if aim.low != 0 or aim.high > 1 or aim.constant:
        return None
    return about(
        one,
        _CAUSE,
        "critical",
        f"{one.term.name} is given targets 0 and 1; it is defined for −1 and 1",
        {"targets from": aim.low, "to": aim.high, "allowed": [-1, 1]},
        effect="samples with target 0 give no gradient that depends on their label",
        remedy="encode the labels as 2 · y − 1, or use binary_cross_entropy_with_logits",
    )


def _swapped(one: Compared) -> Finding | None:
    """The targets stand where the predictions belong."""
    learned, target = one.structure.learned, one.term.target
    if (
        one.term.function not in ("binary_cross_entropy", "binary_cross_entropy_with_logits")
        or target is None
    ):
        return None
    if one.term.prediction.index in learned or target.index not in learned:
        return None
    return about(
        one,
        _CAUSE,
        "critical",
        f"{one.term.name} is given the targets first and the predictions second",
        {"first": one.term.prediction.label, "second": target.label},
        effect="logarithms are taken of the targets, and predictions only weigh them",
        remedy="call it as loss(prediction, target)",
    )
