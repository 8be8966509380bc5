"""From whatever a user calls data to feeds: a name, a file, arrays, a Dataset, a DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.catalogue.architectures.providers import expected_moments
from preceptor.data import Dataset, Prepared, Preprocessor, load, prepare
from preceptor.data._masks import MaskCoder
from preceptor.data.batches import loader_for
from preceptor.data.text import TextCoder
from preceptor.errors import ConfigError, DataError, did_you_mean
from preceptor.tasks import APART, KIND_OF_TASK
from preceptor.training.bags import bag_rows, bagged, refuse_bags
from preceptor.training.build import batch_size_for
from preceptor.training.dense import maps_in_a_batch, on_a_grid, with_noise
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, feeds_from_loaders, feeds_from_prepared
from preceptor.training.language import is_language, text_feeds
from preceptor.training.own_code import guarded
from preceptor.training.pairs import feeds_of_pairs, is_pairs
from preceptor.training.purpose import for_task, loading, takes_gaps, with_indicator
from preceptor.training.settings import DataSettings
from preceptor.training.source import Source, open_source

__all__ = ["Inputs", "dataset_for", "loaders_for", "make_feeds"]


@dataclass(frozen=True)
class Inputs:
    """What a caller gave as data; ``val`` and ``test`` only where they are data of their own.

    ``source`` is the run that weights and scaling come from, where there is one.
    ``coder`` is the vocabulary of the run that goes on, ``carries`` whether a model of one's own hands on a
    state along a text.
    """

    data: Any
    val: Any = None
    test: Any = None
    own_model: bool = False
    source: Source | None = None
    coder: TextCoder | None = None
    carries: bool | None = None

    def scaling(self, experiment: Experiment) -> tuple[str, Callable[[Preprocessor], Preprocessor] | None]:
        """Return how the inputs are scaled, and what brings them to the scale that the weights know.

        That is the scale of the run that the weights come from, or of what another library's were trained on.
        """
        settings, scale = experiment.transfer, experiment.data.scale
        if settings.inputs == "own":
            return scale, None
        if settings.source is not None:
            source = self.source or open_source(settings.source)
            if source.preprocessor is not None and source.experiment is not None:
                return source.experiment.data.scale, partial(_as_inputs_of, source.preprocessor)
        moments = expected_moments(experiment.model.name, experiment.model.options)
        if moments is not None and scale == "auto":
            return scale, lambda own: own.scaled_by(*moments)
        return scale, None


def make_feeds(
    experiment: Experiment, inputs: Inputs, device: torch.device
) -> tuple[Feeds, Prepared | None, Experiment]:
    """Return feeds, the prepared data where they lie in memory, and the experiment with what was decided.

    Raises:
        DataError: the data cannot be read, or do not suit the task.
        ConfigError: validation or test data of another form than the training data.
    """
    if is_pairs(experiment, inputs.data):
        return feeds_of_pairs(experiment, inputs.data, inputs.val, inputs.test, device)
    if is_language(experiment):
        feeds, experiment = text_feeds(
            experiment,
            inputs.data,
            device,
            val=inputs.val,
            test=inputs.test,
            coder=inputs.coder,
            carries=inputs.carries if inputs.own_model else None,
        )
        return feeds, None, experiment
    if isinstance(inputs.data, DataLoader | TorchDataset) and not isinstance(inputs.data, TensorDataset):
        refuse_bags(experiment.data, inputs.data)
        feeds = _from_loaders(experiment, inputs, device)
        own = isinstance(inputs.data, DataLoader)
        if own and experiment.training.batch_size not in ("auto", feeds.train.batch_size):
            raise ConfigError(
                "a DataLoader has its own batch size",
                expected=f"no batch_size, or the loader's {feeds.train.batch_size}",
                received=f"batch_size={experiment.training.batch_size!r}",
            )
        known: dict[str, Any] = {"data.source": type(inputs.data).__name__, "data.scale": "none"}
        if isinstance(inputs.data, DataLoader | IterableDataset):
            known |= {"data.val": 0.0, "data.test": 0.0}  # a stream of batches is not split
        if experiment.name == "auto":
            known["name"] = "run"
        return feeds, None, experiment.changed(known)
    dataset = dataset_for(experiment, inputs)
    in_code = not isinstance(inputs.data, str) and dataset.kind in ("tensors", "vectors", "images")
    scale, adapt = inputs.scaling(experiment)
    again = "auto" if scale == "auto" and adapt else None  # decided by the model's name
    if scale == "auto":
        # What a user made into arrays for a model of their own is theirs, down to its scale.
        scale = "none" if in_code and inputs.own_model and not adapt else "standard"
    prepared = prepare(
        dataset,
        val=experiment.data.val,
        test=experiment.data.test,
        seed=experiment.data.seed,
        scale=scale,
        target_kind=_target_kind(experiment),
        scale_targets=scale == "standard",
        adapt=adapt,
        order=experiment.data.order,
        ignore=experiment.data.ignore,
        gaps=takes_gaps(experiment),
    )
    prepared = bagged(prepared, experiment.data)
    kind, shape, crop = prepared.preprocessor.target_kind, prepared.train.x.shape[1:], experiment.data.crop
    grid = on_a_grid(kind, shape)
    if crop and not grid:
        raise ConfigError(
            "crop has no effect on these data",
            expected="images with masks, or the tasks denoising and reconstruction",
            received=f"data.crop={crop} for {prepared.dataset.text}",
            hint="the augmentation random-crop",
        )
    noise = with_noise(experiment)
    most = maps_in_a_batch((crop, crop) if crop else shape) if grid else None
    feeds = feeds_from_prepared(
        prepared,
        batch_size=batch_size_for(experiment, len(prepared.train.y), most),
        crop=crop,
        noise=noise,
        train_examples=experiment.training.train_examples,
        device=device,
        seed=experiment.seed,
    )
    name = experiment.name
    if name == "auto":
        name = dataset.name.lstrip(".") or "data"  # a file may be hidden, a run is not
    decided = {"data.scale": again or scale, "name": name, **_grid_decided(experiment, prepared)}
    return feeds, prepared, experiment.changed({**decided, **with_indicator(experiment)})


def _grid_decided(experiment: Experiment, prepared: Prepared) -> dict[str, Any]:
    """Return the order of the split, and the class of pixels that does not count, as they were decided."""
    order, ignore, coder = experiment.data.order, experiment.data.ignore, prepared.preprocessor.coder
    if order == "auto":
        order = "blocks" if prepared.preprocessor.target_kind == "masks" else "random"
    left_out = coder.ignored if isinstance(coder, MaskCoder) else ()
    if ignore == "auto" and len(left_out) < 2:  # several can only be named by what they have in common
        ignore = left_out[0] if left_out else "none"
    return {"data.order": order, "data.ignore": ignore}


def _as_inputs_of(source: Preprocessor, own: Preprocessor) -> Preprocessor:
    return own.with_inputs_of(source)


def _target_kind(experiment: Experiment) -> str | None:
    kinds = {"auto": None, **KIND_OF_TASK}
    if experiment.task in kinds:
        return kinds[experiment.task]
    known = (*KIND_OF_TASK, *APART)
    raise ConfigError(
        "unknown task",
        expected=f"{', '.join(known)} or auto",
        received=repr(experiment.task),
        hint=did_you_mean(experiment.task, known),
    )


def dataset_for(experiment: Experiment, inputs: Inputs) -> Dataset:
    """Return data that lie in memory or in files as the task takes them, before they are split.

    Raises:
        DataError: the data cannot be read, or do not suit the task.
        ConfigError: validation or test data of another form than the training data.
    """
    return for_task(_with_parts(inputs, experiment.data, **loading(experiment)), experiment)


def _with_parts(inputs: Inputs, settings: DataSettings, **how: bool) -> Dataset:
    """Load the data; where validation or test data were given too, mark whose each example is."""
    images: dict[str, Any] = {"image_size": settings.image_size, "image_fit": settings.image_fit, **how}
    given = {"train": inputs.data, "val": inputs.val, "test": inputs.test}
    given = {part: value for part, value in given.items() if value is not None}
    if len(given) == 1:
        return load(inputs.data, target=settings.target, **images)
    given = {part: v.tensors if isinstance(v, TensorDataset) else v for part, v in given.items()}
    if not all(isinstance(value, tuple) and len(value) == 2 for value in given.values()):
        raise ConfigError(
            "validation and test data of their own must be arrays, as the training data are",
            expected="(x, y) or a TensorDataset for each, or a fraction such as val=0.15",
            received=", ".join(f"{part}: {type(value).__name__}" for part, value in given.items()),
        )
    for part, (x, y) in given.items():
        if len(x) != len(y):
            raise DataError(
                "inputs and targets differ in length",
                expected=f"one target for each example of the {part} data",
                received=f"{len(x)} inputs, {len(y)} targets",
            )
    as_tensor = isinstance(given["train"][0], torch.Tensor)
    with guarded(
        "validation or test data do not go with the training data",
        expected="examples of one shape",
        kind=ConfigError,
    ):
        x, y = (
            torch.cat([torch.as_tensor(v[i]) for v in given.values()])
            if as_tensor
            else np.concatenate([np.asarray(v[i]) for v in given.values()])
            for i in (0, 1)
        )
    parts = np.concatenate([np.full(len(value[1]), part) for part, value in given.items()])
    return replace(load((x, y), **images), part=parts)


def loaders_for(experiment: Experiment, inputs: Inputs) -> list[DataLoader[Any] | None]:
    """Return loaders of the training, validation and test examples of a data set or loader of one's own."""
    if not isinstance(inputs.data, DataLoader):
        return _split_dataset(experiment, inputs)
    others = (_as_loader(v, inputs.data.batch_size or 64) for v in (inputs.val, inputs.test))
    return [inputs.data, *others]


def _from_loaders(experiment: Experiment, inputs: Inputs, device: torch.device) -> Feeds:
    loaders = loaders_for(experiment, inputs)
    return feeds_from_loaders(*loaders, train_examples=experiment.training.train_examples, device=device)  # type: ignore[arg-type]  # two or three loaders, by what was given


def _as_loader(data: Any, batch_size: int) -> DataLoader[Any] | None:
    if data is None or isinstance(data, DataLoader):
        return data
    if isinstance(data, TorchDataset):
        return DataLoader(data, batch_size=batch_size)
    raise ConfigError(
        "validation data must have the form of the training data",
        expected="a DataLoader or Dataset",
        received=type(data).__name__,
    )


def _split_dataset(experiment: Experiment, inputs: Inputs) -> list[DataLoader[Any] | None]:
    """Cut validation and test examples from a map-style data set, unless they were given."""
    dataset: Any = inputs.data
    if isinstance(dataset, IterableDataset):
        size = batch_size_for(experiment, 0)
        if not size:
            raise ConfigError(
                "a stream has no full batch",
                expected="a number of examples, batch_size=1024",
                received="batch_size 'full', set or asked for by the optimizer",
            )
        return [
            DataLoader(dataset, batch_size=size),
            _as_loader(inputs.val, size),
            _as_loader(inputs.test, size),
        ]
    count = _count(dataset)
    order = np.random.default_rng(experiment.data.seed).permutation(count)
    cut = {
        "val": 0 if inputs.val is not None else round(count * experiment.data.val),
        "test": 0 if inputs.test is not None else round(count * experiment.data.test),
    }
    val_rows, test_rows, train_rows = np.split(order, np.cumsum([cut["val"], cut["test"]]))
    if not len(train_rows):
        raise DataError(
            "no examples are left to learn from",
            expected="at least one beside those held out",
            received=f"{count} examples, val={experiment.data.val}, test={experiment.data.test}",
        )
    train_rows = train_rows[bag_rows(experiment.data, len(train_rows))]
    size = batch_size_for(experiment, len(train_rows))
    train = loader_for(
        Subset(dataset, np.sort(train_rows).tolist()), batch_size=size, shuffle=True, seed=experiment.seed
    )
    held = {
        part: DataLoader(Subset(dataset, np.sort(rows).tolist()), batch_size=size) if len(rows) else None
        for part, rows in (("val", val_rows), ("test", test_rows))
    }
    return [train, _as_loader(inputs.val, size) or held["val"], _as_loader(inputs.test, size) or held["test"]]


def _count(dataset: Any) -> int:
    with guarded(
        "the data set has no length",
        expected="a map-style data set with __len__, or an IterableDataset",
        kind=DataError,
    ):
        return len(dataset)
