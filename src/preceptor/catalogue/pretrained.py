"""Weights of an earlier training as the start: copied by name, with a report of what matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.errors import CheckpointError, ConfigError

__all__ = ["MatchReport", "pretrained"]


@dataclass(frozen=True)
class MatchReport:
    """What became of every tensor.

    Attributes:
        loaded: copied.
        missing: in the model, not in the source; they keep their start.
        unexpected: in the source, not in the model.
        mismatched: in both, with shapes (model, source); they keep their start.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model was loaded and none of the source is left over."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """Return the counts, and the names of what did not match."""
        lines = [f"{len(self.loaded)} tensors loaded"]
        lines += [f"missing in the source: {name}" for name in self.missing]
        lines += [f"not in the model: {name}" for name in self.unexpected]
        lines += [f"another shape: {name}, {own} here, {other} there" for name, own, other in self.mismatched]
        return "\n".join(lines)


@registered(
    kind="initialization",
    name="pretrained",
    aliases=("pretrained-initialization", "load-weights", "warm-start", "reuse-of-trained-parts", "tl-reuse"),
    formula="w ← w of the source, for every tensor with the same name and shape; the others keep their start",
    shapes="a model; a run folder, a .safetensors file, a state_dict or a module → a report, the model "
    "changed "
    "in place",
    when="a network that was trained on similar inputs exists: nearly always better than a random start",
    pitfalls="inputs must be scaled as they were for the source; a head for other classes has another shape "
    "and "
    "stays random",
    source="Yosinski et al., How Transferable Are Features in Deep Neural Networks?, 2014",
    differs="load_state_dict(strict=False) raises for another shape; this reports it",
    example="""
    >>> old, new = get('mlp', (4,), 3, hidden=5), get('mlp', (4,), 2, hidden=5)
    >>> print(get('pretrained', new, old))
    2 tensors loaded
    another shape: 2.weight, (2, 5) here, (3, 5) there
    another shape: 2.bias, (2,) here, (3,) there
    """,
)
def pretrained(
    model: nn.Module, source: str | Path | nn.Module | Mapping[str, Tensor], strict: bool = False
) -> MatchReport:
    """Pretrained initialisation: the weights of an earlier training, by name.

    Raises:
        CheckpointError: the source cannot be read; with ``strict`` also if anything does not match.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> pretrained(model, {"weight": torch.ones(1, 2)}).missing
        ('bias',)
    """
    held, own = _tensors(source), model.state_dict()
    both = [name for name in own if name in held]
    fit = [name for name in both if held[name].shape == own[name].shape]
    report = MatchReport(
        loaded=tuple(fit),
        missing=tuple(name for name in own if name not in held),
        unexpected=tuple(name for name in held if name not in own),
        mismatched=tuple(
            (name, tuple(own[name].shape), tuple(held[name].shape)) for name in both if name not in fit
        ),
    )
    if strict and not report.complete:
        raise CheckpointError(
            "the weights do not fit the model", expected="the same names and shapes", received=str(report)
        )
    with torch.no_grad():
        for name in fit:
            own[name].copy_(held[name])
    return report


def _tensors(source: object) -> Mapping[str, Tensor]:
    if isinstance(source, nn.Module):
        return source.state_dict()
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, (str, Path)):
        raise ConfigError(
            "no weights to start from",
            expected="a run folder, a .safetensors file, a state_dict or a module",
            received=type(source).__name__,
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(source)
    file = path / "weights" / "best.safetensors" if path.is_dir() else path
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read the weights in {file}",
            expected="a run folder with weights/best.safetensors, or a .safetensors file",
            received=f"{type(error).__name__}: {error}",
        ) from error
