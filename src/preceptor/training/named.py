"""From the names of regularizers and augmentations to the blocks themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preceptor import catalogue
from preceptor.catalogue import Entry
from preceptor.catalogue.regularizers import Regularizer
from preceptor.errors import ConfigError, UnknownName
from preceptor.training.experiment import Experiment
from preceptor.training.listed import VALUE
from preceptor.training.own_code import guarded
from preceptor.training.settings import Block

__all__ = [
    "AUGMENTATIONS",
    "REGULARIZERS",
    "beside_the_loss",
    "entry_of",
    "make_all",
    "settings_of",
    "trait_of",
]

REGULARIZERS = ("regularizer", "averaging")
AUGMENTATIONS = ("augmentation",)


def make_all(
    blocks: Sequence[Block], own: Mapping[int, Any], kinds: Sequence[str]
) -> list[tuple[Any, Block]]:
    """Return what each block stands for, with the block in full: its name and all its options.

    Raises:
        UnknownName: no such regularizer or augmentation.
        ConfigError: an option that it has not, or lacks; a block of a user's own code that was not given.
    """
    made = []
    for at, block in enumerate(blocks):
        if at in own:
            made.append((own[at], block))
        elif ":" in block.name:
            raise ConfigError(
                f"{block.name} is your own code",
                expected=f"the {kinds[0]} itself, in the list of {kinds[0]}s",
                received="its name alone",
            )
        else:
            made.append(_make(block, kinds))
    return made


def _make(block: Block, kinds: Sequence[str]) -> tuple[Any, Block]:
    entry, options = entry_of(block.name, kinds), block.options
    order = [*entry.needs, *entry.defaults]
    if VALUE in options and VALUE not in order:
        if not order:
            value = repr(options[VALUE])
            raise ConfigError(f"{entry.name} takes no value", expected=entry.name, received=value)
        options = {order[0]: options.pop(VALUE), **options}
    missing = [need for need in entry.needs if need not in options]
    if missing:
        raise ConfigError(
            f"{entry.name} needs {missing[0]}",
            expected=f'{{"name": "{entry.name}", "{missing[0]}": …}}',
            received=", ".join(options) or "no options",
            hint=entry.shapes,
        )
    needed = {need: options.pop(need) for need in entry.needs}
    options = entry.options(**options)
    with guarded(f"{entry.name} cannot be made", kind=ConfigError):
        product = entry.build(*needed.values(), **options)
    return product, Block(name=entry.name, **needed, **options)


def entry_of(name: str, kinds: Sequence[str]) -> Entry:
    """Return the entry of that name; of all kinds but the first, only what acts in a step counts.

    Raises:
        UnknownName: there is none.
    """
    for kind in kinds:
        if found := [e for e in catalogue.find(name, kind) if "moment" in e.traits or kind == kinds[0]]:
            return found[0]
    known = [n for kind in kinds for e in catalogue.find(kind=kind) for n in (e.name, *e.aliases)]
    raise UnknownName(kinds[0], name, known)


def trait_of(block: Block, trait: str, default: Any) -> Any:
    """Return a trait of the entry that a block names; the default where it is a user's own."""
    if ":" in block.name:
        return default
    return entry_of(block.name, (*REGULARIZERS, *AUGMENTATIONS)).traits.get(trait, default)


def settings_of(experiment: Experiment, own: Mapping[int, Any]) -> dict[str, Any]:
    """Return the training settings, by dotted key, that stand for some of the regularizers."""
    found: dict[str, Any] = {}
    for at, block in enumerate(experiment.regularizers):
        part = own.get(at) if ":" in block.name else _make(block, REGULARIZERS)[0]
        if isinstance(part, Regularizer):
            found |= part.settings()
    return found


def beside_the_loss(experiment: Experiment) -> list[str]:
    """Return the names of what acts in a run beside loss and optimizer, other than by settings."""
    names = [b.name for b in experiment.regularizers if trait_of(b, "moment", "") != "settings"]
    names += [b.name for b in experiment.augmentations]
    population = experiment.training.batch_norm == "population"
    return [*names, *(["recomputed statistics"] if population else [])]
