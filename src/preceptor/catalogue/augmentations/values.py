"""Augmentations that change values in place of positions, and examples that are made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.augmentations.pipeline import Augmentation, images
from preceptor.catalogue.regularizers.dropout import GaussianNoise
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import DataError, ModelError

__all__ = ["BrightnessContrast", "GeneratedExamples", "PCAColour", "additive_noise"]

_KIND = "augmentation"
_TRIAL = {"takes": (3, 3, 8, 8), "gives": (3, 3, 8, 8)}
_SHAPES = "(N, C, H, W) → the same shape"


@registered(
    kind=_KIND,
    name="additive-noise",
    aliases=("gaussian-noise", "aug-noise"),
    formula="training: x + std · ε, ε ~ N(0, 1) for each number; test: x",
    shapes="any shape → the same shape",
    when="measured inputs, few examples",
    pitfalls="std is in the units of the inputs as the model sees them: standardised ones, by default",
    source="Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995",
    example=">>> get('additive-noise').eval()(torch.ones(2))\ntensor([1., 1.])",
    traits=_TRIAL,
)
def additive_noise(std: float = 0.1) -> nn.Module:
    """Additive noise: every number is a little off."""
    return GaussianNoise("additive-noise", std)


@registered(
    kind=_KIND,
    name="brightness-contrast",
    aliases=("color-jitter", "colour-jitter", "aug-bc", "brightness", "contrast"),
    formula="y = m + c · (b · x − m), b ~ U(1 − brightness, 1 + brightness), c ~ U(1 − contrast, 1 + "
    "contrast), m "
    "the mean of b · x over the image",
    shapes=_SHAPES,
    when="photographs in any light",
    pitfalls="meant for pixels from 0 up; on standardised ones a factor for the brightness works as more "
    "contrast "
    "about the mean of all images",
    source="Howard, Some Improvements on Deep CNN Based Image Classification, 2013",
    differs="torchvision clips to [0, 1], and takes the mean of the grey image",
    example=">>> get('brightness-contrast', brightness=0, contrast=0)(torch.ones(1, 1, 1, 2))\n"
    "tensor([[[[1., 1.]]]])",
    traits=_TRIAL,
)
class BrightnessContrast(Augmentation):
    """Random brightness and contrast: values are scaled, and drawn towards or away from their mean."""

    def __init__(self, brightness: float = 0.2, contrast: float = 0.2) -> None:
        super().__init__()
        self.brightness = check_number("brightness-contrast", "brightness", brightness, 0.0, 1.0)
        self.contrast = check_number("brightness-contrast", "contrast", contrast, 0.0, 1.0)

    def vary(self, x: Tensor) -> Tensor:
        """Draw a brightness and a contrast for each image."""
        n = len(images("brightness-contrast", x))
        b, c = (
            1 + spread * (2 * torch.rand(n, 1, 1, 1, device=x.device, dtype=x.dtype) - 1)
            for spread in (self.brightness, self.contrast)
        )
        bright = b * x
        mean = bright.mean((1, 2, 3), keepdim=True)
        return mean + c * (bright - mean)


@registered(
    kind=_KIND,
    name="pca-colour",
    aliases=("pca-color", "fancy-pca", "aug-pca", "pca-color-jitter"),
    formula="y = x + Σ_i α_i λ_i p_i for all pixels of an image alike, α_i ~ N(0, std²); p_i and λ_i the "
    "eigenvectors and eigenvalues of the covariance of the training pixels' channels; form='variance': "
    "√λ_i in place of λ_i, a shift of the variance that the colours themselves have",
    shapes=_SHAPES,
    when="photographs under lights of different colour",
    pitfalls="λ or √λ: the paper multiplies the eigenvalue itself, for pixels of a small range, so that "
    "the shift "
    "has the variance std² λ_i²; without examples to look at (fit) nothing is known",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012",
    example=">>> jitter = get('pca-colour')\n>>> jitter.fit(torch.rand(8, 3, 4, 4))\n"
    ">>> jitter(torch.zeros(2, 3, 4, 4)).shape\ntorch.Size([2, 3, 4, 4])",
    traits={**_TRIAL, "fits": True},
)
class PCAColour(Augmentation):
    """PCA colour jitter: the whole image changes along the colours' principal directions."""

    values: Tensor
    vectors: Tensor

    def __init__(self, std: float = 0.1, form: str = "alexnet") -> None:
        super().__init__()
        self.std = check_number("pca-colour", "std", std, 0.0)
        self.form = check_choice("pca-colour", "form", form, ("alexnet", "variance"))
        self.register_buffer("values", torch.empty(0), persistent=False)
        self.register_buffer("vectors", torch.empty(0), persistent=False)

    def fit(self, x: Tensor) -> None:
        """Find the principal directions of the training examples' colours."""
        pixels = images("pca-colour", x).transpose(0, 1).flatten(1).double()
        values, vectors = torch.linalg.eigh(torch.cov(pixels, correction=0).reshape(len(pixels), -1))
        self.values, self.vectors = values.clamp(min=0).to(x), vectors.to(x)

    def vary(self, x: Tensor) -> Tensor:
        """Draw a shift of colour for each image."""
        if not len(self.values):
            raise ModelError(
                "pca-colour has seen no colours", expected="fit(training examples) first", received="none"
            )
        scale = self.values if self.form == "alexnet" else self.values.sqrt()
        alpha = self.std * torch.randn(len(x), len(self.values), dtype=x.dtype, device=x.device)
        return x + ((alpha * scale) @ self.vectors.T)[:, :, None, None]


@registered(
    kind=_KIND,
    name="generated-examples",
    aliases=("aug-model", "synthetic-examples"),
    formula="each training batch of n examples gets round(share · n / (1 − share)) more, made by "
    "generate(k) → "
    "(x, y): of what is learned from, a part of share is made up",
    shapes="(N, …) and (N, …) → (N + k, …) and (N + k, …)",
    when="few real examples, and a model of how they come about: a simulator, a generative network",
    pitfalls="the network learns the generator's mistakes; validation and test see real examples alone",
    source="Shrivastava et al., Learning from Simulated and Unsupervised Images, 2017",
    example=">>> more = get('generated-examples', lambda k: (torch.ones(k, 2), torch.zeros(k)), share=0.5)\n"
    ">>> x, y = more.examples(torch.zeros(4, 2), torch.zeros(4))\n>>> len(x), more.generated_share\n(8, 0.5)",
    traits={"moment": "examples"},
)
class GeneratedExamples(Regularizer):
    """Data from a model: made-up examples beside the real ones, in training alone."""

    def __init__(self, generate: Callable[[int], tuple[Tensor, Tensor]], share: float = 0.2) -> None:
        self.generate = generate
        self.share = check_number("generated-examples", "share", share, 0.0, 0.99)
        self.real = self.generated = 0

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Append made-up examples to the batch."""
        count = round(self.share * len(y) / (1 - self.share))
        self.real += len(y)
        if not count:
            return x, y
        with torch.no_grad():
            made = self.generate(count)
        if not isinstance(made, tuple) or len(made) != 2 or len(made[0]) != count or len(made[1]) != count:
            raise DataError(
                "generated-examples: what was generated is not usable",
                expected=f"(inputs, targets) of {count} examples",
                received=repr(made)[:80],
            )
        self.generated += count
        return torch.cat([x, made[0].to(x)]), torch.cat([y, made[1].to(y)])

    @property
    def generated_share(self) -> float:
        """The share of made-up examples among those that were learned from."""
        return self.generated / max(self.real + self.generated, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"real": self.real, "generated": self.generated}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the counts."""
        self.real, self.generated = int(state["real"]), int(state["generated"])
