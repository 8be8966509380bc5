"""Whether the gradients that an optimizer steps with are new: over its first steps, exactly."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from preceptor.observation._graph_leaves import version_of
from preceptor.observation.probes._tensors import floating

__all__ = ["Freshness"]

_STEPS, _PARAMETERS = 8, 16
_State = tuple[int, int] | None


class Freshness:
    """Follows identity and version of the gradients of a few parameters from one step to the next.

    ``counts`` tells of how many ``steps``: ``carried``, gradients that the step before had used already were
    added to; ``stale``, no backward pass came in between and the gradients are those of the step before;
    ``none``, there is no gradient at all, and of those ``cleared``, a backward pass had made some but they
    were cleared before the step; ``backward``, at least one backward pass came before.

    Arguments:
        optimizer: the first eight of its steps are followed.

    Example:
        >>> import torch
        >>> w = torch.ones(1, requires_grad=True)
        >>> sgd = torch.optim.SGD([w], lr=0.1)
        >>> fresh = Freshness(sgd)
        >>> for _ in range(3):
        ...     fresh.before_backward()
        ...     w.sum().backward()
        ...     fresh.after_backward()
        ...     fresh.before_step()
        ...     sgd.step()
        ...     _ = fresh.after_step()
        >>> fresh.counts["steps"], fresh.counts["carried"]
        (3, 2)
    """

    def __init__(self, optimizer: Any) -> None:
        self.counts = dict.fromkeys(("steps", "carried", "stale", "none", "cleared", "backward"), 0)
        self._optimizer = weakref.ref(optimizer)
        self._refs: list[weakref.ref[Tensor]] = []
        self._size = 0
        self._last: list[_State] = []  # as of the latest event
        self._used: list[_State] = []  # as of the latest step
        self._kept: list[bool] = []  # not touched since that step but by backward passes
        self._added: list[bool] = []  # and a backward pass has added to it
        self._backward = self._cleared = self._zeroed = False
        self._within = False  # a backward pass is under way

    def before_backward(self) -> None:
        """A backward pass begins: what has changed since the last event was changed by the program."""
        now = self._now()
        self._kept = [kept and a == b for kept, a, b in zip(self._kept, self._last, now, strict=True)]
        self._added = [added and kept for added, kept in zip(self._added, self._kept, strict=True)]
        self._last, self._within = now, True

    def after_backward(self) -> None:
        """It has ended: what has changed was added to."""
        now = self._now()
        self._added = [
            added or (kept and used is not None and before != after)
            for added, kept, used, before, after in zip(
                self._added, self._kept, self._used, self._last, now, strict=True
            )
        ]
        self._last, self._backward, self._zeroed, self._within = now, True, False, False

    def zeroed(self) -> None:
        """Gradients, not necessarily those of this optimizer, are about to be cleared."""
        self._zeroed = True

    def asked(self) -> None:
        """The program has computed gradients by other means: it may set them itself."""
        self._backward = True

    def before_step(self) -> None:
        """The optimizer begins to step."""
        now = self._now()
        self._cleared = any(self._last) and (not any(now) or (self._zeroed and now != self._last))
        if self._cleared and any(now):
            self._cleared = self._are_zero()
        self._last = now

    def after_step(self) -> bool:
        """It has stepped; return whether there is more to follow."""
        now, counts = self._now(), self.counts
        counts["steps"] += 1
        counts["backward"] += self._backward
        if self._cleared or (not any(now) and not self._has_gradient()):
            counts["none"] += 1
            counts["cleared"] += self._cleared
        elif any(added and state is not None for added, state in zip(self._added, now, strict=True)):
            counts["carried"] += 1
        elif now == self._used and not self._backward:
            counts["stale"] += 1
        self._last, self._used = now, now
        # a step within a backward pass, by a hook: what follows in that pass is none of ours
        self._kept, self._added = [not self._within] * len(now), [False] * len(now)
        self._backward = self._cleared = self._zeroed = False
        return counts["steps"] < _STEPS

    def _has_gradient(self) -> bool:
        optimizer = self._optimizer()
        groups = () if optimizer is None else optimizer.param_groups
        return any(getattr(p, "grad", None) is not None for group in groups for p in group["params"])

    def _are_zero(self) -> bool:
        """Whether the gradients that are followed are nothing but zeros."""
        gradients = [p.grad for ref in self._refs if (p := ref()) is not None and p.grad is not None]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            return all(floating(gradient) and not bool(gradient.any()) for gradient in gradients)

    def _now(self) -> list[_State]:
        optimizer = self._optimizer()
        size = 0 if optimizer is None else sum(len(group["params"]) for group in optimizer.param_groups)
        if optimizer is not None and size != self._size:
            self._choose(optimizer, size)
        return [_state(ref()) for ref in self._refs]

    def _choose(self, optimizer: Any, size: int) -> None:
        """Follow some parameters, spread over all; begin anew where the optimizer was given others."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if isinstance(p, Tensor)]
        chosen = parameters[:: max(1, -(-len(parameters) // _PARAMETERS))]
        self._refs, self._size = [weakref.ref(p) for p in chosen], size
        self._last = self._used = [None] * len(chosen)
        self._kept = self._added = [False] * len(chosen)


def _state(parameter: Tensor | None) -> _State:
    gradient = None if parameter is None else parameter.grad
    return None if gradient is None else (id(gradient), version_of(gradient))
