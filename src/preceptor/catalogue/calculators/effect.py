"""What a regularizer did: to the error on training examples, and to that on others."""

from __future__ import annotations

from typing import NamedTuple

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered

__all__ = ["RegularizationEffect", "regularization_effect"]


class RegularizationEffect(NamedTuple):
    """By how much the losses rose on both sets, and their gap; whether that is what a regularizer is for."""

    training: float
    validation: float
    gap: float
    regularizes: bool


@registered(
    kind="calculator",
    name="regularization-effect",
    aliases=("reg-def", "regularization-definition"),
    formula="training = train_with − train_without, validation = val_with − val_without, gap = validation − "
    "training; it regularizes if the loss on other examples than those of training falls, be it at the "
    "price of "
    "the training loss",
    shapes="four losses, each measured at the best epoch of its run → (training, validation, gap, "
    "regularizes)",
    when="after two runs that differ in the regularizer alone, with the same split: preceptor compare "
    "shows the "
    "figures",
    pitfalls="all four in evaluation mode, without penalties; one seed says little: take the mean over "
    "several",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.2.2",
    example=">>> get('regularization-effect', 0.01, 0.50, 0.12, 0.35).regularizes\nTrue",
)
def regularization_effect(
    train_without: float, val_without: float, train_with: float, val_with: float
) -> RegularizationEffect:
    """Change of training and validation loss that a regularizer brought."""
    given = {
        "train_without": train_without,
        "val_without": val_without,
        "train_with": train_with,
        "val_with": val_with,
    }
    for option, value in given.items():
        check_number("regularization-effect", option, value, -1e300)
    training, validation = train_with - train_without, val_with - val_without
    return RegularizationEffect(training, validation, validation - training, validation < 0)
