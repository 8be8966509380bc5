"""Frozen layers: weights that do not learn, statistics that do not adapt, and when they thaw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.transfer.parts import selected
from preceptor.errors import ConfigError

__all__ = ["Freezing", "frozen_layers"]


class Freezing:
    """Which weights of a model learn in which epoch; `at` makes it so.

    Arguments:
        model: changed by `at` alone.
        freeze: words that name what is frozen, as `selected` reads them.
        unfreeze: (epoch, words): from that epoch on, counted from 1, these learn.
        head: the name of the head; default: found.
        order: the modules in the order of a forward pass; default: as registered.
        never: names of tensors that are not frozen, whatever is said.

    Attributes:
        frozen: the names of the tensors that are frozen at first.
        spared: those that would be, had ``never`` not been.
        thaws: the epoch from which a tensor learns, by name.

    Raises:
        UnknownName: words that name nothing.
        ConfigError: an epoch that is no number of at least 1.
    """

    def __init__(
        self,
        model: nn.Module,
        freeze: Sequence[str] = (),
        unfreeze: Sequence[tuple[int, str]] = (),
        *,
        head: str | None = None,
        order: Sequence[str] = (),
        never: Collection[str] = (),
    ) -> None:
        frozen: set[str] = set()
        for words in freeze:
            frozen |= selected(model, words, head=head, order=order)
        self.frozen, self.spared = frozen - set(never), frozen & set(never)
        self.thaws: dict[str, int] = {}
        for epoch, words in unfreeze:
            if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 1:
                raise ConfigError(
                    "layers cannot be unfrozen then",
                    expected="an epoch, from 1",
                    received=f"{epoch!r}: {words!r}",
                )
            for name in selected(model, words, head=head, order=order):
                self.thaws[name] = min(epoch, self.thaws.get(name, epoch))
        named = list(model.named_parameters(remove_duplicate=False))
        managed = {id(p) for name, p in named if name in self.frozen or name in self.thaws}
        self._parameters: dict[int, tuple[nn.Parameter, bool, list[str]]] = {}
        for name, p in named:  # a weight that is tied learns where one of its layers does
            if id(p) in managed:
                self._parameters.setdefault(id(p), (p, p.requires_grad, []))[2].append(name)
        self._statistics = [
            (module, names)
            for path, module in model.named_modules()
            if (names := _statistics(path, module)) and set(names) <= self.frozen
        ]

    def learns(self, name: str, epoch: int | None = None) -> bool:
        """Say whether a tensor learns in that epoch; None: ever."""
        thaw = self.thaws.get(name)
        return name not in self.frozen or (thaw is not None and (epoch is None or epoch >= thaw))

    def ever(self, parameter: nn.Parameter) -> bool:
        """Say whether a parameter learns in any epoch."""
        if id(parameter) not in self._parameters:
            return parameter.requires_grad
        _, before, names = self._parameters[id(parameter)]
        return any(self.learns(n) and (before or n in self.thaws) for n in names)

    def at(self, epoch: int) -> None:
        """Freeze and thaw as is due in an epoch, after ``model.train()`` has put all into training mode.

        A frozen layer that keeps statistics goes into evaluation mode: neither its affine weights nor its
        running means move, and it normalises by what it knew.
        """
        for parameter, before, names in self._parameters.values():
            thawed = any(self.thaws.get(n, epoch + 1) <= epoch for n in names)
            learns = thawed or (before and any(self.learns(n, epoch) for n in names))
            parameter.requires_grad_(learns)
            if not learns:
                parameter.grad = None
        for module, names in self._statistics:
            if not any(self.learns(name, epoch) for name in names):
                module.training = False

    def release(self) -> None:
        """Let every parameter learn, or not, as it did before; the modes are the caller's."""
        for parameter, before, _ in self._parameters.values():
            parameter.requires_grad_(before)


def _statistics(path: str, module: nn.Module) -> list[str]:
    """Return all tensors of a module that keeps running statistics; none for any other."""
    own = [name for name, _ in module.named_buffers(recurse=False)]
    if not any(name.startswith("running_") for name in own):
        return []
    names = [*own, *(name for name, _ in module.named_parameters(recurse=False))]
    return [f"{path}.{name}" if path else name for name in names]


@registered(
    kind="transfer",
    name="frozen-layers",
    aliases=("freezing", "frozen-feature-extractor", "tl-freeze", "gradual-unfreezing"),
    formula="w ← w for frozen layers, and (x − μ)/σ with the μ and σ that they came with; the others "
    "w ← w − lr ∇L. unfreeze={e: layers}: from epoch e on these learn too",
    shapes="a model; layers: all, head, all-but-head, first-N, last-N, all-but-last-N, or names with "
    "wildcards → a Freezing, whose at(epoch) is called after model.train() in each epoch",
    when="few examples and a network that was trained on similar ones: train the head first, then thaw from "
    "the top, at a smaller rate",
    pitfalls="model.train() puts frozen batch normalisation back into training mode, where its statistics "
    "move although its weights do not; a layer whose weights were not loaded must not be frozen",
    source="Yosinski et al., How Transferable Are Features in Deep Neural Networks?, 2014; Howard and Ruder, "
    "Universal Language Model Fine-tuning for Text Classification, 2018",
    differs="Keras' trainable=False does the same; torch's requires_grad=False leaves the statistics moving",
    example="""
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    >>> frozen = get('frozen-layers', net, unfreeze={4: 'all'})
    >>> [p.requires_grad for p in net.parameters()], net[1].training
    ([False, False, False, False, True, True], False)
    >>> frozen.at(4) or all(p.requires_grad for p in net.parameters())
    True
    """,
)
def frozen_layers(
    model: nn.Module,
    layers: str | Sequence[str] = "all-but-head",
    unfreeze: Mapping[int, str] | None = None,
    head: str | None = None,
) -> Freezing:
    """Frozen layers: a trained part is kept as it is, weights, affine scales and statistics.

    Raises:
        UnknownName: words that name nothing.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> sorted(frozen_layers(net, "first-1").frozen)
        ['0.bias', '0.weight']
    """
    freezing = Freezing(
        model,
        [layers] if isinstance(layers, str) else layers,
        sorted((unfreeze or {}).items()),
        head=head,
    )
    freezing.at(1)
    return freezing
