"""`Preprocessor`: all that is fitted on the training rows, saved with a run and applied to new data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from preceptor.data._anomalies import AnomalyCoder
from preceptor.data._dataset import Array, Dataset, Table
from preceptor.data._labels import LabelCoder
from preceptor.data._masks import InputCoder, MaskCoder, fit_inputs, fit_masks
from preceptor.data._scaler import PassThrough, Scaler
from preceptor.data._sentences import SequenceCoder, SourceEncoder
from preceptor.data._table_encoder import TableEncoder
from preceptor.data._tagged import TagCoder, TokenEncoder
from preceptor.data._target_coder import ClassCoder, NumberCoder, fit_targets
from preceptor.data._targets import retarget
from preceptor.data._transcripts import TranscriptCoder
from preceptor.data._trees import TreeCoder
from preceptor.errors import CheckpointError, ConfigError, DataError
from preceptor.untrusted import understood

__all__ = ["Preprocessor"]

_Named: TypeAlias = ClassCoder | LabelCoder | AnomalyCoder | TranscriptCoder | TagCoder | TreeCoder
Coder: TypeAlias = NumberCoder | MaskCoder | InputCoder | SequenceCoder | _Named
Encoder: TypeAlias = Scaler | TableEncoder | PassThrough | SourceEncoder | TokenEncoder
_OF_CLASSES: dict[str, type[_Named]] = {
    coder.kind: coder
    for coder in (ClassCoder, LabelCoder, AnomalyCoder, TranscriptCoder, TagCoder, TreeCoder)
}
_SCALES = ("standard", "none")
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Turns raw inputs and targets into tensors, by what the training rows showed.

    Images are standardised per channel, vectors and number columns per feature: (x − μ)/σ with μ and σ
    of the training rows, 0 where σ is 0. Missing numbers become μ, and a feature of their own marks them
    where training rows had gaps. Categories become one-hot features, all 0 for values that training rows
    did not have. Tensors of other kinds pass through.

    Attributes:
        encoder: of the inputs.
        coder: of the targets.
        target_name: the target column's name, where it has one.

    Example:
        >>> import json
        >>> from preceptor.data import load
        >>> data = load("iris")
        >>> fitted = Preprocessor.fit(data, np.arange(0, 150, 2))
        >>> again = Preprocessor.from_state(json.loads(json.dumps(fitted.to_state())))
        >>> bool((again.inputs(data.inputs) == fitted.inputs(data.inputs)).all())
        True
    """

    encoder: Encoder
    coder: Coder
    target_name: str | None = None

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        rows: Array,
        *,
        scale: str = "standard",
        target_kind: str | None = None,
        scale_targets: bool = True,
        ignore: str | int = "auto",
        gaps: bool = False,
    ) -> Preprocessor:
        """Fit on those rows alone.

        Arguments:
            dataset: the data.
            rows: indices of the training rows.
            scale: ``"standard"``, or ``"none"`` to keep the values of inputs (categories are still encoded).
            target_kind: ``"categories"`` or ``"numbers"``; default: as the data say.
            scale_targets: standardise numbers that are to be predicted.
            ignore: the class of pixels that does not count, for masks.
            gaps: NaN in the inputs stands for a missing value, and stays.

        Raises:
            ConfigError: an unknown ``scale`` or ``target_kind``.
            DataError: no rows, or values that cannot be scaled.
        """
        if scale not in _SCALES:
            raise ConfigError(
                "scale is not usable", expected=" or ".join(map(repr, _SCALES)), received=repr(scale)
            )
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == 0:
            raise DataError("there are no training rows", expected="at least one", received="0")
        dataset = retarget(dataset, target_kind)
        return cls(
            _fitted_inputs(dataset, rows, standard=scale == "standard", gaps=gaps),
            _fitted_targets(dataset, rows, scaled=scale_targets, ignore=ignore),
            dataset.target_name,
        )

    @property
    def kind(self) -> str:
        """What kind of inputs it takes: images, vectors, table or tensors."""
        return self.encoder.kind

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one encoded example, without the batch axis."""
        return self.encoder.shape

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the encoded features, such as ``"sex=Male"``; empty where they have none."""
        return self.encoder.features if isinstance(self.encoder, TableEncoder) else self.encoder.names

    @property
    def target_kind(self) -> str:
        """``"categories"``, ``"numbers"``, ``"masks"``, ``"inputs"``, ``"labels"`` or ``"anomalies"``."""
        return self.coder.kind

    @property
    def any_size(self) -> bool:
        """Whether images of another height and width than those trained on are taken as they are."""
        return self.kind == "images" and self.target_kind in ("masks", "inputs")

    @property
    def classes(self) -> tuple[str, ...]:
        """Display names of the classes by index, or of the labels; empty for numbers."""
        return getattr(self.coder, "classes", ())

    @property
    def target_offset(self) -> torch.Tensor:
        """What is subtracted from number targets, (D,), or from inputs as targets, (C,); else empty."""
        return self._unit("offset", "mean", 0.0)

    @property
    def target_scale(self) -> torch.Tensor:
        """What number targets, or inputs as targets, are divided by, float64; else empty."""
        return self._unit("scale", "deviation", 1.0)

    def _unit(self, of_numbers: str, of_inputs: str, neutral: float) -> torch.Tensor:
        if not isinstance(self.coder, InputCoder):
            return torch.as_tensor(getattr(self.coder, of_numbers, np.empty(0)))
        values = getattr(self.encoder, of_inputs, None)
        return torch.as_tensor(np.full(self.input_shape[0], neutral) if values is None else values)

    @property
    def log_volume(self) -> float:
        """Σ log σ over all numbers of an example: the logarithm of the volume that scaling makes 1."""
        deviation = getattr(self.encoder, "deviation", None)
        if deviation is None:
            return 0.0
        places = math.prod(self.input_shape[1:])
        return places * float(np.log(deviation[deviation > 0]).sum())

    @property
    def target_peak(self) -> float:
        """The range of the inputs that are to be predicted; 1 for other targets."""
        return self.coder.peak if isinstance(self.coder, InputCoder) else 1.0

    def inputs(self, raw: Any) -> torch.Tensor:
        """Return raw inputs as a tensor: float32, (N, *input_shape); other kinds of tensor as they are.

        Raises:
            DataError: another shape or other columns than those trained on.
        """
        return self._sized(raw).apply(raw)

    def _sized(self, raw: Any) -> Encoder:
        """Return the encoder for the height and width of these images, where they may have any."""
        if self.any_size and isinstance(self.encoder, Scaler) and np.ndim(raw) == 4:
            return replace(self.encoder, shape=(self.encoder.shape[0], *np.shape(raw)[2:]))
        return self.encoder

    def targets(self, raw: Any) -> torch.Tensor:
        """Return raw targets as a tensor: int64 class indices, (N,), or float32 numbers, (N, D).

        Masks become uint8 class indices (N, H, W), 255 where nothing counts; inputs are scaled as inputs.

        Raises:
            DataError: an unknown class, missing values, or not D numbers.
        """
        return self.inputs(raw) if isinstance(self.coder, InputCoder) else self.coder.apply(raw)

    def decode_targets(self, encoded: torch.Tensor) -> torch.Tensor:
        """Return predicted numbers, (N, D) or (N,) for D = 1, in the targets' original units.

        Raises:
            ConfigError: the targets are categories.
        """
        if not isinstance(self.coder, NumberCoder):
            raise ConfigError("categories have no units to return to", expected="targets that are numbers")
        return self.coder.invert(encoded)

    def decode_masks(self, encoded: torch.Tensor) -> Array:
        """Return class indices (N, H, W) as the values that the masks of the data have, uint8.

        Raises:
            ConfigError: the targets are no masks.
        """
        if not isinstance(self.coder, MaskCoder):
            raise ConfigError("there are no masks to return to", expected="targets that are masks")
        return self.coder.invert(encoded)

    def unseen(self, raw: Any) -> dict[str, list[str]]:
        """Return the category values, by column, that the training rows did not have."""
        if isinstance(self.encoder, TableEncoder) and isinstance(raw, Table):
            return self.encoder.unseen(raw)
        return {}

    def describe(self) -> list[str]:
        """Say what was fitted, one line for each step."""
        lines = self.encoder.describe()
        if isinstance(self.coder, NumberCoder) and ((self.coder.offset != 0) | (self.coder.scale != 1)).any():
            lines.append("targets are standardised by the training rows; measures are in the original units")
        if isinstance(self.coder, SequenceCoder):
            lines += self.coder.describe()
        return lines

    def scaled_by(self, mean: Sequence[float], deviation: Sequence[float]) -> Preprocessor:
        """Return the same for images whose pixels, from 0 to 1, are scaled by a given mean and deviation.

        Raises:
            DataError: the inputs are no images of so many channels.
        """
        if self.kind != "images" or not isinstance(self.encoder, Scaler) or self.input_shape[0] != len(mean):
            raise DataError(
                "the weights were trained on other inputs",
                expected=f"images of {len(mean)} channels",
                received=f"{self.kind} of shape {self.input_shape}",
            )
        own = self.encoder.mean
        full = 255.0 if own is None or float(own.max()) > 1.0 else 1.0  # bytes, or shares of full brightness
        centre, spread = (np.asarray(values, np.float64) * full for values in (mean, deviation))
        return replace(self, encoder=Scaler("images", self.encoder.shape, self.encoder.names, centre, spread))

    def same_inputs(self, other: Preprocessor) -> bool:
        """Say whether another turns inputs into the same numbers, whatever the size of the images."""
        own, there = ({**p.encoder.to_state(), "shape": None} for p in (self, other))
        return self.kind == other.kind and own == there

    def with_inputs_of(self, other: Preprocessor) -> Preprocessor:
        """Return these targets behind another's inputs, so that a network is given what it was trained on.

        Images may have another size, but not other channels; tables and vectors must have the same columns.

        Raises:
            DataError: the inputs are of another kind, shape or other columns.
        """
        encoder = other.encoder
        fits = self.kind == other.kind and self.input_shape == other.input_shape
        if isinstance(encoder, Scaler) and self.kind == other.kind == "images":
            fits = self.input_shape[0] == other.input_shape[0]
            encoder = replace(encoder, shape=self.input_shape)
        if isinstance(encoder, TableEncoder) and isinstance(self.encoder, TableEncoder):
            fits = [code.name for code in encoder.codes] == [code.name for code in self.encoder.codes]
        if not fits:
            raise DataError(
                "the inputs are not of the kind that the source was trained on",
                expected=f"{other.kind} of shape {other.input_shape}",
                received=f"{self.kind} of shape {self.input_shape}",
                hint='transfer.inputs="own" scales them by themselves',
            )
        return replace(self, encoder=encoder)

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain data, from which `from_state` gives the same tensors to the bit."""
        return {
            "version": _VERSION,
            "kind": self.kind,
            "inputs": self.encoder.to_state(),
            "target_kind": self.target_kind,
            "targets": self.coder.to_state(),
            "target_name": self.target_name,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Preprocessor:
        """Build again what `to_state` described.

        Raises:
            CheckpointError: the state is incomplete, or of another version.
        """
        with understood("the saved preprocessing", "what a run saves in preprocessing.json", CheckpointError):
            if state["version"] != _VERSION:
                raise CheckpointError(
                    "the preprocessing is of another version",
                    expected=str(_VERSION),
                    received=str(state["version"]),
                )
            return cls(_encoder_from(state), _coder_from(state), state["target_name"])


def _fitted_inputs(
    dataset: Dataset, rows: Array, *, standard: bool, gaps: bool
) -> Scaler | TableEncoder | PassThrough | TokenEncoder:
    if dataset.kind == "tokens":
        return TokenEncoder.fit(np.asarray(dataset.inputs), rows)
    if isinstance(dataset.inputs, Table):
        return TableEncoder.fit(dataset.inputs, rows, standard=standard)
    if isinstance(dataset.inputs, torch.Tensor):
        return PassThrough(dataset.shape)
    names = dataset.feature_names
    return Scaler.fit(dataset.kind, dataset.inputs, rows, names, standard=standard, gaps=gaps)


def _encoder_from(state: dict[str, Any]) -> Encoder:
    inputs = cast("dict[str, Any]", state["inputs"])
    if state["kind"] == "table":
        return TableEncoder.from_state(inputs)
    if state["kind"] == "tensors":
        return PassThrough.from_state(inputs)
    if state["kind"] == "tokens":
        return TokenEncoder.from_state(inputs)
    if state["kind"] == "pairs":
        return SourceEncoder.from_state(inputs)
    return Scaler.from_state(state["kind"], inputs)


def _fitted_targets(dataset: Dataset, rows: Array, *, scaled: bool, ignore: str | int) -> Coder:
    if dataset.target_kind in _OF_CLASSES:
        return _OF_CLASSES[dataset.target_kind](dataset.classes)
    if dataset.target_kind == "masks":
        return fit_masks(dataset, ignore)
    if dataset.target_kind == "inputs":
        return fit_inputs(dataset, rows)
    return fit_targets(dataset, rows, scaled=scaled)


def _coder_from(state: dict[str, Any]) -> Coder:
    targets = state["targets"]
    if state["target_kind"] in _OF_CLASSES:
        return _OF_CLASSES[state["target_kind"]](tuple(targets["classes"]))
    if state["target_kind"] == "masks":
        return MaskCoder(*(tuple(targets[key]) for key in ("classes", "values", "ignored")))
    if state["target_kind"] == "sequences":
        return SequenceCoder.from_state(targets)
    if state["target_kind"] == "inputs":
        return InputCoder(targets["peak"])
    return NumberCoder(np.array(targets["offset"], np.float64), np.array(targets["scale"], np.float64))
