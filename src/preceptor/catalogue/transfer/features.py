"""Feature extraction: what a frozen part makes of the inputs, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.transfer.parts import head_of

__all__ = ["Cut", "cut_at", "feature_extraction", "inputs_of"]


@dataclass(frozen=True)
class Cut:
    """A model in two: ``tail(body(x))`` is what the model gives, to the last bit.

    Attributes:
        body: from inputs to features; nothing in it learns, varies, or depends on the mode.
        tail: from features to outputs.
        at: the name of the module that the tail begins with.
    """

    body: Callable[[Tensor], Tensor]
    tail: nn.Module
    at: str


def inputs_of(model: nn.Module, name: str, x: Any) -> Tensor | None:
    """Return what a module within a model is given for ``x``, as it is given last; None if it is not called.

    Example:
        >>> inputs_of(nn.Sequential(nn.ReLU(), nn.Linear(1, 1)), "1", torch.tensor([[-1.0]]))
        tensor([[0.]])
    """
    seen: list[Tensor] = []
    hook = dict(model.named_modules())[name].register_forward_pre_hook(
        lambda _, given: seen.append(given[0]) if given and isinstance(given[0], Tensor) else None
    )
    try:
        model(x)
    finally:
        hook.remove()
    return seen[-1] if seen else None


@torch.no_grad()
def cut_at(model: nn.Module, x: Tensor, learns: Callable[[nn.Parameter], bool]) -> Cut | None:
    """Cut a model, in the modes that it trains in, behind what is frozen; None where it cannot be cut.

    A chain is cut before its first module that learns, varies or knows its mode; any other model before its
    head, if the head alone learns and gives the outputs. The cut is tried with ``x``.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
        >>> cut_at(net, torch.zeros(3, 2), lambda p: p.shape[0] == 1 or p is net[3].bias).at
        '2'
    """
    found = _chain(model, x, learns) if _is_chain(model) else _headed(model, x, learns)
    if found is None:
        return None
    outputs = []
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    for cut in (False, True):
        before = torch.get_rng_state()
        outputs.append(found.tail(found.body(x)) if cut else model(x))
        torch.set_rng_state(before)
        model.load_state_dict(kept)
    whole, apart = outputs
    return found if isinstance(whole, Tensor) and torch.equal(whole, apart) else None


def _is_chain(model: nn.Module) -> bool:
    return isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward


def _chain(model: nn.Module, x: Tensor, learns: Callable[[nn.Parameter], bool]) -> Cut | None:
    names, frozen, output = list(model._modules), 0, x
    for name in names:
        module = model.get_submodule(name)
        if any(learns(p) for p in module.parameters()):
            break
        after = _steady(module, output)
        if after is None:
            break
        frozen, output = frozen + 1, after
    body = nn.Sequential(*(model.get_submodule(name) for name in names[:frozen]))
    if frozen == len(names) or not any(True for _ in body.parameters()):
        return None
    return Cut(body, nn.Sequential(*(model.get_submodule(name) for name in names[frozen:])), names[frozen])


def _headed(model: nn.Module, x: Tensor, learns: Callable[[nn.Parameter], bool]) -> Cut | None:
    own = [name for name, p in model.named_parameters() if learns(p)]
    above = {name.rpartition(".")[0] for name in own}
    if len(above) != 1 or not (head := above.pop()):
        return None

    def body(x: Tensor) -> Tensor:
        features = inputs_of(model, head, x)
        assert features is not None  # noqa: S101 - it was tried below
        return features

    if inputs_of(model, head, x) is None or _steady(body, x, model) is None:
        return None
    return Cut(body, model.get_submodule(head), head)


def _steady(part: Callable[[Tensor], Any], x: Tensor, whole: nn.Module | None = None) -> Tensor | None:
    """Return a part's output if it draws nothing at random and is the same in evaluation mode."""
    model = whole if whole is not None else part
    assert isinstance(model, nn.Module)  # noqa: S101 - one of the two is
    before = torch.get_rng_state()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [(module, module.training) for module in model.modules()]
    output = part(x)
    drawn = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    moved = any(not torch.equal(kept[name], value) for name, value in model.state_dict().items())
    if moved:
        model.load_state_dict(kept)
    model.eval()
    alike = isinstance(output, Tensor) and torch.equal(output, part(x))
    for module, mode in modes:
        module.training = mode
    return output if alike and not drawn and not moved else None


@registered(
    kind="transfer",
    name="feature-extraction",
    aliases=("precomputed-features", "bottleneck-features", "off-the-shelf-features"),
    formula="f = tail ∘ body, body frozen: h = body(x) once for each example, then the tail alone is trained "
    "on (h, y)",
    shapes="a model, inputs (N, …) → features (N, …): what the head is given",
    when="the body is frozen for good and nothing varies the inputs: an epoch costs as much as the head",
    pitfalls="with augmentation, dropout in the body, or batch normalisation that still moves, the features "
    "are others in each epoch and must not be kept",
    source="Sharif Razavian et al., CNN Features Off-the-shelf: an Astounding Baseline for Recognition, 2014",
    example="""
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> h = get('feature-extraction', net, torch.zeros(5, 4))
    >>> h.shape, torch.equal(net[2](h), net(torch.zeros(5, 4)))
    (torch.Size([5, 8]), True)
    """,
)
@torch.no_grad()
def feature_extraction(model: nn.Module, x: Tensor, head: str | None = None, batch_size: int = 256) -> Tensor:
    """Feature extraction: what a model's head is given, in evaluation mode and without gradients.

    Raises:
        ModelError: the head cannot be told.
    """
    name = head_of(model) if head is None else head
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        made = [inputs_of(model, name, part) for part in torch.split(x, batch_size)]
    finally:
        for module, mode in modes:
            module.training = mode
    return torch.cat([features for features in made if features is not None])
