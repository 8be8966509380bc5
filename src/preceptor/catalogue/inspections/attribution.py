"""Inspections of which parts of an input an output rests on, by gradients averaged or taken at a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.inspections.gradients import check_target
from preceptor.catalogue.inspections.layers import evaluating
from preceptor.errors import ModelError

__all__ = ["class_activation_map", "grad_cam", "integrated_gradients", "smoothgrad"]

_KIND = "inspection"
_SHAPES = "model, x (N, …) → (N, …) without channels for images"


def _slope(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return ∂z_k/∂x for each example's own k."""
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        z = model(point).flatten(1)
        (slope,) = torch.autograd.grad(z.gather(1, target[:, None]).sum(), point)
    return slope


def _targets(model: nn.Module, x: Tensor, target: int | None) -> Tensor:
    """Return the output that is asked about, for each example: the given one, or its highest."""
    z = model(x).flatten(1)
    chosen = z.argmax(1) if target is None else torch.full((len(z),), target, device=z.device)
    check_target(chosen, z)
    return chosen


def _tiles(name: str, values: Tensor) -> Picture:
    return Picture("tiles" if values.ndim == 3 else "image", {name: values})


@registered(
    kind=_KIND,
    name="smoothgrad",
    aliases=("smooth-grad", "smoothed-saliency"),
    formula="s = |(1/n) Σ_i ∂z_k/∂x (x + ε_i)|, ε ~ N(0, (noise · (max x − min x))²); over channels the "
    "largest",
    shapes=_SHAPES,
    when="a saliency map that is too noisy to read",
    pitfalls="noise too large shows another input's map: 0.1 to 0.2 of the range is usual",
    source="Smilkov et al., SmoothGrad: Removing Noise by Adding Noise, 2017",
    example="""
        >>> x = torch.ones(1, 1, 4, 4)
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> get('smoothgrad', net, x, n=4)['saliency'].shape
        torch.Size([1, 4, 4])
        """,
)
def smoothgrad(
    model: nn.Module, x: Tensor, target: int | None = None, n: int = 25, noise: float = 0.15, seed: int = 0
) -> Inspection:
    """SmoothGrad: the input gradient, averaged over noisy copies of the input."""
    check_count("smoothgrad", "n", n)
    check_number("smoothgrad", "noise", noise, 0.0)
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        chosen = _targets(model, x, target)
        sides = tuple(range(1, x.ndim))
        spread = noise * (x.amax(sides, keepdim=True) - x.amin(sides, keepdim=True))
        total = torch.zeros_like(x)
        for _ in range(n):
            drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
            total += _slope(model, x + spread * drawn, chosen)
    s = (total / n).abs()
    s = s.amax(1) if s.ndim == 4 else s
    return Inspection(
        "SmoothGrad", f"largest {float(s.max()):.3g}", {"saliency": s, "target": chosen}, (_tiles("s", s),)
    )


@registered(
    kind=_KIND,
    name="integrated-gradients",
    aliases=("path-integrated-gradients", "ig"),
    formula="a = (x − x₀) ∘ ∫₀¹ ∂z_k/∂x (x₀ + t (x − x₀)) dt by the midpoint rule with steps points; x₀ the "
    "baseline; complete: Σ a = z_k(x) − z_k(x₀)",
    shapes="model, x (N, …) → attributions (N, …); for images also summed over channels",
    when="attributions that add up: saturated outputs, where the gradient alone is small",
    pitfalls="what counts is the difference from the baseline: zero is the mean of standardised pixels; gap "
    "says how far the sum is off, more steps make it smaller",
    source="Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, 2017",
    example="""
        >>> net = torch.nn.Linear(3, 1, bias=False)
        >>> _ = torch.nn.init.ones_(net.weight)
        >>> get('integrated-gradients', net, torch.tensor([[1.0, 2.0, 3.0]]))['attributions']
        tensor([[1., 2., 3.]])
        """,
)
def integrated_gradients(
    model: nn.Module, x: Tensor, target: int | None = None, baseline: Tensor | float = 0.0, steps: int = 32
) -> Inspection:
    """Integrated gradients: what each input contributes to an output, from a baseline on."""
    check_count("integrated-gradients", "steps", steps)
    with evaluating(model):
        chosen = _targets(model, x, target)
        start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).expand_as(x)
        total = torch.zeros_like(x)
        for i in range(steps):
            total += _slope(model, start + (i + 0.5) / steps * (x - start), chosen)
        a = (x - start) * total / steps
        rise = (model(x) - model(start)).flatten(1).gather(1, chosen[:, None])[:, 0]
    gap = float((a.flatten(1).sum(1) - rise).abs().max())
    image = a.sum(1) if a.ndim == 4 else a
    return Inspection(
        "Integrated gradients",
        f"attributions add up to the output's rise within {gap:.2g}",
        {"attributions": a, "image": image, "gap": gap, "target": chosen},
        (_tiles("a", image),),
    )


@registered(
    kind=_KIND,
    name="grad-cam",
    aliases=("gradient-weighted-class-activation-mapping", "gradcam"),
    formula="L = max(0, Σ_f α_f A_f), α_f = mean over places of ∂z_k/∂A_f; A_f the maps of a layer, by "
    "default the last one whose maps are larger than 1×1",
    shapes="model, x (N, C, H, W) → map (N, h, w), and cam: the map brought to the size of x, bilinear",
    when="where a convolutional network sees a class; after global average pooling as class-activation-map",
    pitfalls="as coarse as the layer's maps; an earlier layer is finer, and knows less of the class",
    source="Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks, 2017",
    example="""
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2))
        >>> seen = get('grad-cam', net, torch.rand(2, 1, 8, 8))
        >>> seen['layer'], seen['map'].shape, seen['cam'].shape
        ('1', torch.Size([2, 6, 6]), torch.Size([2, 8, 8]))
        """,
)
def grad_cam(model: nn.Module, x: Tensor, target: int | None = None, layer: str | None = None) -> Inspection:
    """Grad-CAM: a layer's maps, weighted by what they mean to an output."""
    with evaluating(model):
        chosen = _targets(model, x, target)
        name = layer or last_maps(model, x)
        with torch.enable_grad(), _kept(model, name) as seen:
            z = model(x.detach().clone().requires_grad_()).flatten(1)
            maps = seen["output"]
            (slope,) = torch.autograd.grad(z.gather(1, chosen[:, None]).sum(), maps)
        weights = slope.mean((2, 3))
        found = functional.relu(torch.einsum("nf,nfhw->nhw", weights, maps.detach()))
    return _mapped("Grad-CAM", found, x, {"weights": weights, "layer": name, "target": chosen})


@registered(
    kind=_KIND,
    name="class-activation-map",
    aliases=("cam", "class-activation-mapping"),
    formula="M = Σ_f w_kf A_f; A_f the maps that are averaged before the last linear layer, w its weights: "
    "z_k = mean M + b_k",
    shapes="model, x (N, C, H, W) → map (N, h, w), and cam: the map brought to the size of x, bilinear",
    when="networks that end in global average pooling and one linear layer",
    pitfalls="other networks have no such map: grad-cam",
    source="Zhou et al., Learning Deep Features for Discriminative Localization, 2016",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1),
        ...     torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> get('class-activation-map', net, torch.rand(1, 1, 8, 8))['map'].shape
        torch.Size([1, 6, 6])
        """,
)
def class_activation_map(model: nn.Module, x: Tensor, target: int | None = None) -> Inspection:
    """Class activation map: the maps before the average, weighted as the classifier weights them."""
    linear = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    with evaluating(model):
        chosen = _targets(model, x, target)
        name = last_maps(model, x)
        if not linear:
            raise _no_average(name, "no linear layer")
        head, last = linear[-1]
        with _kept(model, name) as maps, _kept(model, head) as end:
            model(x)
        means, given = maps["output"].mean((2, 3)), end["input"]
        if means.shape != given.shape or not torch.allclose(means, given, rtol=1e-4, atol=1e-6):
            raise _no_average(name, f"{head} takes something else")
        found = torch.einsum("nf,nfhw->nhw", last.weight[chosen], maps["output"])
    return _mapped("Class activation map", found, x, {"layer": name, "target": chosen})


def _no_average(name: str, received: str) -> ModelError:
    return ModelError(
        "the model does not end in global average pooling",
        expected=f"the mean of each map of {name} as the input of the last linear layer",
        received=received,
        hint="grad-cam",
    )


def _mapped(title: str, found: Tensor, x: Tensor, data: dict[str, Any]) -> Inspection:
    size = (int(x.shape[2]), int(x.shape[3]))
    cam = functional.interpolate(found[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    where = "×".join(map(str, found.shape[1:]))
    return Inspection(
        title,
        f"maps of {where} at {data['layer']}, largest {float(found.max()):.3g}",
        {"map": found, "cam": cam, **data},
        (Picture("tiles", {"cam": cam}),),
    )


def last_maps(model: nn.Module, x: Tensor) -> str:
    """Return the name of the last layer whose output is maps (N, F, h, w) of more than one place.

    Raises:
        ModelError: there is none.
    """
    leaves = {n: m for n, m in model.named_modules() if n and not list(m.children())}
    found: list[str] = []

    def see(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: Any, output: Any) -> None:
            maps = isinstance(output, Tensor) and output.ndim == 4
            if maps and output.shape[2] * output.shape[3] > 1:
                found.append(name)

        return hook

    handles = [module.register_forward_hook(see(name)) for name, module in leaves.items()]
    try:
        model(x[:1])
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ModelError(
            "the model has no maps to weight",
            expected="a layer with outputs (N, F, H, W), as convolutions have",
            received=type(model).__name__,
            hint="saliency or integrated-gradients",
        )
    return found[-1]


@contextmanager
def _kept(model: nn.Module, name: str) -> Iterator[dict[str, Tensor]]:
    """Keep what enters and leaves a layer, apart from whatever changes it in place afterwards."""
    known = dict(model.named_modules())
    if name not in known:
        raise ModelError("the model has no such layer", expected=", ".join(known), received=repr(name))
    seen: dict[str, Tensor] = {}

    def hook(_: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or (output.ndim != 4 and output.ndim != 2):
            raise ModelError("the layer has no maps", expected="outputs (N, F, H, W)", received=name)
        seen.update(input=inputs[0], output=output)
        return output.clone()

    handle = known[name].register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
