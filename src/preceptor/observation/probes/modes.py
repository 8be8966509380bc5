"""Modes: whether layers that act otherwise in training did, in training and in evaluation."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._tensors import tensors_in

__all__ = ["Modes"]

_STATE = "modes.generators"
_ROWS, _DRAWS, _LAYERS = 200, 4, 500


@dataclass
class _Layer:
    """A layer with two modes, and a parameter beside it that tells whether its surroundings are trained."""

    ref: weakref.ref[nn.Module]
    norm: bool
    rate: float
    beside: weakref.ref[Tensor] | None

    def trained(self) -> bool:
        """Whether the parameter beside it is."""
        parameter = None if self.beside is None else self.beside()
        return parameter is None or parameter.requires_grad


class Modes(Probe):
    """The modes of dropout and batch normalisation when an outermost module is called, where they changed.

    Table ``modes``: ``source`` (where the inputs come from), ``model`` and its ``class``, ``training`` (the
    mode of the outermost module), ``dropout_on``, ``dropout_off``, ``norm_on``, ``norm_off`` (how many such
    layers are in training mode or not; at training steps only those beside parameters that are trained),
    ``rate`` (the largest of those that are on), ``renews`` (whether running statistics are taken anew, as
    `torch.optim.swa_utils.update_bn` does), ``again`` (whether an evaluation has passed one tensor several
    times in a row), and for an evaluation in evaluation mode ``random``: whether the call drew random
    numbers; None where that was not looked at.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record, net = Record(), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()
        >>> look, probe = Look(0, "train", record), Modes()
        >>> probe.enters(look, net)
        >>> [record.tables["modes"][0][key] for key in ("training", "dropout_on", "dropout_off")]
        [False, 0, 1]
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[nn.Module], list[_Layer]]] = {}
        self._last: dict[str, tuple[Any, ...]] = {}
        self._draws: dict[str, int] = {}
        self._latest: dict[str, weakref.ref[Tensor]] = {}
        self._again: set[str] = set()
        self._rows = 0

    def inputs(self, look: Look, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See whether an evaluation passes the same tensor again."""
        tensor = next(tensors_in((args, kwargs)), None)
        if look.phase == "train" or tensor is None:
            return
        latest = self._latest.get(look.source.key)
        if latest is not None and latest() is tensor and look.shared.get(_STATE + ".passed"):
            self._again.add(look.source.key)
        self._latest[look.source.key] = weakref.ref(tensor)
        look.shared[_STATE + ".passed"] = True

    def enters(self, look: Look, module: nn.Module) -> None:
        """Note the modes, and in evaluation where the random generators stand."""
        if look.phase == "train":
            self._tell(look, module, None)
            return
        key = look.source.key
        look.shared[_STATE] = None
        if not module.training and self._draws.get(key, 0) < _DRAWS:
            self._draws[key] = self._draws.get(key, 0) + 1
            look.shared[_STATE] = _generators()

    def leaves(self, look: Look, module: nn.Module) -> None:
        """Note the modes, and whether the generators have moved."""
        before = look.shared.pop(_STATE, None)
        random = None
        if before is not None:
            random = any(not torch.equal(a, b) for a, b in zip(before, _generators(), strict=False))
        self._tell(look, module, random)

    def _tell(self, look: Look, module: nn.Module, random: bool | None) -> None:
        training, key = look.phase == "train", look.source.key
        on, off, rate, renews = [0, 0], [0, 0], 0.0, False
        for layer in self._layers(module):
            found = layer.ref()
            if found is None or (training and not layer.trained()):
                continue
            (on if found.training else off)[layer.norm] += 1
            if found.training:
                rate = max(rate, layer.rate)
                renews = renews or (layer.norm and found.momentum is None)
        again = key in self._again
        state = (id(module), module.training, *on, *off, rate, renews, again, random)
        known = self._last.get(key)
        if known == state or (random is None and known is not None and known[:-1] == state[:-1]):
            return
        self._last[key] = state
        if self._rows >= _ROWS:
            return
        self._rows += 1
        row = {"step": look.step, "phase": look.phase, "source": key, "model": look.path(module)}
        row |= {"class": type(module).__name__, "training": module.training}
        row |= {"dropout_on": on[0], "dropout_off": off[0], "norm_on": on[1], "norm_off": off[1]}
        row |= {"rate": rate, "renews": renews, "again": again, "random": random}
        look.record.table("modes", row)

    def _layers(self, root: nn.Module) -> list[_Layer]:
        known = self._known.get(id(root))
        if known is None or known[0]() is not root:
            known = self._known[id(root)] = weakref.ref(root), _found(root)
        return known[1]


def _found(root: nn.Module) -> list[_Layer]:
    """Return the layers with two modes within a module."""
    layers: list[_Layer] = []
    seen: set[int] = set()
    for parent in root.modules():
        for child in (parent, *parent.children()) if parent is root else parent.children():
            if id(child) in seen or len(layers) >= _LAYERS:
                continue
            seen.add(id(child))
            norm, rate = isinstance(child, nn.modules.batchnorm._BatchNorm), _rate(child)
            if rate > 0 or (norm and child.running_mean is not None):
                beside = next(child.parameters(), None)
                beside = next(parent.parameters(), None) if beside is None else beside
                layers.append(
                    _Layer(weakref.ref(child), norm, rate, None if beside is None else weakref.ref(beside))
                )
    return layers


def _rate(module: nn.Module) -> float:
    """Return the share that a layer drops in training mode; 0 for one that drops nothing."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return float(module.p)
    if isinstance(module, nn.RNNBase):
        return float(module.dropout) if module.num_layers > 1 else 0.0
    if isinstance(module, nn.MultiheadAttention):
        return float(module.dropout)
    return 0.0


def _generators() -> list[Tensor]:
    """Return the states of torch's own generators."""
    states = [torch.default_generator.get_state()]
    if torch.cuda.is_initialized():
        states += [generator.get_state() for generator in torch.cuda.default_generators]
    return states
