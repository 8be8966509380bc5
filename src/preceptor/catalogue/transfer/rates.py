"""Rates by layer: the nearer to the inputs, the smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.transfer.parts import head_of, layers_of, selected, tensors_of

__all__ = ["layer_rates", "rate_factors"]


def rate_factors(
    model: nn.Module,
    decay: float = 1.0,
    factors: Mapping[str, float] | Sequence[tuple[str, float]] = (),
    *,
    head: str | None = None,
    order: Sequence[str] = (),
) -> dict[str, float]:
    """Return, by the name of each parameter, the factor of its learning rate.

    A layer that is d layers below the head has decay^d; of the words in ``factors`` that name it, the last
    one's factor multiplies that.

    Raises:
        ConfigError: a factor or decay that is no number of at least 0; a decay above 1.
        UnknownName: words that name no layer.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
        >>> rate_factors(net, 0.5, {"head": 2.0})
        {'0.weight': 0.5, '1.weight': 2.0}
    """
    check_number("layer-wise-rates", "decay", decay, 0.0, 1.0)
    found = dict.fromkeys((name for name, _ in model.named_parameters()), 1.0)
    modules, layers = dict(model.named_modules()), layers_of(model, order)
    if decay != 1.0:
        top = head_of(model, order=order) if head is None else head
        last = next((i for i, layer in enumerate(layers) if top in layer), len(layers) - 1)
        for i, layer in enumerate(layers):
            for name in layer:
                for own in tensors_of(modules[name]):
                    full = f"{name}.{own}" if name else own
                    if full in found:
                        found[full] = decay ** max(0, last - i)
    by_hand: dict[str, float] = {}
    for words, factor in factors.items() if isinstance(factors, Mapping) else factors:
        check_number("layer-wise-rates", words, factor, 0.0)
        by_hand |= dict.fromkeys(selected(model, words, head=head, order=order), float(factor))
    return {name: factor * by_hand.get(name, 1.0) for name, factor in found.items()}


@registered(
    kind="transfer",
    name="layer-wise-rates",
    aliases=(
        "discriminative-learning-rates",
        "discriminative-fine-tuning",
        "layer-lr-decay",
        "fine-tuning",
        "tl-tune",
    ),
    formula="lr_l = lr · decay^(L − l) · factor_l for layer l of L, l = L the head",
    shapes="a model → parameter groups for any optimizer, the largest rate first",
    when="a whole pretrained network is trained on: its first layers know the most general features, and "
    "should change the least",
    pitfalls="of 50 layers with decay=0.5 the first stand still: 0.9 for deep networks, 0.4 to 0.8 for a few "
    "layers; a schedule must multiply each group's own rate",
    source="Howard and Ruder, Universal Language Model Fine-tuning for Text Classification, 2018",
    differs="there each layer has 1/2.6 of the rate above it: decay=0.385",
    example="""
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    >>> [(group['lr'], len(group['params'])) for group in get('layer-wise-rates', net, lr=0.1, decay=0.5)]
    [(0.1, 2), (0.05, 2)]
    """,
)
def layer_rates(
    model: nn.Module,
    lr: float = 1e-3,
    decay: float = 0.8,
    factors: Mapping[str, float] | None = None,
    head: str | None = None,
) -> list[dict[str, object]]:
    """Layer-wise learning rates: fine-tuning with a smaller rate the further a layer is from the head.

    Raises:
        ConfigError: a factor that is no number of at least 0; a decay above 1.
        UnknownName: words that name no layer.
    """
    by_factor: dict[float, list[nn.Parameter]] = {}
    parameters = dict(model.named_parameters())
    for name, factor in rate_factors(model, decay, factors or {}, head=head).items():
        by_factor.setdefault(factor, []).append(parameters[name])
    return [{"params": by_factor[factor], "lr": lr * factor} for factor in sorted(by_factor, reverse=True)]
