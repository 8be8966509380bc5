"""Batch normalisation, with its statistics at test time to choose."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["BatchNorm"]


@registered(
    kind="normalization",
    name="batch-norm",
    aliases=("batch-normalization", "batchnorm", "bn", "bn-fc", "bn-conv", "bn-infer"),
    formula="y = γ (x − μ) / √(σ² + eps) + β, one μ, σ², γ and β for each feature (N, D) or channel (N, C, "
    "…). "
    "In training μ and σ² (divided by n) are the batch's, over all its examples and positions; at test they "
    "are statistics='moving-average': m ← (1 − momentum) m + momentum · batch's, the variance divided by "
    "n − 1; 'population': collected over the training examples, with the weights as they are; or 'batch'",
    shapes="(N, features) or (N, features, …) → the same shape",
    when="convolutional and fully connected networks with batches of some 16 examples or more: larger "
    "learning "
    "rates, less care with the start",
    pitfalls="one example's output depends on its batch in training; small batches make poor statistics; "
    "only "
    "mean and variance are fixed, the distribution need not be Gaussian; a bias before it does nothing",
    source="Ioffe and Szegedy, Batch Normalization, 2015",
    differs="momentum weighs the new batch, as in torch; texts and Keras often weigh the old average (0.9 or "
    "0.99 there is 0.1 or 0.01 here); without eps a constant feature divides by zero",
    example=">>> y = get('batch-norm', 3)(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 7.0]]))\n"
    ">>> y.detach().round(decimals=3)\n"
    "tensor([[-1.,  0., -1.],\n        [ 1.,  0.,  1.]])",
    traits={"arguments": (4,), "takes": (6, 4, 5), "gives": (6, 4, 5), "axes": (0, 2)},
)
class BatchNorm(_BatchNorm):
    """Batch normalisation: each feature with mean 0 and variance 1 over a batch, then scaled and shifted."""

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        statistics: str = "moving-average",
    ) -> None:
        owner = "batch-norm"
        self.statistics = check_choice(
            owner, "statistics", statistics, ("moving-average", "population", "batch")
        )
        super().__init__(
            check_count(owner, "features", features),
            eps=check_number(owner, "eps", eps, 1e-30),
            momentum=check_number(owner, "momentum", momentum, 0.0, 1.0),
            affine=affine,
            track_running_stats=statistics != "batch",
        )

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        if input.ndim < 2:
            raise ModelError(
                "batch-norm needs a batch",
                expected="(N, features) or (N, features, …)",
                received=f"{tuple(input.shape)}",
            )


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return a model's batch normalisations that keep statistics, by name.

    Example:
        >>> list(batch_norms(nn.Sequential(nn.Linear(2, 3), BatchNorm(3))))
        ['1']
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
