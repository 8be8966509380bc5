"""Tensors that entered a step: kept by reference, copied only before something changes them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

_SMALL = 1 << 20


def version_of(tensor: Tensor) -> int:
    """Return how often the tensor's memory was changed in place; −1 where torch does not count it."""
    try:
        return tensor._version
    except RuntimeError:
        return -1


@dataclass(eq=False, slots=True)
class Leaf:
    """A tensor from outside the step, as it was when the step first read it.

    A reference costs nothing while the program leaves the tensor alone; `keep` copies it before every change
    that is seen coming. A change that nobody saw shows in the version, and the leaf is then lost.
    """

    tensor: Tensor | None
    version: int
    requires_grad: bool
    grown: bool  # made by an operator: may be changed in place even where it requires a gradient
    copied: bool = False

    @classmethod
    def of(cls, tensor: Tensor) -> Leaf:
        """Take ``tensor`` by reference."""
        return cls(tensor, version_of(tensor), tensor.requires_grad, tensor.grad_fn is not None)

    @property
    def lost(self) -> bool:
        """Whether the value of the first reading is gone."""
        return self.tensor is None or (not self.copied and version_of(self.tensor) != self.version)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return 0 if self.tensor is None else self.tensor.numel() * self.tensor.element_size()

    def keep(self) -> None:
        """Copy the value while it is still there."""
        if self.copied or self.tensor is None:
            return
        if self.lost:
            self.tensor = None
            return
        self.tensor, self.copied = duplicate(self.tensor), True

    def settle(self) -> None:
        """Copy at the end of a step what will be trained or is small; leave large data where it is."""
        if self.requires_grad or self.nbytes <= _SMALL:
            self.keep()
        elif self.tensor is not None:
            self.tensor = self.tensor.detach()

    def drop(self) -> None:
        """Let go of the tensor."""
        self.tensor = None


def duplicate(tensor: Tensor) -> Tensor:
    """Return a copy with the same values, strides and shape, without history."""
    return tensor.detach().clone()
