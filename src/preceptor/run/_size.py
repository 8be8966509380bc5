"""`summary`: a network in numbers before it is trained, by name, from a file, of a run, or as an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue
from preceptor.catalogue.calculators import NetworkSummary, network_summary
from preceptor.catalogue.inspections.architectures import published_input
from preceptor.data import generators
from preceptor.errors import ConfigError, ModelError
from preceptor.run._load import load
from preceptor.run._run import Run
from preceptor.training.own_code import guarded, import_model, is_own_code, make_model

__all__ = ["summary"]

_OUTPUTS = 10


def summary(
    model: Any,
    input: Sequence[int] | Tensor | tuple[Any, ...] | None = None,  # noqa: A002 - the field's word for it
    *,
    outputs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> NetworkSummary:
    """Return what a network is made of and what it costs: shapes, parameters, memory, operations, fields.

    Nothing is computed: the network is followed on torch's meta device, which has shapes and no values. Only
    code that asks for values (``if x.sum() > 1``) is run with some.

    Arguments:
        model: a name of the catalogue, ``file.py:Name``, an ``nn.Module`` or what makes one, a `Run` or its
            folder.
        input: the shape of one example, or a batch of inputs (a tensor, or a tuple of them); default: the
            run's, or what an architecture was published for.
        outputs: of an architecture by name; default: as published, else 10.
        batch_size: of the training whose memory is estimated; default: the run's, or 32.
        optimizer: of the same, by name; default: the run's, or ``"adam"``.
        options: of the model, such as ``{"growth_rate": 12}``.

    Returns:
        A record of all of it; as text, a table of the layers with totals.

    Raises:
        ConfigError: no input where none is known, or options that do not suit.
        ModelError: the model cannot be made, or takes no such inputs.
        UnknownName: there is no architecture, optimizer or run of that name.

    Example:
        >>> found = summary("lenet-5", (1, 28, 28), batch_size=64)
        >>> found.parameters, found.operations, found.depth
        (61706, 833040, 5)
    """
    if isinstance(model, Path) or (isinstance(model, str) and (Path(model) / "manifest.json").is_file()):
        model = load(model)
    if isinstance(model, Run):
        return _of_run(model, input, batch_size, optimizer)
    name, make, known = _maker(model, input, outputs, dict(options or {}))
    given = known if input is None else input
    if given is None:
        raise ConfigError(
            f"{name}: the shape of the inputs is not known",
            expected="the shape of one example",
            received="none",
            hint="--input 3,224,224, in Python input=(3, 224, 224)",
        )
    wanted = {"batch_size": 32 if batch_size is None else batch_size, "optimizer": optimizer or "adam"}
    return replace(_followed(make, given, wanted), name=name)


def _of_run(run: Run, given: Any, batch_size: int | None, optimizer: str | None) -> NetworkSummary:
    settings = run.experiment
    size = settings.training.batch_size
    return replace(
        network_summary(
            run.model,
            _input_of(run) if given is None else given,
            batch_size=(size if isinstance(size, int) else 32) if batch_size is None else batch_size,
            optimizer=optimizer or _known_optimizer(settings.optimizer.name),
        ),
        name=settings.model.name.rpartition(":")[2],
    )


def _input_of(run: Run) -> Any:
    """Return the shape of one example as the model takes it; a batch, where inputs are not one tensor."""
    if run.task.name == "translation" and run.preprocessor is not None:
        length = run.preprocessor.input_shape[0]
        return tuple(torch.ones(1, length, dtype=torch.long) for _ in range(2))
    shape = run.feeds.signature.input_shape if run.feeds else None
    if shape is None and run.folder is not None:
        shape = run.folder.manifest["signature"]["input_shape"]
    if shape is not None:
        augment = run.predictor.augment
        return tuple(shape) if augment is None else augment.shape(tuple(shape))
    if run.feeds is not None:
        return run.feeds.sample[0]
    raise ConfigError(
        "the run's inputs are not one tensor", expected="input=(a batch of them)", received="no inputs"
    )


def _known_optimizer(name: str) -> str:
    return name if catalogue.find(name, "optimizer") else "adam"


def _maker(
    model: Any, given: Any, outputs: int | None, options: dict[str, Any]
) -> tuple[str, Callable[[], nn.Module], tuple[int, ...] | None]:
    """Return the network's name, what makes it, and the input that it was published for."""
    if isinstance(model, str) and not is_own_code(model):
        return _by_name(model, given, outputs, options)
    if outputs is not None:
        raise ConfigError(
            "outputs are for networks by name",
            expected="a model of your own that has as many",
            received=f"outputs={outputs}",
        )
    made = import_model(model) if isinstance(model, str) else model
    name = (
        model.rpartition(":")[2] if isinstance(model, str) else getattr(made, "__name__", type(made).__name__)
    )
    return name, lambda: make_model(made, options), None


def _by_name(
    name: str, given: Any, outputs: int | None, options: dict[str, Any]
) -> tuple[str, Callable[[], nn.Module], tuple[int, ...] | None]:
    entry = catalogue.entry(name, "architecture")
    chosen = entry.options(**options)
    known = published_input(entry)
    published, count = known or (None, _OUTPUTS)
    shape = given if given is not None else published
    if isinstance(shape, Tensor):
        shape = tuple(shape.shape[1:])
    if known is not None and shape != published:
        count = _OUTPUTS
    return entry.name, lambda: entry.build(shape, outputs or count, **chosen), published


def _followed(make: Callable[[], nn.Module], given: Any, wanted: dict[str, Any]) -> NetworkSummary:
    """Make the network without values; where its code asks for some, once more with them."""
    with generators.seeded(0):
        try:
            with torch.device("meta"):
                made = make()
            return network_summary(made, given, **wanted)
        except ConfigError:
            raise
        except Exception:  # noqa: BLE001 - whatever a model's own code raises without values
            with guarded("the model cannot be made"):
                made = make()
            if not isinstance(made, nn.Module):
                raise ModelError("the model is not a torch.nn.Module", received=repr(made)[:80]) from None
            return network_summary(made, given, **wanted)
