"""Networks of other libraries by name: torchvision, timm and Hugging Face's transformers, where installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from preceptor.catalogue._entry import Entry
from preceptor.catalogue.transfer.heads import new_head
from preceptor.errors import ConfigError, ModelError, UnknownName, import_extra

__all__ = ["PROVIDERS", "Provider", "expected_moments", "provided"]

Moments: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]

_AUXILIARY = ("googlenet", "inception_v3")  # return several outputs in training, unless told otherwise
_SHAPES = "(N, C, H, W) → (N, outputs)"


@dataclass(frozen=True)
class _Provided(Entry):
    """An entry whose options are the other library's to check."""

    def options(self, **given: Any) -> dict[str, Any]:
        if not isinstance(given.get("pretrained", False), bool):
            raise ConfigError(
                f"{self.name}: pretrained is not usable",
                expected="true or false",
                received=f"pretrained={given['pretrained']!r}",
            )
        return {**self.defaults, **given}


def provided(name: str) -> Entry | None:
    """Return the entry of ``torchvision:NAME``, ``timm:NAME`` or ``hf:NAME``; None for any other name.

    The library is imported when the network is built. Weights are downloaded only for ``pretrained=True``.

    Example:
        >>> provided("torchvision:resnet18").defaults["pretrained"], provided("mlp")
        (False, None)
    """
    library, colon, network = name.partition(":")
    library = library.strip().lower()
    if not colon or library not in PROVIDERS or not network:
        return None
    provider = PROVIDERS[library]
    build, extra, source = provider.build, provider.extra, provider.title

    def factory(inputs: Sequence[int], outputs: int, **options: Any) -> nn.Module:
        shape = tuple(inputs or ())
        if len(shape) != 3:
            raise ModelError(
                f"{library}:{network} is for images",
                expected="examples (C, H, W)",
                received=f"examples of shape {shape}",
            )
        return build(network, shape, outputs, extra, **options)

    return _Provided(
        kind="architecture",
        name=f"{library}:{network}",
        summary=f"{network}, as {source} has it.",
        factory=factory,
        shapes=_SHAPES,
        defaults={"pretrained": False},
        source=f"by {source}; needs preceptor[{extra}]",
    )


def _torchvision(
    name: str, shape: Sequence[int], outputs: int, extra: str, *, pretrained: bool = False, **options: Any
) -> nn.Module:
    library = import_extra("torchvision.models", extra=extra, purpose=f"the network torchvision:{name}")
    if shape[0] != 3:
        raise ModelError(
            f"torchvision:{name} takes images of three channels",
            expected="examples (3, H, W)",
            received=f"examples of shape {tuple(shape)}",
            hint=f"timm:{name}, which takes any number of channels",
        )
    known = library.list_models()
    if name not in known:
        raise UnknownName("torchvision network", name, known)
    if pretrained:
        model: nn.Module = library.get_model(name, weights="DEFAULT", **options)
        new_head(model, outputs)
        return model
    if name in _AUXILIARY:
        options = {"aux_logits": False, "init_weights": True, **options}
    made: nn.Module = library.get_model(name, weights=None, num_classes=outputs, **options)
    return made


def _timm(
    name: str, shape: Sequence[int], outputs: int, extra: str, *, pretrained: bool = False, **options: Any
) -> nn.Module:
    library = import_extra("timm", extra=extra, purpose=f"the network timm:{name}")
    if not library.is_model(name.partition(".")[0]):
        raise UnknownName("timm network", name, library.list_models())
    model: nn.Module = library.create_model(
        name, pretrained=pretrained, num_classes=outputs, in_chans=shape[0], **options
    )
    return model


def _hugging_face(
    name: str, shape: Sequence[int], outputs: int, extra: str, *, pretrained: bool = False, **options: Any
) -> nn.Module:
    library = import_extra("transformers", extra=extra, purpose=f"the network hf:{name}")
    make = library.AutoModelForImageClassification
    if pretrained:
        model = make.from_pretrained(
            name, num_labels=outputs, ignore_mismatched_sizes=True, use_safetensors=True, **options
        )
    else:
        model = make.from_config(library.AutoConfig.from_pretrained(name, num_labels=outputs, **options))
    return _Logits(model)


class _Logits(nn.Module):
    """A network of transformers that gives its raw outputs alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


def _torchvision_moments(name: str, extra: str) -> Moments:
    library = import_extra("torchvision.models", extra=extra, purpose=f"the network torchvision:{name}")
    shown = library.get_model_weights(name).DEFAULT.transforms()
    return tuple(shown.mean), tuple(shown.std)


def _timm_moments(name: str, extra: str) -> Moments:
    library = import_extra("timm", extra=extra, purpose=f"the network timm:{name}")
    shown = library.get_pretrained_cfg(name)
    return tuple(shown.mean), tuple(shown.std)


def _hugging_face_moments(name: str, extra: str) -> Moments:
    library = import_extra("transformers", extra=extra, purpose=f"the network hf:{name}")
    shown = library.AutoImageProcessor.from_pretrained(name)
    return tuple(shown.image_mean), tuple(shown.image_std)


@dataclass(frozen=True)
class Provider:
    """Another library.

    Attributes:
        build: makes a network.
        moments: mean and deviation, by channel, of what its weights were trained on, of pixels from 0 to 1.
        extra: brings the library.
        title: what it is called.
    """

    build: Callable[..., nn.Module]
    moments: Callable[[str, str], Moments]
    extra: str
    title: str


PROVIDERS = {
    "torchvision": Provider(_torchvision, _torchvision_moments, "vision", "torchvision"),
    "timm": Provider(_timm, _timm_moments, "vision", "timm"),
    "hf": Provider(_hugging_face, _hugging_face_moments, "hf", "Hugging Face's transformers"),
}
"""The libraries by the prefix of a name."""


def expected_moments(name: str, options: Mapping[str, Any]) -> Moments | None:
    """Return mean and deviation of the pixels, from 0 to 1, that a network's weights were trained on.

    None where the weights are drawn at random, or the network is of no other library.
    """
    library, _, network = name.partition(":")
    provider = PROVIDERS.get(library)
    if provider is None or not options.get("pretrained"):
        return None
    return provider.moments(network, provider.extra)
