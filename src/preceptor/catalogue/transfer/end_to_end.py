"""A chain of modules, trained as one or each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["chain_loss"]


@registered(
    kind="transfer",
    name="end-to-end",
    aliases=("end2end", "end-to-end-training", "pipeline-training", "divide-and-train"),
    formula="end to end: L(f_K(… f_1(x)), t_K), one gradient through all modules; apart: Σ_k L(f_k(t_{k−1}), "
    "t_k) with t_0 = x, each module by its own targets",
    shapes="modules f_1 … f_K, inputs x, targets t_1 … t_K (end to end needs the last alone) → a loss",
    when="end to end where there are examples enough of the whole way; apart where what lies between is "
    "known and the parts have more data than the whole",
    pitfalls="modules trained apart meet true targets of the module before in training and its errors in "
    "use, which add up; end to end, what lies between need mean nothing to a person",
    source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, "
    "1998; Glasmachers, Limits of End-to-End Learning, 2017",
    example="""
    >>> parts = [torch.nn.Linear(4, 2), torch.nn.Linear(2, 1)]
    >>> x, between, y = torch.zeros(3, 4), torch.zeros(3, 2), torch.ones(3, 1)
    >>> loss = torch.nn.functional.mse_loss
    >>> get('end-to-end', parts, x, [y], loss).backward()
    >>> parts[0].bias.grad is not None
    True
    >>> parts[0].bias.grad = None
    >>> get('end-to-end', parts, x, [between, y], loss, how='apart').backward()
    >>> bool(torch.equal(parts[0].bias.grad, parts[0].bias.detach()))
    True
    """,
)
def chain_loss(
    modules: Sequence[nn.Module],
    x: Tensor,
    targets: Sequence[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    how: str = "end-to-end",
) -> Tensor:
    """End-to-end training: one loss through all modules, or the same modules trained each by itself.

    Raises:
        ConfigError: another way than ``"end-to-end"`` or ``"apart"``, or targets that are too few.
    """
    apart = check_choice("end-to-end", "how", how, ("end-to-end", "apart")) == "apart"
    if not modules or len(targets) < (len(modules) if apart else 1):
        raise ConfigError(
            "targets are missing",
            expected="a target for each module" if apart else "modules, and a target of the last one",
            received=f"{len(modules)} modules, {len(targets)} targets",
        )
    if apart:
        given = [x, *targets]
        losses = [loss(f(given[k]), given[k + 1]) for k, f in enumerate(modules)]
        total = losses[0]
        for one in losses[1:]:
            total = total + one
        return total
    for module in modules:
        x = module(x)
    return loss(x, targets[-1])
