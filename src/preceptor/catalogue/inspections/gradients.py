"""Inspections of gradients: their size by layer and by lag, their noise, and what an output depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.derivatives.first import limited
from preceptor.catalogue.inspections.layers import evaluating
from preceptor.errors import DataError, ModelError

__all__ = ["gradient_by_lag", "gradient_noise", "gradient_norms", "occlusion", "saliency"]

_KIND = "inspection"
_BENGIO = (
    "Bengio, Simard and Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, 1994"
)


@registered(
    kind=_KIND,
    name="gradient-norms",
    aliases=("gradient-norm-by-layer", "gradient-flow"),
    formula="‖∂L/∂θ_l‖₂ of every parameter, the total √(Σ_l ‖·‖²), and each relative to its weights' norm",
    shapes="model after a backward pass → by parameter",
    when="a deep network that learns slowly: norms that fall or rise by a factor a layer vanish or explode",
    pitfalls="reads .grad: after backward, before zero_grad; parameters without a gradient are named",
    source=_BENGIO,
    differs="torch.nn.utils.get_total_norm gives the total alone",
    example="""
        >>> net = torch.nn.Linear(1, 1, bias=False)
        >>> net(torch.tensor([[3.0]])).sum().backward()
        >>> get('gradient-norms', net)['total']
        3.0
        """,
)
def gradient_norms(model: nn.Module) -> Inspection:
    """Gradient norms by layer, as the last backward pass left them."""
    held = {n: p for n, p in model.named_parameters() if p.requires_grad}
    norms = {n: float(torch.linalg.vector_norm(p.grad)) for n, p in held.items() if p.grad is not None}
    if not norms:
        raise ModelError("there are no gradients", expected="a backward pass before", received="no .grad")
    total = sum(v * v for v in norms.values()) ** 0.5
    sizes = {n: float(torch.linalg.vector_norm(held[n].detach())) for n in norms}
    relative = {n: v / sizes[n] if sizes[n] > 0 else float("inf") for n, v in norms.items()}
    return Inspection(
        "Gradient norms",
        f"total {total:.3g} over {len(norms)} parameters, from {min(norms.values()):.2g} to "
        f"{max(norms.values()):.2g}",
        {
            "norms": norms,
            "total": total,
            "relative": relative,
            "without": [n for n in held if n not in norms],
        },
        (Picture("bars", {"norm": [max(v, 1e-30) for v in norms.values()]}, list(norms), log="y"),),
    )


@registered(
    kind=_KIND,
    name="gradient-by-lag",
    aliases=("gradient-by-time", "temporal-gradient", "gradient-norm-by-time-lag"),
    formula="‖∂ Σ y_T / ∂x_{T−k}‖ by lag k: falls as λᵏ where the recurrence has gain λ < 1, rises where λ "
    "> 1",
    shapes="f: (N, T, D) → (N, T, H) or a pair that begins so; x (N, T, D) → norms (T,), lag 0 first",
    when="how far back a recurrent network can learn from",
    pitfalls="of the last output alone, and at the current weights",
    source=_BENGIO,
    example="""
        >>> rnn = torch.nn.RNN(2, 3, batch_first=True)
        >>> get('gradient-by-lag', rnn, torch.randn(1, 5, 2))['norms'].shape
        torch.Size([5])
        """,
)
def gradient_by_lag(f: Callable[[Tensor], Any], x: Tensor) -> Inspection:
    """Gradient of the last output with respect to earlier inputs, by lag."""
    if x.ndim != 3:
        raise DataError("sequences are needed", expected="x (N, T, D)", received=f"x {tuple(x.shape)}")
    point = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out = f(point)
        y = out[0] if isinstance(out, tuple) else out
        (slope,) = torch.autograd.grad(y[:, -1].sum(), point)
    norms = slope.square().sum((0, 2)).sqrt().flip(0)
    positive = norms[norms > 0]
    factor = float((positive[-1] / positive[0]) ** (1 / max(1, len(positive) - 1))) if len(positive) else 0.0
    return Inspection(
        "Gradient by lag",
        f"× {factor:.3g} a step back: {float(norms[0]):.2g} now, {float(norms[-1]):.2g} at the first input",
        {"norms": norms, "factor": factor},
        (Picture("lines", {"‖∂y_T/∂x‖": norms.clamp_min(1e-30)}, x_label="lag", y_label="norm", log="y"),),
    )


@registered(
    kind=_KIND,
    name="gradient-noise",
    aliases=("gradient-variance", "gradient-variance-vs-batch-size", "gradient-noise-scale"),
    formula="E‖g_m − g‖² over batches of m examples drawn with replacement, = tr Σ / m, Σ the covariance of "
    "the examples' gradients; noise scale B = tr Σ / ‖g‖²",
    shapes="model, loss: (outputs, targets) → (), x (N, …), y (N, …) → variance by batch size, slope of the "
    "logarithms",
    when="choosing a batch size: beyond B more examples hardly make the gradient better",
    pitfalls="needs every example's own gradient, N · P numbers; not for batch normalisation, which mixes "
    "examples",
    source="Robbins and Monro, 1951; McCandlish et al., An Empirical Model of Large-Batch Training, 2018",
    example="""
        >>> net, x = torch.nn.Linear(3, 1), torch.randn(64, 3)
        >>> seen = get('gradient-noise', net, torch.nn.functional.mse_loss, x, torch.randn(64, 1))
        >>> -1.3 < seen['slope'] < -0.7
        True
        """,
)
def gradient_noise(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    repeats: int = 200,
    seed: int = 0,
) -> Inspection:
    """Gradient noise: how its variance falls with the batch size."""
    check_count("gradient-noise", "repeats", repeats, 2)
    check_count("gradient-noise", "seed", seed, 0)
    if len(sizes) < 2 or any(not isinstance(m, int) or m < 1 for m in sizes):
        raise DataError(
            "no batch sizes to compare", expected="two or more of at least 1", received=f"{sizes!r}"
        )
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    limited(
        "the table of gradients",
        len(x) * sum(p.numel() for p in parameters.values()),
        100_000_000,
        "fewer examples",
    )

    def one(given: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, given, (a[None],)), b[None])

    each = torch.func.vmap(torch.func.grad(one), (None, 0, 0))(parameters, x, y)
    G = torch.cat([g.detach().flatten(1) for g in each.values()], 1).double()
    mean = G.mean(0)
    generator = torch.Generator().manual_seed(seed)
    variances = []
    for m in sizes:
        draws = torch.randint(len(G), (repeats, m), generator=generator)
        variances.append(float(torch.stack([(G[d].mean(0) - mean).square().sum() for d in draws]).mean()))
    logs = torch.tensor([list(map(float, sizes)), variances], dtype=torch.float64).clamp_min(1e-300).log()
    centred = logs - logs.mean(1, keepdim=True)
    slope = float((centred[0] * centred[1]).sum() / centred[0].square().sum())
    trace = float((G - mean).square().sum(1).mean())
    scale = trace / max(float(mean.square().sum()), 1e-300)
    return Inspection(
        "Gradient noise",
        f"variance ∝ m^{slope:.2f}; noise scale {scale:.3g} examples",
        {"sizes": list(sizes), "variances": variances, "slope": slope, "noise_scale": scale, "trace": trace},
        (Picture("lines", {"variance": variances}, list(sizes), x_label="batch size", log="xy"),),
    )


@registered(
    kind=_KIND,
    name="saliency",
    aliases=("saliency-map", "input-gradient"),
    formula="s = |∂z_k/∂x|, over channels the largest; k the given class or the highest output",
    shapes="model, x (N, …) → (N, …) without channels for images",
    when="which pixels or features would change an output most",
    pitfalls="local and noisy; where the output saturates it is small although the feature matters: compare "
    "occlusion",
    source="Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks, 2014",
    example=">>> get('saliency', torch.nn.Linear(3, 2), torch.ones(1, 3))['saliency'].shape\ntorch.Size([1, "
    "3])",
)
def saliency(model: nn.Module, x: Tensor, target: int | None = None) -> Inspection:
    """Saliency: the gradient of an output with respect to the inputs."""
    with evaluating(model), torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        z = model(point).flatten(1)
        chosen = z.argmax(1) if target is None else torch.full((len(z),), target)
        check_target(chosen, z)
        (slope,) = torch.autograd.grad(z.gather(1, chosen[:, None]).sum(), point)
    s = slope.abs().amax(1) if slope.ndim == 4 else slope.abs()
    picture = Picture("tiles" if s.ndim == 3 else "image", {"|∂z/∂x|": s if s.ndim == 3 else s.flatten(1)})
    return Inspection(
        "Saliency", f"largest {float(s.max()):.3g}", {"saliency": s, "target": chosen}, (picture,)
    )


def check_target(chosen: Tensor, z: Tensor) -> None:
    if int(chosen.max()) >= z.shape[1] or int(chosen.min()) < 0:
        raise ModelError(
            "no such output", expected=f"a target from 0 to {z.shape[1] - 1}", received=str(int(chosen.max()))
        )


@registered(
    kind=_KIND,
    name="occlusion",
    aliases=("occlusion-map", "occlusion-sensitivity"),
    formula="z_k(x) − z_k(x with a window of size × size set to fill), for every place of the window",
    shapes="model, x (1, C, H, W) → a map of the drop, one value a place",
    when="which parts of an image an output needs, without gradients",
    pitfalls="the filled window is itself an unusual input; one pass a place",
    source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014",
    example="""
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> get('occlusion', net, torch.ones(1, 1, 8, 8), size=4, stride=4)['drop'].shape
        torch.Size([2, 2])
        """,
)
def occlusion(
    model: nn.Module, x: Tensor, target: int | None = None, size: int = 4, stride: int = 2, fill: float = 0.0
) -> Inspection:
    """Occlusion: how an output falls when a part of the image is covered."""
    check_count("occlusion", "size", size)
    check_count("occlusion", "stride", stride)
    if x.ndim != 4 or size > min(x.shape[2:]):
        raise DataError(
            "one image is needed",
            expected=f"x (1, C, H, W), H and W ≥ {size}",
            received=f"x {tuple(x.shape)}",
        )
    tops = range(0, x.shape[2] - size + 1, stride)
    lefts = range(0, x.shape[3] - size + 1, stride)
    covered = []
    for top in tops:
        for left in lefts:
            copy = x[0].clone()
            copy[:, top : top + size, left : left + size] = fill
            covered.append(copy)
    with evaluating(model):
        z = model(x[:1]).flatten(1)
        chosen = z.argmax(1) if target is None else torch.tensor([target])
        check_target(chosen, z)
        outputs = torch.cat([model(part).flatten(1) for part in torch.split(torch.stack(covered), 256)])
    drop = (z[0, chosen] - outputs[:, chosen[0]]).reshape(len(tops), len(lefts))
    return Inspection(
        "Occlusion",
        f"output {int(chosen)} falls by up to {float(drop.max()):.3g}",
        {"drop": drop, "target": int(chosen)},
        (Picture("image", {"drop": drop}, title="drop of the output by place"),),
    )
