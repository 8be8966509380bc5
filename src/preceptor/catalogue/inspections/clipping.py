"""What clipping does to the gradient on average: how often it acts, and how far it turns the mean."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["ClippingBias"]


@registered(
    kind="inspection",
    name="clipping-bias",
    aliases=("clip-bias", "clipping-bias-meter", "clipped-share"),
    formula="over steps with gradients g: share of ‖g‖ > max_norm; c = min(1, max_norm / ‖g‖) g; cosine of "
    "the "
    "angle between mean c and mean g, and ‖mean c‖ / ‖mean g‖",
    shapes="meter.record(parameters) after backward and before clipping → meter.result()",
    when="choosing max_norm: clipping makes steps safe at the price of a mean gradient that points elsewhere",
    pitfalls="the mean over steps in which the weights moved; compare few epochs, or a fixed model",
    source="Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013; "
    "Zhang, "
    "He, Sra and Jadbabaie, Why Gradient Clipping Accelerates Training, 2020",
    example="""
        >>> meter, w = get('clipping-bias', max_norm=1.0), torch.zeros(2, requires_grad=True)
        >>> for g in ([3.0, 0.0], [0.0, 0.5]):
        ...     w.grad = torch.tensor(g)
        ...     meter.record([w])
        >>> seen = meter.result()
        >>> seen['share'], round(seen['cosine'], 3)
        (0.5, 0.956)
        """,
)
class ClippingBias:
    """Clipping-bias meter: the share of clipped steps, and what clipping does to the mean gradient."""

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = check_number("clipping-bias", "max_norm", max_norm, 1e-30)
        self.norms: list[float] = []
        self._raw: list[Tensor] = []
        self._clipped: list[Tensor] = []

    @torch.no_grad()
    def record(self, parameters: Iterable[Tensor]) -> None:
        """Take the gradients of one step, as backward left them.

        Raises:
            ModelError: there are none.
        """
        gradients = [p.grad.detach() for p in parameters if p.grad is not None]
        if not gradients:
            raise ModelError("there are no gradients", expected="a backward pass before", received="no .grad")
        norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
        norm = float(torch.linalg.vector_norm(norms))
        factor = min(1.0, self.max_norm / norm) if norm > 0 else 1.0
        if not self.norms:
            self._raw = [torch.zeros_like(g) for g in gradients]
            self._clipped = [torch.zeros_like(g) for g in gradients]
        self.norms.append(norm)
        torch._foreach_add_(self._raw, gradients)
        torch._foreach_add_(self._clipped, gradients, alpha=factor)

    def result(self) -> Inspection:
        """Return how often clipping acted, and how the mean gradient turned and shrank.

        Raises:
            ModelError: nothing was recorded.
        """
        if not self.norms:
            raise ModelError("nothing was recorded", expected="a step at least", received="none")
        raw = torch.cat([g.flatten().double() for g in self._raw])
        clipped = torch.cat([g.flatten().double() for g in self._clipped])
        share = sum(n > self.max_norm for n in self.norms) / len(self.norms)
        cosine = float(torch.nn.functional.cosine_similarity(raw, clipped, dim=0))
        shrink = float(clipped.norm() / raw.norm().clamp_min(1e-300))
        return Inspection(
            "Clipping bias",
            f"{share:.0%} of {len(self.norms)} steps are clipped; the mean gradient keeps {shrink:.3g} of "
            f"its "
            f"length, cosine {cosine:.3g}",
            {"share": share, "cosine": cosine, "shrink": shrink, "norms": list(self.norms)},
            (Picture("lines", {"norm": self.norms}, x_label="step", log="y"),),
        )
