"""`export`: a run's network in a form that other programs load, and a proof that it computes the same."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from preceptor.data import generators
from preceptor.errors import ConfigError, ModelError, PreceptorError, UnknownName, import_extra
from preceptor.files import atomic, write_json
from preceptor.run._given import ensure_data
from preceptor.training.evaluate import evaluation
from preceptor.training.manifest import versions

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["FORMATS", "Exported", "export"]

Call = Callable[..., Any]
"""What computes outputs from inputs, examples along the first axis."""

_EXAMPLES = 8


@dataclass(frozen=True)
class Format:
    """A form that a network is exported in.

    Attributes:
        suffix: of its files.
        allowed: how far outputs may be from the network's own, as a share of their largest.
        made: makes the file's bytes, and says whether it takes batches of any size.
        opened: makes what computes from a file.
    """

    suffix: str
    allowed: float
    made: Callable[[nn.Module, tuple[Tensor, ...]], tuple[bytes, bool]]
    opened: Callable[[Path, nn.Module], Call]


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from the network.

    Attributes:
        path: the file.
        to: its form.
        any_batch: whether it takes batches of any size.
        examples: how many it was compared on.
        difference: the largest difference of an output from the network's own.
        largest: the largest output, of either sign.
        real: whether the examples were the run's own; else they were drawn at random.

    Example:
        >>> print(Exported(Path("net.onnx"), "onnx", True, 12, 2e-7, 4.5, True))
        onnx, batches of any size; equal on 12 examples of the run, largest difference 2e-07 of 4.5
    """

    path: Path
    to: str
    any_batch: bool
    examples: int
    difference: float
    largest: float
    real: bool

    def __str__(self) -> str:
        size = "batches of any size" if self.any_batch else "batches of one size"
        whose = "of the run" if self.real else "drawn at random"
        same = (
            "to the last bit"
            if self.difference == 0
            else f"largest difference {self.difference:.2g} of {self.largest:.3g}"
        )
        return f"{self.to}, {size}; equal on {self.examples} examples {whose}, {same}"


class _Whole(nn.Module):
    """A network behind what its inputs go through in evaluation."""

    def __init__(self, model: nn.Module, augment: Any) -> None:
        super().__init__()
        self.model, self.augment = model, augment

    def forward(self, x: Tensor) -> Any:
        return self.augment.outputs(self.model, x)


def export(run: Run, path: Path | str | None = None, to: str = "safetensors") -> Exported:
    """Write a run's network for other programs, compare what was written with it, and say how far it is off.

    What is exported takes prepared inputs, as ``run.model`` does, and returns raw outputs. How inputs are
    prepared, and what the outputs mean, stands beside it in ``<file>.json``.

    Arguments:
        run: with the network, in evaluation mode and float32.
        path: the file; default: ``model`` with the form's suffix in the run's folder.
        to: ``"safetensors"`` (weights alone), ``"torch-export"`` or ``"onnx"``.

    Raises:
        UnknownName: there is no such form.
        ConfigError: neither a path nor a run folder; the run is no single network.
        ExtraMissing: ``"onnx"`` needs ``preceptor[onnx]``.
        ModelError: the network cannot be exported, or the file computes something else; nothing is left.
        StorageError: the file cannot be written.
    """
    if to not in FORMATS:
        raise UnknownName("form of export", to, FORMATS)
    form = FORMATS[to]
    if path is None and run.folder is None:
        raise ConfigError("the run has no folder", expected=f"run.export('model{form.suffix}')")
    place = Path(path) if path is not None else run.folder.path / f"model{form.suffix}"  # type: ignore[union-attr]  # told before where there is none
    args, real = _inputs(run)
    augment = run.predictor.augment
    network = run.model if augment is None else _Whole(run.model, augment.eval())
    with evaluation(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content, any_batch = form.made(network, args)
        with atomic(place) as temporary:
            temporary.write_bytes(content)
            counts = (1, len(args[0]), 3) if any_batch else (len(args[0]),)
            opened = form.opened(temporary, network)
            pairs = [(network(*some), opened(*some)) for some in (_rows(args, n) for n in counts)]
            difference, largest = _difference(pairs)
            _refuse_other(difference, largest, form.allowed, to)
    write_json(place.with_name(f"{place.name}.json"), _facts(run, args))
    return Exported(place, to, any_batch, len(args[0]), difference, largest, real)


def _rows(args: tuple[Tensor, ...], count: int) -> tuple[Tensor, ...]:
    return tuple(arg[:count] for arg in args)


def _inputs(run: Run) -> tuple[tuple[Tensor, ...], bool]:
    """Return a batch of the run's own inputs, or random ones of their shape; and whether they are its own."""
    try:
        ensure_data(run)
        x: Any = run.feeds.sample[0] if run.feeds else None
    except PreceptorError:
        x = None
    real = x is not None
    if not real:
        shape = run.folder.manifest["signature"]["input_shape"] if run.folder else None
        if shape is None:
            raise ConfigError(
                "the run's inputs are not known",
                expected="a run on one tensor of inputs, or on data that can be read again",
                received="neither",
            )
        with generators.seeded(0):
            x = torch.randn(_EXAMPLES, *shape, device=run.predictor.device)
    args = tuple(x) if isinstance(x, tuple | list) else (x,)
    if not args or not all(isinstance(arg, Tensor) and len(arg) for arg in args):
        raise ConfigError("the network does not take tensors", received=type(x).__name__)
    times = -(-3 // len(args[0]))  # a size of one would be taken for fixed
    return tuple(torch.cat([arg] * times)[:_EXAMPLES] for arg in args), real


def _difference(pairs: list[tuple[Any, Any]]) -> tuple[float, float]:
    """Return the largest difference of outputs, and the largest output."""
    difference = largest = 0.0
    for own, other in pairs:
        for a, b in zip(_tensors(own), _tensors(other), strict=True):
            if a.shape != b.shape:
                raise ModelError(
                    "what was exported gives other shapes", expected=str(a.shape), received=str(b.shape)
                )
            same = (a == b) | (a.isnan() & b.isnan())  # infinities included
            apart = (a.double() - b.double()).abs().nan_to_num(nan=math.inf)[~same]
            finite = a.double().abs()[a.isfinite()]
            difference = max([difference, *apart.flatten().tolist()])
            largest = max([largest, *finite.flatten().tolist()])
    return difference, largest


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs.detach().cpu()]
    if isinstance(outputs, dict):
        outputs = outputs.values()
    return [tensor for one in outputs for tensor in _tensors(one)] if outputs is not None else []


def _refuse_other(difference: float, largest: float, allowed: float, to: str) -> None:
    if difference <= allowed * max(largest, 1.0):
        return
    raise ModelError(
        f"what was exported to {to} computes something else",
        expected=f"outputs within {allowed:g} of the network's own, as a share of their largest",
        received=f"a difference of {difference:.3g}, outputs up to {largest:.3g}",
        hint="does the network decide by values, or draw at random, in evaluation mode? another form may do",
    )


def _facts(run: Run, args: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return what one has to know to use what was exported."""
    settings = run.experiment
    return {
        "name": settings.name,
        "model": {"name": settings.model.name, "options": dict(settings.model.options)},
        "task": run.task.name,
        "classes": list(getattr(run.task, "classes", ())),
        "inputs": [{"shape": list(arg.shape[1:]), "dtype": str(arg.dtype).partition(".")[2]} for arg in args],
        "outputs": run.task.outputs,
        "preprocessing": run.preprocessor.to_state() if run.preprocessor is not None else None,
        "best_epoch": run.best_epoch,
        "versions": versions(),
    }


# Forms


def _safetensors(network: nn.Module, args: tuple[Tensor, ...]) -> tuple[bytes, bool]:
    own = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    return save(own, {"format": "pt", "inputs": json.dumps([list(arg.shape[1:]) for arg in args])}), True


def _from_safetensors(path: Path, network: nn.Module) -> Call:
    """Return the network with the weights of the file, in which no other may be left."""
    weights = load(path.read_bytes())

    def call(*args: Tensor) -> Any:
        given = {name: value.to(args[0].device) for name, value in weights.items()}
        return torch.func.functional_call(network, given, args, strict=True)

    return call


def _program(network: nn.Module, args: tuple[Tensor, ...]) -> tuple[Any, bool]:
    """Trace a network for batches of any size; of one size, where its code asks for that."""
    batch = {0: torch.export.Dim("batch")}
    with _told("the network cannot be exported"):
        try:
            return torch.export.export(network, args, dynamic_shapes=tuple(batch for _ in args)), True
        except Exception:  # noqa: BLE001 - whatever torch raises of a network that asks for its batch's size
            return torch.export.export(network, args), False


def _torch_export(network: nn.Module, args: tuple[Tensor, ...]) -> tuple[bytes, bool]:
    program, any_batch = _program(network, args)
    program.example_inputs = None  # they would be pickled
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue(), any_batch


def _from_torch_export(path: Path, network: nn.Module) -> Call:
    made: Call = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return made


def _onnx(network: nn.Module, args: tuple[Tensor, ...]) -> tuple[bytes, bool]:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(module, extra="onnx", purpose="an export to ONNX")
    batch = {0: torch.export.Dim("batch")}
    names = ["inputs", *(f"inputs{i}" for i in range(1, len(args)))]
    options: dict[str, Any] = {"dynamo": True, "verbose": False, "input_names": names}
    with _told("the network cannot be exported to ONNX"):
        try:
            shapes = tuple(batch for _ in args)
            program, any_batch = torch.onnx.export(network, args, dynamic_shapes=shapes, **options), True
        except Exception:  # noqa: BLE001 - as above
            program, any_batch = torch.onnx.export(network, args, **options), False
    content: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]  # told before where there is none
    return content, any_batch


def _from_onnx(path: Path, network: nn.Module) -> Call:
    runtime = import_extra("onnxruntime", extra="onnx", purpose="an export to ONNX")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def call(*args: Tensor) -> list[Tensor]:
        given = {name: arg.cpu().numpy() for name, arg in zip(names, args, strict=True)}
        return [torch.from_numpy(output) for output in session.run(None, given)]

    return call


class _told:  # noqa: N801 - reads as a word in a with statement
    """Turns whatever a tracer raises into an error of ours."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, PreceptorError):
            raise ModelError(
                self.problem,
                expected="a forward without decisions by values, which torch.export can follow",
                received=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300],
                hint="preceptor export RUN --to safetensors keeps the weights",
            ) from error


FORMATS: dict[str, Format] = {
    "safetensors": Format(".safetensors", 0.0, _safetensors, _from_safetensors),
    "torch-export": Format(".pt2", 1e-5, _torch_export, _from_torch_export),
    "onnx": Format(".onnx", 1e-4, _onnx, _from_onnx),
}
"""The forms by name."""
