"""`look`: what a network that takes images sees, as pictures of its weights, its maps and its reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue import inspections
from preceptor.catalogue.augmentations import Pipeline
from preceptor.catalogue.inspections.layers import evaluating
from preceptor.data import generators
from preceptor.data._scaler import Scaler
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, ModelError, PreceptorError, nearest
from preceptor.report._images import pixels
from preceptor.report.looks import Look, Row, Shown, heat, overlay, sheet, shrunk, stretched
from preceptor.report.pictured import caption, classes, confusions, extremes
from preceptor.report.summary import Predictions
from preceptor.training.augmentation import some
from preceptor.training.own_code import guarded

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["IN_REPORT", "WHAT", "look_at"]

IN_REPORT = ("classes", "confusions", "filters", "maps", "saliency", "augmentation")
_WIDE = 400  # pixels of a sheet of many images
_FILTERS, _MAPS, _VERSIONS = 64, 16, 8
_MAP_SIDE = 48  # pixels of one map on a sheet


@dataclass(frozen=True, eq=False)
class _Subject:
    """Examples to look at, and the model that looks.

    Attributes:
        run: of the model.
        predictions: of the part that the examples are from; None for a user's own loaders.
        given: the examples as the data have them, (N, C, H, W), scaled.
        seen: the same behind fixed augmentations, as the model sees them.
        captions: what was predicted for each.
        thorough: spare no work.
    """

    run: Run
    predictions: Predictions | None
    given: Tensor
    seen: Tensor
    captions: tuple[str, ...]
    thorough: bool

    @property
    def model(self) -> nn.Module:
        """The model, with an output for each of two classes that it tells apart by one."""
        classes = getattr(self.run.task, "classes", ())
        return _Both(self.run.model) if len(classes) == 2 and self.run.task.outputs == 1 else self.run.model

    def shown(self, x: Tensor) -> list[NDArray[np.uint8]]:
        """Return scaled images as they are seen by a person."""
        raw = _unscaled(self.run, x)
        found = pixels(list(raw), range(len(raw)))
        return [np.zeros(x.shape[2:], np.uint8) if image is None else image for image in found]


class _Both(nn.Module):
    """Outputs −z and z where the model gives the one logit z of the second class."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.model(x).reshape(len(x), 1)
        return torch.cat([-z, z], 1)


def look_at(
    run: Run,
    what: Sequence[str],
    *,
    predictions: Predictions | None = None,
    examples: int = 6,
    thorough: bool = False,
) -> list[Look]:
    """Return the looks that were asked for; one that a model does not allow has no rows and says why.

    Raises:
        ConfigError: an unknown look.
    """
    for name in what:
        if name not in WHAT:
            close = nearest(name, WHAT)
            raise ConfigError(
                "there is no such look",
                expected=", ".join(WHAT),
                received=repr(name),
                hint=f"did you mean {close[0]!r}?" if close else None,
            )
    subject = _subject(run, predictions, examples, thorough)
    if subject is None:
        shape = run.preprocessor.input_shape if run.preprocessor else None
        takes = f"inputs of shape {'×'.join(map(str, shape))}" if shape else "other inputs"
        return [
            Look("none", "No pictures", f"The model takes {takes}: only images (C×H×W) can be looked at.")
        ]
    found = []
    for name in what:
        with generators.seeded(run.experiment.seed):
            found.append(_one(name, subject))
    return found


def _one(name: str, subject: _Subject) -> Look:
    try:
        with guarded("the model cannot be looked at", expected="a forward and a backward pass in evaluation"):
            made = WHAT[name](subject)
    except PreceptorError as error:
        reason = str(error.problem) + (f" ({error.received})" if error.received else "")
        return Look(name, name.capitalize(), f"Nothing to see: {reason}.")
    return made or Look(name, name.capitalize(), "Nothing to see: there is no such example.")


def _subject(run: Run, predictions: Predictions | None, examples: int, thorough: bool) -> _Subject | None:
    """Choose examples: the worst mistakes and the surest hits of validation, or of a loader's first batch."""
    part = run.part(predictions.part) if predictions is not None else None
    captions: tuple[str, ...] = ()
    if part is not None and predictions is not None:
        rows = _chosen(predictions, examples)
        x: Any = part.x[torch.from_numpy(rows).to(part.x.device)]
        if predictions.kind == "classification":
            captions = tuple(caption(predictions, int(i)) for i in rows)
    elif run.feeds is not None:
        batches = run.feeds.val or run.feeds.probe
        first = next(iter(batches.epoch()), run.feeds.sample) if batches is not None else run.feeds.sample
        x = first[0][:examples] if isinstance(first[0], Tensor) else None
    else:
        x = None
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point() or not len(x):
        return None
    x = x.to(run.predictor.device)
    pipeline, seen = run.predictor.augment, x
    if pipeline is not None:
        with torch.no_grad():
            seen = pipeline.eval().forward(x)[: len(x)]
    return _Subject(run, predictions, x, seen, captions or ("",) * len(x), thorough)


def _chosen(predictions: Predictions, n: int) -> NDArray[np.int64]:
    """Return up to half of n surest mistakes, and the surest hits, of as many classes as may be."""
    losses = np.nan_to_num(predictions.losses.astype(np.float64), nan=np.inf)
    order = np.argsort(losses, kind="stable")
    if predictions.kind != "classification" or predictions.target.ndim > 1:
        return order[:n].astype(np.int64)
    wrong = [i for i in order[::-1] if predictions.predicted[i] != predictions.target[i]]
    right = [i for i in order if predictions.predicted[i] == predictions.target[i]]
    seen: set[int] = set()
    first = [i for i in right if (k := int(predictions.target[i])) not in seen and not seen.add(k)]  # type: ignore[func-returns-value]  # add returns None, which is what is wanted
    hits = first + [i for i in right if i not in set(first)]
    mistakes = wrong[: max(n // 2, n - len(hits))]
    return np.array([*mistakes, *hits[: n - len(mistakes)]], dtype=np.int64)


def _unscaled(run: Run, x: Tensor) -> NDArray[Any]:
    """Return scaled images in the numbers of the data, bytes where those are bytes."""
    encoder = run.preprocessor.encoder if run.preprocessor else None
    if not isinstance(encoder, Scaler) or x.shape[1] != encoder.shape[0]:
        return x.detach().cpu().numpy()
    values: NDArray[Any] = encoder.restore(x)
    whole = run.prepared is not None and getattr(run.prepared.dataset.inputs, "dtype", None) == np.uint8
    return values.round().clip(0, 255).astype(np.uint8) if whole else values


def _plain(name: str) -> str:
    return f"layer {name.removeprefix('model.')}"


def _filters(subject: _Subject) -> Look:
    model = subject.model
    convolutional = any(isinstance(m, nn.Conv2d) for m in model.modules())
    shape = None if convolutional else tuple(subject.seen.shape[1:])
    seen = inspections.first_layer_filters(model, shape=shape)
    images = [stretched(image) for image in seen["filters"][:_FILTERS]]
    many = len(seen["filters"])
    size = "×".join(map(str, seen["filters"].shape[1:3]))
    what = f"{len(images)} of {many:,}" if many > len(images) else f"{many:,}"
    lead = (
        f"The weights of {what} filters of {size} in {_plain(seen['layer'])}, each scaled to its own range. "
    )
    lead += "Edges and blobs of colour are a good sign; noise, copies or blanks are not."
    picture = Shown(sheet(images), "", _WIDE)
    return Look("filters", "First-layer filters", lead, (Row("", (picture,)),))


def _maps(subject: _Subject) -> Look:
    model, x = subject.model, subject.seen[-1:]
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    if not names:
        raise ModelError("the model has no convolution")
    chosen = {names[0], names[len(names) // 2], names[-1], *_first_pooling(model)}
    seen = inspections.feature_maps(model, x, [name for name, _ in model.named_modules() if name in chosen])
    image = subject.shown(x)[0]
    rows = [Row("", (Shown(image, subject.captions[-1]),))]
    for name, maps in seen["maps"].items():
        images = [shrunk(stretched(m), _MAP_SIDE) for m in maps[:_MAPS]]
        size = "×".join(map(str, maps.shape[1:]))
        told = f"{_plain(name)}: {len(images)} of {len(maps):,} maps of {size}"
        rows.append(Row(told, (Shown(sheet(images, columns=min(len(images), _MAPS // 2)), "", _WIDE),)))
    lead = "What each filter of a layer makes of one image, each map scaled to its own range. "
    lead += "Convolutions extract features, pooling selects among them. Maps without any structure come from "
    lead += "filters that do nothing here."
    return Look("maps", "Feature maps", lead, tuple(rows))


def _first_pooling(model: nn.Module) -> list[str]:
    return [n for n, m in model.named_modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)][:1]


def _explained(subject: _Subject) -> tuple[nn.Module, Tensor]:
    """Return the model and its inputs, where it has outputs that can be explained one by one."""
    model, x = subject.model, subject.seen
    with evaluating(model):
        z = model(x[:1])
    if z.ndim > 2:
        shape = "×".join(map(str, z.shape[1:]))
        raise ModelError("the model has no single output for a class", received=f"{shape} for each example")
    return model, x


def _saliency(subject: _Subject) -> Look:
    model, x = _explained(subject)
    views: dict[str, Sequence[Any]] = {"gradient": inspections.saliency(model, x)["saliency"].cpu()}
    told = ["Gradient: |∂z/∂x| of the predicted class's output, the largest channel (Simonyan et al., 2014)."]
    if subject.thorough:
        views["SmoothGrad"] = inspections.smoothgrad(model, x)["saliency"].cpu()
        told.append("SmoothGrad: the mean gradient over noisy copies (Smilkov et al., 2017).")
        views["integrated"] = inspections.integrated_gradients(model, x)["image"].abs().cpu()
        told.append(
            "Integrated: (x − x₀) times the mean gradient on the way from x₀ = 0 (Sundararajan et al., 2017)."
        )
    images = subject.shown(x)
    coloured = {name: [heat(v) for v in values] for name, values in views.items()}
    if any(isinstance(m, nn.Conv2d) for m in model.modules()):
        seen = inspections.grad_cam(model, x)
        coloured["Grad-CAM"] = [overlay(i, cam) for i, cam in zip(images, seen["cam"].cpu(), strict=True)]
        told.append(f"Grad-CAM: the maps of {_plain(seen['layer'])}, weighted by their mean gradient "
                    "(Selvaraju et al., 2017).")  # fmt: skip
    rows = tuple(
        Row("", (Shown(image, subject.captions[i]), *(Shown(v[i], name) for name, v in coloured.items())))
        for i, image in enumerate(images)
    )
    return Look("saliency", "What the predictions rest on", " ".join(told), rows)


def _occlusion(subject: _Subject) -> Look:
    model, x = _explained(subject)
    height, width = x.shape[2:]
    side = max(1, min(height, width) // 4)
    rows = []
    for i, image in enumerate(subject.shown(x)):
        seen = inspections.occlusion(model, x[i : i + 1], size=side, stride=max(1, side // 2))
        drop = functional.interpolate(seen["drop"][None, None].float().cpu(), (height, width))[0, 0]
        told = f"falls by {float(seen['drop'].max()):.2g}"
        rows.append(Row("", (Shown(image, subject.captions[i]), Shown(overlay(image, drop), told))))
    lead = (
        f"How far the predicted class's output falls when a window of {side}×{side} is set to 0, the mean of "
    )
    lead += "scaled pixels: coloured where it falls most (Zeiler and Fergus, 2014)."
    return Look("occlusion", "Occlusion", lead, tuple(rows))


def _augmentation(subject: _Subject) -> Look | None:
    run, x = subject.run, subject.given[-3:]
    pipeline = run.predictor.augment
    if pipeline is None:
        return Look("augmentation", "Augmentation", "Nothing to see: images are trained on as they are.")
    if run.state is None and run.feeds is not None:
        pipeline.fit(some(run.feeds.train.x) if isinstance(run.feeds.train, TensorBatches) else x)
    rows = []
    for image, shown in zip(x, subject.shown(x), strict=True):
        varied = _varied(pipeline, image)
        together = varied.shape[1:] == image.shape  # then shades are chosen for all of them
        versions = subject.shown(torch.cat([image[None], varied]) if together else varied)
        rows.append(Row("", (Shown(shown, "as it is"), *(Shown(v) for v in versions[-_VERSIONS:]))))
    names = ", ".join(block.name for block in run.experiment.augmentations) or "noise on the inputs"
    lead = f"The same image as {_VERSIONS} passes of training might see it, by {names}. Where you cannot "
    lead += "tell the class, neither can the network."
    return Look("augmentation", "Augmentation", lead, tuple(rows))


def _varied(pipeline: Pipeline, image: Tensor) -> Tensor:
    pipeline.train()
    try:
        with torch.no_grad():
            made: Tensor = pipeline.forward(image.expand(_VERSIONS, *image.shape).clone())
    finally:
        pipeline.eval()
    return made


def _of_predictions(make: Callable[[Predictions], Look | None]) -> Callable[[_Subject], Look | None]:
    return lambda subject: None if subject.predictions is None else make(subject.predictions)


WHAT: dict[str, Callable[[_Subject], Look | None]] = {
    "examples": _of_predictions(extremes),
    "classes": _of_predictions(classes),
    "confusions": _of_predictions(confusions),
    "filters": _filters,
    "maps": _maps,
    "saliency": _saliency,
    "occlusion": _occlusion,
    "augmentation": _augmentation,
}
