"""The model and the task: a model of one's own tells the task its outputs, the task tells a named model."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue, tasks
from preceptor.catalogue import Entry
from preceptor.catalogue.architectures import KernelDensity
from preceptor.data import generators
from preceptor.data._prepare_pairs import pair_of
from preceptor.data._tagged import TokenEncoder
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, ModelError
from preceptor.training.dense import simplest
from preceptor.training.evaluate import evaluation
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.language import SIMPLEST, refuse_foresight, symbol_options
from preceptor.training.objects import Objects
from preceptor.training.own_code import guarded, make_model, name_of
from preceptor.training.settings import Block

__all__ = ["model_and_task"]


def model_and_task(
    experiment: Experiment, feeds: Feeds, objects: Objects, device: torch.device
) -> tuple[nn.Module, Block, tasks.Task, Tensor]:
    """A user's model tells the task how many outputs there are; the task tells a named model."""
    block, given = experiment.model, objects.model
    if given is not None:
        model = make_model(given, block.options)
        name = block.name if ":" in block.name else name_of(model)
        model, block = model.to(device), Block(name=name, **block.options)
        task = _task(experiment, feeds, objects, output := _try(model, feeds))
    else:
        if feeds.signature.input_shape is None:
            raise ModelError("inputs that are not one tensor need a model of your own", hint="model=MyNet()")
        task = _task(experiment, feeds, objects, None)
        if block.name == "auto":
            block = Block(**{**_simplest(task, feeds.signature.input_shape).model_dump(), **block.options})
        name = block.name
        entry = catalogue.entry(name, "architecture")
        chosen = {**_pair_options(entry, feeds), **symbol_options(entry, task, block.options)}
        block = Block(name=entry.name, **entry.options(**chosen))
        with guarded(f"the model {name!r} cannot be built", expected="sizes that fit into memory"):
            model = entry.build(feeds.signature.input_shape, task.outputs, **block.options).to(device)
        if isinstance(model, KernelDensity):
            model.remember(_examples(entry.name, feeds))
        output = _try(model, feeds)
    task.check(output, feeds.sample[1])
    if isinstance(task, tasks.LanguageModelling):
        refuse_foresight(model, feeds.sample[0], task.symbols)
    _warn_of_steps(model)
    return model, block, task, output


def _warn_of_steps(model: nn.Module) -> None:
    """Say so where no gradient can pass: a step function has slope zero wherever it has one."""
    steps = [name for name, module in model.named_modules() if isinstance(module, catalogue.piecewise.Step)]
    if steps:
        warnings.warn(
            f"no gradient passes the step function {steps[0]!r}: the layers before it keep their "
            'first weights; for training take "sigmoid" or "relu"',
            stacklevel=2,
        )


def _simplest(task: tasks.Task, shape: tuple[int, ...]) -> Block:
    if isinstance(task, tasks.LanguageModelling):
        return Block(name=SIMPLEST)
    if isinstance(task, tasks.Translation):
        return Block(name="seq2seq-attention")
    if isinstance(task, tasks.Tagging):
        return Block(name="bilstm-crf")
    if isinstance(task, tasks.Parsing):
        return Block(name="span-parser")
    if isinstance(task, tasks.Transcription):
        return Block(name="convolutional-recurrent-network")
    if isinstance(task, tasks.DensityEstimation):
        return Block(name="gaussian-mixture" if task.name == "density-estimation" else "kernel-density")
    if isinstance(task, tasks.Segmentation | tasks.Reconstruction):
        return simplest(task.name, shape)
    return Block(name="lenet-5" if len(shape) == 3 and min(shape[1:]) >= 28 else "mlp")


def _examples(name: str, feeds: Feeds) -> Any:
    """Return the training examples, where they lie in memory."""
    if not isinstance(feeds.train, TensorBatches):
        raise ConfigError(
            f"{name} keeps its training examples",
            expected="data in memory or by name",
            received="a DataLoader",
            hint='model="reconstruction-error"',
        )
    return feeds.train.x


def _pair_options(entry: Entry, feeds: Feeds) -> dict[str, Any]:
    """Return the options of a network that the data decide: examples kept, vocabulary, and its padding."""
    if entry.traits.get("remembers"):
        return {"points": min(int(entry.traits["remembers"]), feeds.examples or 1)}
    if feeds.preprocessor is not None and isinstance(feeds.preprocessor.encoder, TokenEncoder):
        words = {"vocabulary": feeds.preprocessor.encoder.size}
        own = entry.traits.get("tokens") or "per_step" not in entry.defaults
        return words if own else {**words, "padding": 0, "per_step": True}
    if feeds.signature.target_kind != "sequences" or feeds.preprocessor is None:
        return {}
    if not entry.traits.get("pairs"):
        raise ConfigError(
            f"{entry.name} does not translate",
            expected="seq2seq-attention, seq2seq or seq2seq-transformer",
            received=f"model={entry.name!r}",
        )
    encoder, coder = pair_of(feeds.preprocessor)
    return {"vocabulary": len(encoder.coder), "padding": coder.special("padding")}


def _try(model: nn.Module, feeds: Feeds) -> Tensor:
    """Run the model on a few examples, leaving the random generators as they were."""
    x = feeds.sample[0]
    shown = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
    before = generators.capture()
    try:
        with (
            guarded(
                "the model cannot take the inputs",
                expected=f"a forward pass over a batch of inputs {shown}",
                hint="check the first layer's size and the inputs' shape and dtype",
            ),
            evaluation(model),
        ):
            output: Tensor = model(x)
    finally:
        generators.restore(before)
    return output


def _loss_name(experiment: Experiment) -> str | None:
    name = experiment.loss.name
    return None if name == "auto" else catalogue.losses.training_loss(name).name


def _task(experiment: Experiment, feeds: Feeds, objects: Objects, output: Tensor | None) -> tasks.Task:
    width = output.shape[1] if isinstance(output, Tensor) and output.ndim > 1 else 1
    classes = feeds.signature.classes
    if feeds.signature.target_kind in ("categories", "masks") and not classes:
        if output is None:
            raise ModelError(
                "a model by name needs to know the classes",
                expected="data in memory or by name, whose classes are known",
                received="a DataLoader",
                hint="pass your own nn.Module, or the data as (x, y)",
            )
        classes = tuple(str(i) for i in range(max(2, width)))
    loss = None if objects.loss is not None else _loss_name(experiment)
    sorts = feeds.signature.target_kind in ("categories", "masks")
    if loss is None and sorts and len(classes) == 2 and width == 2:
        loss = "cross-entropy"  # two outputs for two classes: a softmax over both
    return tasks.make(
        None if experiment.task == "auto" else experiment.task,
        target_kind=feeds.signature.target_kind,
        classes=classes,
        dims=feeds.signature.dims,
        loss=loss,
        preprocessor=feeds.preprocessor,
        metrics=experiment.metrics,
    ).told(experiment.data)
