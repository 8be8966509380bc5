"""A user's own code: imported, called and named; what it raises becomes one message that says where."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor.catalogue.architectures.providers import provided
from preceptor.errors import ModelError, OutOfMemory, PreceptorError, did_you_mean
from preceptor.files import similar

__all__ = ["guarded", "import_model", "is_out_of_memory", "is_own_code", "make_model", "name_of"]

_OURS = str(Path(__file__).parents[1])


@contextmanager
def guarded(
    problem: str,
    *,
    expected: str | None = None,
    hint: str | None = None,
    kind: type[PreceptorError] = ModelError,
) -> Iterator[None]:
    """Turn whatever leaves a block into ``kind`` with this problem; errors of ours pass unchanged.

    Raises:
        OutOfMemory: the block asked for more memory than there is.

    Example:
        >>> with guarded("the model cannot be made"):
        ...     int("three")
        Traceback (most recent call last):
        preceptor.errors.ModelError: the model cannot be made
          received  ValueError: invalid literal for int() with base 10: 'three' (..., line 2)
    """
    try:
        yield
    except PreceptorError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"{problem}: out of memory",
                expected=expected or "what fits into memory",
                received=str(error).partition("\n")[0],
                hint="a smaller model, or smaller batches",
            ) from error
        raise kind(problem, expected=expected, received=_described(error), hint=hint) from error


def make_model(given: Any, options: dict[str, Any]) -> nn.Module:
    """Return a user's model: what was given, or what the given class or function makes with these options.

    Raises:
        ModelError: it cannot be made so, or it is no ``nn.Module``.
    """
    model = given
    if not isinstance(given, nn.Module):
        with guarded(
            "the model cannot be made", expected="a class or function that takes the model's options"
        ):
            model = given(**options)
    if isinstance(model, nn.Module):
        return model
    raise ModelError("the model is not a torch.nn.Module", expected="nn.Module", received=repr(model)[:80])


def import_model(reference: str) -> Any:
    """Import a user's own model: ``path/to/file.py:Name`` or ``package.module:Name``. This runs that code.

    Raises:
        ModelError: there is no such file, module or name, or its code fails.
    """
    where, _, name = reference.rpartition(":")
    problem, expected = (
        f"cannot import the model {reference!r}",
        "path/to/file.py:Name or package.module:Name",
    )
    with guarded(problem, expected=expected):
        if where.endswith(".py"):
            if not Path(where).is_file():
                raise ModelError(
                    problem, expected=expected, received=f"no file {where!r}", hint=similar(Path(where))
                )
            spec = importlib.util.spec_from_file_location(Path(where).stem, where)
            assert spec is not None  # noqa: S101 - a .py file always has one
            assert spec.loader is not None  # noqa: S101 - and a loader
            module = importlib.util.module_from_spec(spec)
            sys.modules.setdefault(spec.name, module)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                if sys.modules[spec.name] is module:  # half of it must not be found by a later import
                    del sys.modules[spec.name]
                raise
        else:
            module = importlib.import_module(where)
        if not hasattr(module, name):
            raise ModelError(
                problem,
                expected=expected,
                received=f"{where} has no {name!r}",
                hint=did_you_mean(name, vars(module)),
            )
        return getattr(module, name)


def is_own_code(name: str) -> bool:
    """Say whether a model's name is a user's own code, ``file.py:Name``, not another library's network.

    Example:
        >>> is_own_code("nets.py:Net"), is_own_code("torchvision:resnet18"), is_own_code("mlp")
        (True, False, False)
    """
    return ":" in name and not provided(name)


def name_of(thing: Any) -> str:
    """Return ``module:name`` of a user's object, class or function, to record what it was."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the machine or the device has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return not isinstance(error, OutOfMemory)
    # The CPU's allocator has no exception of its own; its words differ between systems.
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in ("allocate memory", "not enough memory")
    )


def _described(error: Exception) -> str:
    """Return an error's type and first line, with the last place in the user's own code that it came by."""
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f
        for f in frames
        if not f.filename.startswith((_OURS, "<frozen")) and "site-packages" not in f.filename
    ]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text
