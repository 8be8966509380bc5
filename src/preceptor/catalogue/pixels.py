"""Losses and measures of dense prediction: a class, or a value, at each place of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._measures import Metric
from preceptor.catalogue._overlap import VOID, Overlap, PeakSignalToNoise, confusions, overlaps
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = [
    "VOID",
    "Overlap",
    "PeakSignalToNoise",
    "PixelLoss",
    "confusions",
    "cross_entropy_dice",
    "dice",
    "dice_loss",
    "mean_iou",
    "overlaps",
    "pixel_accuracy",
    "pixel_cross_entropy",
    "psnr",
]

_MASKS = "logits (N, K) or (N, K, H, W), target (N,) or (N, H, W) int64 in 0…K−1, 255 where nothing counts → "
_LOSS = _MASKS + "scalar; reduction='none': (N,)"
_TRAITS = {"targets": "categories", "output_unit": "softmax", "pixels": True}
_UP = {"better": "max", "targets": "categories", "pixels": True}
_LONG = "Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015"
_DICE = "Milletari, Navab and Ahmadi, V-Net, 2016; Dice, Measures of the Amount of Ecologic Association, 1945"
_EXAMPLE = """
>>> logits = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]]])
>>> y = torch.tensor([[0, 1, 0]])
"""


class PixelLoss(nn.Module):
    """A loss of logits (N, K, …) and classes (N, …): cross · cross-entropy + dice · Dice loss.

    The cross-entropy of an image is the mean over its counted pixels, each with the weight of its class; the
    Dice loss is one minus the mean over the classes of 2 Σ p t / Σ (p + t).
    """

    def __init__(
        self,
        cross: float,
        dice: float,
        reduction: str,
        class_weights: Sequence[float] | None = None,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        self.cross, self.dice, self.reduction, self.smooth = cross, dice, reduction, smooth
        self.weights = None if class_weights is None else tuple(class_weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        n, k = output.shape[:2]
        logits, target = output.reshape(n, k, -1), target.reshape(n, -1)
        counted = target != VOID
        each = output.new_zeros(n)
        if self.cross:
            each = each + self.cross * self._cross_entropy(logits, target, counted)
        if self.dice:
            each = each + self.dice * self._dice(logits, target, counted)
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()

    def _cross_entropy(self, logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        weights = None
        weighed = counted.to(logits)
        if self.weights is not None:
            weights = logits.new_tensor(self.weights)
            weighed = weights[target * counted] * weighed
        pixels = functional.cross_entropy(logits, target, weight=weights, ignore_index=VOID, reduction="none")
        total: Tensor = pixels.sum(1) / weighed.sum(1).clamp(min=1e-12)
        return total

    def _dice(self, logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        shares = logits.softmax(1) * counted[:, None]
        true = torch.zeros_like(logits).scatter_(1, (target * counted)[:, None], counted[:, None].to(logits))
        joint = (shares * true).sum(2)
        each: Tensor = (2 * joint + self.smooth) / (shares.sum(2) + true.sum(2) + self.smooth)
        return 1 - each.mean(1)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"cross={self.cross:g}, dice={self.dice:g}, reduction={self.reduction!r}"


def _checked(owner: str, reduction: str, class_weights: Any) -> tuple[str, tuple[float, ...] | None]:
    check_choice(owner, "reduction", reduction, ("mean", "sum", "none"))
    if class_weights is None:
        return reduction, None
    if isinstance(class_weights, str):
        raise ConfigError(
            f"{owner}: class_weights is not usable",
            expected="a number for each class; in a training also 'balanced'",
            received=f"class_weights={class_weights!r}",
        )
    return reduction, tuple(check_number(owner, "class_weights", w, 0.0) for w in class_weights)


@registered(
    kind="loss",
    name="pixel-cross-entropy",
    aliases=("pixel-wise-cross-entropy", "pixelwise-cross-entropy", "per-pixel-cross-entropy"),
    formula="L = (1/N) Σ_i Σ_p w_{y_ip} (−log softmax(z_ip)_{y_ip}) / Σ_p w_{y_ip}, over the pixels p of "
    "image i whose target is not 255; w the class_weights, 1 by default",
    shapes=_LOSS,
    when="a class for every pixel",
    pitfalls="rare classes hardly count: class_weights='balanced', or a Dice loss beside it",
    source=_LONG + "; weights: Ronneberger, Fischer and Brox, U-Net, 2015",
    differs="every image counts alike, however many of its pixels do; torch's CrossEntropyLoss averages over "
    "all counted pixels of a batch, which is the same where all are counted, and ignores −100",
    example=_EXAMPLE + ">>> get('pixel-cross-entropy')(logits, y)\ntensor(0.5845)",
    traits=_TRAITS,
)
def pixel_cross_entropy(reduction: str = "mean", class_weights: Sequence[float] | None = None) -> nn.Module:
    """Cross-entropy at each pixel, averaged over those that count."""
    how, weights = _checked("pixel-cross-entropy", reduction, class_weights)
    return PixelLoss(1.0, 0.0, how, weights)


@registered(
    kind="loss",
    name="dice-loss",
    aliases=("dice", "soft-dice", "soft-dice-loss"),
    formula="L = (1/N) Σ_i (1 − (1/K) Σ_k (2 Σ_p p_ipk t_ipk + smooth) / (Σ_p (p_ipk + t_ipk) + smooth)), p "
    "the softmax of the logits, t the one-hot targets, both 0 where the target is 255",
    shapes=_LOSS,
    when="small regions on a large background: the number of their pixels does not matter",
    pitfalls="flat where nothing overlaps yet, and noisy where a class is absent: begin with "
    "cross-entropy-dice; its probabilities are too sure",
    source=_DICE,
    differs="V-Net squares the terms of the denominator",
    example=_EXAMPLE + ">>> round(get('dice-loss', smooth=0.0)(logits, y).item(), 4)\n0.3805",
    traits=_TRAITS,
)
def dice_loss(reduction: str = "mean", smooth: float = 1.0) -> nn.Module:
    """One minus the overlap of predicted and true regions, by probabilities."""
    how, _ = _checked("dice-loss", reduction, None)
    return PixelLoss(0.0, 1.0, how, smooth=check_number("dice-loss", "smooth", smooth, 0.0))


@registered(
    kind="loss",
    name="cross-entropy-dice",
    aliases=("dice-cross-entropy", "combo-loss"),
    formula="L = (1 − dice) · pixel-cross-entropy + dice · dice-loss",
    shapes=_LOSS,
    when="most segmentations of organs and cells: the one term starts well, the other counts regions",
    pitfalls="two losses of different size: dice says how much each matters, not how much each pulls",
    source="Isensee et al., nnU-Net: A Self-Configuring Method for Biomedical Image Segmentation, 2021",
    differs="nnU-Net adds both with weight 1, twice this at dice=½",
    example=_EXAMPLE + ">>> loss = get('cross-entropy-dice')\n"
    ">>> parts = get('pixel-cross-entropy'), get('dice-loss')\n"
    ">>> torch.allclose(loss(logits, y), sum(part(logits, y) for part in parts) / 2)\nTrue",
    traits=_TRAITS,
)
def cross_entropy_dice(
    reduction: str = "mean",
    dice: float = 0.5,
    smooth: float = 1.0,
    class_weights: Sequence[float] | None = None,
) -> nn.Module:
    """Cross-entropy at each pixel, and the overlap of regions."""
    owner = "cross-entropy-dice"
    how, weights = _checked(owner, reduction, class_weights)
    share = check_number(owner, "dice", dice, 0.0, 1.0)
    return PixelLoss(1 - share, share, how, weights, check_number(owner, "smooth", smooth, 0.0))


def _shown(name: str, value: str) -> str:
    return (
        _EXAMPLE + f">>> metric = get({name!r}, kind='metric')\n"
        ">>> metric.update(logits, y)\n"
        f">>> round(metric.compute(), 4)\n{value}"
    )


@registered(
    kind="metric",
    name="mean-iou",
    aliases=("miou", "mean-intersection-over-union", "jaccard", "iou"),
    formula="mean over the classes of TP / (TP + FP + FN), over all pixels whose target is not 255; a class "
    "that is neither true nor predicted anywhere is left out",
    shapes=_MASKS + "float; by_class() gives each class's own",
    when="segmentations: every class counts alike, however large its regions are",
    pitfalls="with a large background its own value of almost 1 is part of the mean: look at by_class()",
    source="Everingham et al., The PASCAL Visual Object Classes Challenge, 2010",
    example=_shown("mean-iou", "0.5"),
    traits=_UP,
)
def mean_iou() -> Metric:
    """Mean over the classes of the overlap of predicted and true regions: intersection over union."""
    return Overlap("iou")


@registered(
    kind="metric",
    name="dice",
    aliases=("mean-dice", "dice-coefficient", "sorensen-dice"),
    formula="mean over the classes of 2 TP / (2 TP + FP + FN): the F1 of the pixels; 2 IoU / (1 + IoU)",
    shapes=_MASKS + "float; by_class() gives each class's own",
    when="medical images, where it is what is reported",
    pitfalls="ranks single classes as IoU does, at larger values: never compare one with the other",
    source="Dice, Measures of the Amount of Ecologic Association Between Species, 1945",
    example=_shown("dice", "0.6667"),
    traits=_UP,
)
def dice() -> Metric:
    """Mean over the classes of the Dice coefficient of predicted and true regions."""
    return Overlap("dice")


@registered(
    kind="metric",
    name="pixel-accuracy",
    aliases=("pixel-acc", "per-pixel-accuracy"),
    formula="share of the pixels whose target is not 255 where argmax_k z_k is the target",
    shapes=_MASKS + "float; by_class() gives the share of each class's pixels that were found",
    when="beside mean-iou: how much of the image is right",
    pitfalls="calling everything background can score high",
    source=_LONG,
    example=_shown("pixel-accuracy", "0.6667"),
    traits=_UP,
)
def pixel_accuracy() -> Metric:
    """Share of the pixels whose class is right."""
    return Overlap("accuracy")


@registered(
    kind="metric",
    name="psnr",
    aliases=("peak-signal-to-noise-ratio",),
    formula="(1/N) Σ_i 10 log₁₀(peak² / MSE_i), MSE_i the mean squared error of example i; in decibels",
    shapes="output and target (N, …) → float",
    when="denoising and compression, between images of one range",
    pitfalls="says little about what people see; peak must be the range of the values, 1 or 255 as a rule",
    source="Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment, 2004",
    differs="the mean over images of their own values, not the value of the mean error",
    example="""
    >>> metric = get('psnr', peak=2.0)
    >>> metric.update(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.2, 1.8]]))
    >>> round(metric.compute(), 4)
    20.0
    """,
    traits={"better": "max", "targets": "numbers"},
)
def psnr(peak: float = 1.0) -> Metric:
    """Peak signal-to-noise ratio: how far errors lie below the range of the values, in decibels."""
    return PeakSignalToNoise(check_number("psnr", "peak", peak, 1e-12))
