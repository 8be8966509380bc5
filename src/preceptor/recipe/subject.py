"""What is checked: a network as it would begin to train, its loss, and some examples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.errors import DataError, ModelError
from preceptor.recipe import _trees as trees
from preceptor.recipe._answers import Answer, best_answer, last_unit
from preceptor.recipe._classes import Classes
from preceptor.training.own_code import guarded

__all__ = ["LEAST_HELD_OUT", "Subject"]

LEAST_HELD_OUT = 20
"""Examples held out: with fewer nothing can be said of generalisation."""

_LOOKED_AT = 256  # examples that outputs are computed for


class Subject:
    """A network, its loss and examples; whatever is done to it is done to copies.

    Arguments:
        model: as it would begin to train.
        loss: of (outputs, targets), the mean over a batch.
        x: inputs to learn from: a tensor, or a tuple, list or dict of them; examples along the first axis.
        y: their targets.
        held_out: inputs and targets of other examples; None where there are none.
        batch_size: examples a training step.
        rebuild: makes the model anew from the same seed; None where it was given as an object.
        seed: of everything that is drawn.
        seconds: what all checks together may take.

    Raises:
        DataError: there are no examples.
        ModelError: the model cannot be copied, or cannot take the inputs.

    Example:
        >>> x, y = torch.randn(40, 4), torch.arange(40) % 3
        >>> subject = Subject(nn.Linear(4, 3), nn.functional.cross_entropy, x, y)
        >>> len(subject), subject.outputs.shape, abs(subject.chance - 1.1) < 0.1
        (40, torch.Size([40, 3]), True)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        x: Any,
        y: Any,
        *,
        held_out: tuple[Any, Any] | None = None,
        batch_size: int | None = None,
        rebuild: Callable[[], nn.Module] | None = None,
        seed: int = 0,
        seconds: float = 25.0,
    ) -> None:
        if not trees.size(x):
            raise DataError(
                "there is nothing to check with",
                expected="a batch of examples: tensors with the examples along their first axis",
                received="no tensor, or none with an example",
            )
        self.model, self._loss, self.x, self.y = model, loss, x, y
        few = held_out is None or trees.size(held_out[0]) < LEAST_HELD_OUT
        self.held_out = None if few else held_out
        self.batch_size = min(batch_size or 32, len(self))
        self.rebuild, self.seed = rebuild, seed
        self.deadline = monotonic() + seconds
        self.lr: float | None = None  # one that has been seen to learn
        self.known: dict[str, Any] = {}  # what one check leaves for another
        with guarded("the model cannot be copied", expected="modules that copy.deepcopy takes"):
            self.copy()

    @property
    def criterion(self) -> Callable[[Any, Any], Tensor]:
        """The loss as it was given."""
        return self._loss

    def __len__(self) -> int:
        return trees.size(self.x)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - monotonic()

    def copy(self) -> nn.Module:
        """Return the model as it begins, in training mode."""
        return copy.deepcopy(self.model).train()

    def some(self, count: int) -> tuple[Any, Any]:
        """Return the first examples."""
        return trees.rows(self.x, slice(0, count)), trees.rows(self.y, slice(0, count))

    def loss(self, outputs: Any, y: Any) -> Tensor:
        """Return the loss of a batch of outputs.

        Raises:
            ModelError: it is no single number.
        """
        value = self._loss(outputs, y)
        if not isinstance(value, Tensor) or value.numel() != 1:
            shown = f"tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)[:80]
            raise ModelError(
                "the loss is not one number",
                expected="a tensor of shape (): the mean over the batch",
                received=shown,
                hint="reduction='mean', or .mean()",
            )
        return value.reshape(())

    @cached_property
    def looked_at(self) -> tuple[Any, Any]:
        """The examples that the model's first outputs are looked at for."""
        return self.some(_LOOKED_AT)

    @cached_property
    def outputs(self) -> Any:
        """The outputs before training, in evaluation mode, with their graph.

        Raises:
            ModelError: the model cannot take the inputs.
        """
        x, _ = self.looked_at
        shown = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in trees.tensors(x)[:4])
        with (
            guarded("the model cannot take the inputs", expected=f"a forward pass over {shown}"),
            torch.enable_grad(),
        ):
            return self.copy().eval()(x)

    @cached_property
    def unit(self) -> Any:
        """What the model ends in: a softmax, a sigmoid, …; None where it ends in a layer."""
        return last_unit(self.outputs)

    @cached_property
    def start(self) -> float:
        """The loss before training."""
        with torch.no_grad():
            return float(self.loss(trees.mapped(Tensor.detach, self.outputs), self.looked_at[1]))

    @cached_property
    def constant(self) -> Answer:
        """The best answer that does not look at the inputs."""
        return best_answer(self.loss, self.outputs, self.looked_at[1], self.unit, shared=True)

    @property
    def chance(self) -> float:
        """The loss of the best constant answer; NaN where the loss cannot be followed on other outputs."""
        return self.constant.loss

    @cached_property
    def free(self) -> Answer:
        """The best outputs of all, each example its own, as the model's last unit allows them."""
        return best_answer(self.loss, self.outputs, self.looked_at[1], self.unit)

    @property
    def floor(self) -> float:
        """The lowest loss that any outputs reach."""
        return self.free.loss

    def goal(self, share: float) -> float:
        """Return the loss that lies this share of the way from the lowest to a constant answer's."""
        return self.floor + share * (self.chance - self.floor)

    @cached_property
    def classes(self) -> Classes | None:
        """How outputs become classes; None where targets are no classes."""
        return Classes.of(self.outputs, self.looked_at[1], self.unit)

    @cached_property
    def linear(self) -> bool:
        """Whether outputs are a linear function of the inputs, but for a constant."""
        x, _ = self.some(4)
        if len(self) < 4 or not isinstance(x, Tensor) or not x.is_floating_point():
            return False
        model = self.copy().eval()
        with torch.no_grad():
            found = model(torch.cat([x[:1] + x[1:2], 3 * (x[2:3] - x[3:4]), x, torch.zeros_like(x[:1])]))
        if not isinstance(found, Tensor) or len(found) != 7:
            return False
        added, tripled, a, b, c, d, nothing = found
        made = torch.stack([a + b - nothing, 3 * (c - d) + nothing])
        return bool(torch.allclose(torch.stack([added, tripled]), made, rtol=1e-4, atol=1e-5))

    @cached_property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)
