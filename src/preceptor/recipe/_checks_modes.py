"""Checks of modes and batches: evaluation is the same each time and of each example alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from preceptor.data import generators
from preceptor.recipe import _trees as trees
from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject

__all__ = ["batch_independence", "evaluation_mode", "seeds", "training_mode"]

_KARPATHY = "Karpathy, A Recipe for Training Neural Networks, 2019"
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)
_FEW = 8  # examples that a look at one among others needs
_CLOSE = 1e-5  # relative; on a GPU kernels add in any order


def _same(a: Any, b: Any) -> bool:
    pairs = zip(trees.tensors(a), trees.tensors(b), strict=True)
    return all(torch.equal(p, q) or (p.is_cuda and torch.allclose(p, q, _CLOSE, _CLOSE)) for p, q in pairs)


def _pass(model: nn.Module, x: Any, seed: int) -> Any:
    with generators.seeded(seed), torch.no_grad():
        return model(x)


@check(
    "evaluation-mode",
    decides="whether evaluation gives the same outputs twice, and leaves model and modes as they were",
    remedy="functional.dropout(x, training=self.training); draws, running statistics and .train() in "
    "training mode only",
    source="Ioffe and Szegedy, Batch Normalization, 2015; Srivastava et al., Dropout, 2014",
    stops=True,
)
def evaluation_mode(subject: Subject) -> Found:
    """Evaluate twice, with other random numbers."""
    model = subject.copy().eval()
    x, _ = subject.some(max(2, subject.batch_size))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    first, second = (_pass(model, x, seed) for seed in (1, 2))
    if awake := [name or "the model" for name, module in model.named_modules() if module.training]:
        return failed(f"forward puts {awake[0]} into training mode", modules=awake)
    changed = [name for name, t in model.state_dict().items() if not torch.equal(t, before[name])]
    if changed:
        return failed(f"evaluation changes {', '.join(changed[:3])}", changed=changed)
    if not _same(first, second):
        by = max(
            float((a - b).abs().max())
            for a, b in zip(trees.floating(first), trees.floating(second), strict=True)
        )
        return failed(f"evaluated twice, outputs differ by up to {by:.2g}", difference=by)
    return passed("evaluation is deterministic")


@check(
    "training-mode",
    decides="whether dropout and batch normalisation act in training",
    remedy="model.train() must reach every layer: no train() of one's own, no list in place of nn.ModuleList",
    source="Srivastava et al., Dropout, 2014",
)
def training_mode(subject: Subject) -> Found:
    """Run twice in training mode, with other random numbers."""
    model = subject.copy()
    x, _ = subject.some(max(2, subject.batch_size))
    dropping = [(n, m) for n, m in model.named_modules() if isinstance(m, _RANDOM) and getattr(m, "p", 1) > 0]
    still = [n for n, m in dropping if not m.training and not _frozen(model, n.rpartition(".")[0])]
    drawing = [name for name, m in dropping if m.training]
    tracked = {n: b.clone() for n, b in model.named_buffers() if n.endswith("num_batches_tracked")}
    first, second = (_pass(model, x, seed) for seed in (1, 2))
    if still or (drawing and _same(first, second)):
        layers = still or drawing
        return failed(f"{layers[0] or 'dropout'} does nothing in training", layers=layers)
    asleep = [
        name
        for name, b in ((n.rpartition(".")[0], b) for n, b in model.named_buffers() if n in tracked)
        if torch.equal(b, tracked[f"{name}.num_batches_tracked".lstrip(".")]) and not _frozen(model, name)
    ]
    if asleep:
        return failed(f"{asleep[0]} learns no statistics in training", layers=asleep)
    if not drawing and not tracked:
        return passed("no layer differs in training")
    return passed(
        "dropout and normalisation act in training only", dropout=len(drawing), normalised=len(tracked)
    )


def _frozen(model: nn.Module, name: str) -> bool:
    """Whether a layer was put to rest with its parameters."""
    learned = list(model.get_submodule(name).parameters())
    return bool(learned) and not any(p.requires_grad for p in learned)


@check(
    "batch-independence",
    decides="whether the outputs of one example depend on that example alone, in evaluation mode",
    remedy="keep the first axis: nn.Flatten(), not view; softmax over the classes' axis; normalise by "
    "running statistics",
    source=_KARPATHY,
    stops=True,
)
def batch_independence(subject: Subject) -> Found:
    """Take the gradient of one example's outputs by all inputs, and exchange the other examples."""
    x, _ = subject.some(_FEW)
    count = trees.size(x)
    model = subject.copy().eval()
    given = trees.mapped(lambda t: t.detach().clone().requires_grad_(t.is_floating_point()), x)
    with torch.enable_grad():
        outputs = model(given)
    found = trees.floating(outputs)
    if count < 2 or not found or any(not t.ndim or len(t) != count for t in found):
        return skipped("outputs do not lie along the examples")
    one = count // 2
    others = [i for i in range(count) if i != one]
    exchanged = trees.mapped(lambda t: _exchanged(t, one), x)
    with torch.no_grad():
        again = model(exchanged)
    for a, b in zip(found, trees.floating(again), strict=True):
        if not torch.allclose(a[one], b[one], _CLOSE, _CLOSE * float(a.detach().abs().max()), equal_nan=True):
            return failed("the outputs of an example change with the others in its batch")
    reached = _reached(found, trees.floating(given), one)
    if any(bool(g[others].any()) for g in reached):
        return failed("gradients lead from the outputs of an example to others in its batch")
    return passed("examples do not mix in a batch")


def _exchanged(t: Tensor, one: int) -> Tensor:
    """Return a batch in which every other example is one of another place."""
    if not t.ndim or len(t) < 2:
        return t
    other = t.roll(1, 0)
    other[one] = t[one]
    return other


def _reached(outputs: list[Tensor], inputs: list[Tensor], one: int) -> list[Tensor]:
    linked = [t for t in outputs if t.requires_grad]
    if not linked or not inputs:
        return []
    total = sum((t[one] * torch.randn_like(t[one])).sum() for t in linked)
    found = torch.autograd.grad(total, inputs, allow_unused=True)  # type: ignore[arg-type]  # a list of tensors
    return [g for g in found if g is not None]


@check(
    "seeds",
    decides="whether the same seed gives the same first loss and gradient",
    remedy="draw from torch's, NumPy's or Python's global generators, or seed your own",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 11.5",
)
def seeds(subject: Subject) -> Found:
    """Begin twice from the same seed."""
    x, y = subject.some(max(2, subject.batch_size))
    begun = [_begun(subject, x, y) for _ in range(2)]
    if not all(torch.equal(a, b) or a.is_cuda for a, b in zip(*begun, strict=True)):
        losses = [float(one[0]) for one in begun]
        return failed(
            f"from one seed the first losses are {losses[0]:.6g} and {losses[1]:.6g}", losses=losses
        )
    return passed("same seed, same first loss", loss=float(begun[0][0]))


def _begun(subject: Subject, x: Any, y: Any) -> list[Tensor]:
    """Return the first loss and its gradient."""
    with generators.seeded(subject.seed):
        model = subject.rebuild().train() if subject.rebuild is not None else subject.copy()
        loss = subject.loss(model(x), y)
        learned = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, learned, allow_unused=True) if loss.requires_grad else ()
    return [loss.detach(), *(g for g in found if g is not None)]
