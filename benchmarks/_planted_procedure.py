"""Plants of the families 'procedure' and 'precision and resources': what a loop does, in which order."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from _planted_hosts import (
    AUTOENCODER,
    AUTOENCODER_HALF,
    AUTOENCODER_MEMORY,
    CNN,
    CNN_HALF,
    CNN_SGD,
    CNN_VALUES,
    MLP,
    MLP_HALF,
    MLP_MEMORY,
    MLP_SGD,
    REGRESSION,
    RNN,
    RNN_MEMORY,
    TRANSFORMER,
    TRANSFORMER_MEMORY,
)
from _planted_nets import (
    Memory,
    Net,
)
from _planted_plant import Plant, exchanged, plants, remodelled
from _planted_problem import Problem, Run

# ---------------------------------------------------------------------------------------------- steps


def step_unzeroed(run: Run, x: Tensor, y: Tensor) -> None:
    loss = run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.step()


def step_backwardless(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    run.loss(run.model(x), y)
    run.optimizer.step()


def step_zeroed_late(run: Run, x: Tensor, y: Tensor) -> None:
    loss = run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.zero_grad(set_to_none=False)
    run.optimizer.step()


def step_copied(run: Run, x: Tensor, y: Tensor) -> None:
    """The loss is made anew from its number: nothing leads back to the model."""
    run.optimizer.zero_grad()
    loss = torch.tensor(run.loss(run.model(x), y).item(), requires_grad=True)
    loss.backward()
    run.optimizer.step()


def step_retaining(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward(retain_graph=True)
    run.optimizer.step()


def step_scaled_clip(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    with torch.autocast("cpu", torch.float16):
        loss = run.loss(run.model(x), y)
    run.scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.scaler.step(run.optimizer)
    run.scaler.update()


def overflowing(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Run, Tensor, Tensor], None]:
    """A step in mixed precision whose loss leaves the range of sixteen bits."""

    def step(run: Run, x: Tensor, y: Tensor) -> None:
        run.optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            output = run.model(x)
        run.scaler.scale(loss(output.float(), y)).backward()
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.scaler.step(run.optimizer)
        run.scaler.update()

    return step


def sum_of_logs(output: Tensor, y: Tensor) -> Tensor:
    output = output * 1000
    return output.logsumexp(dim=1).half().sum() + functional.cross_entropy(output, y)


def sum_of_squares(output: Tensor, y: Tensor) -> Tensor:
    return ((output - y) * 1000).half().square().sum()


# ---------------------------------------------------------------------------------------------- loops


def evaluate_training(run: Run) -> float:
    with torch.no_grad():
        losses = [run.loss(run.model(x), y).item() for x, y in run.val_loader]
    return sum(losses) / len(losses)


def evaluate_recording(run: Run) -> float:
    run.model.eval()
    total = 0.0
    for x, y in run.val_loader:
        total += run.loss(run.model(x), y).item()
    return total / len(run.val_loader)


def evaluate_pairs(run: Run) -> float:
    """Each prediction is compared with every label."""
    run.model.eval()
    right = 0
    with torch.no_grad():
        for x, y in run.val_loader:
            named = run.model(x).argmax(dim=1, keepdim=True)
            right += (named == y).sum().item()
    return right / len(run.split.val_x)


def evaluate_columns(run: Run) -> float:
    """The largest output over samples, not over classes."""
    run.model.eval()
    shares = []
    with torch.no_grad():
        for x, y in run.val_loader:
            named = run.model(x).argmax(dim=0)
            shares.append((named[: len(y)] == y[: len(named)]).float().mean().item())
    return sum(shares) / len(shares)


def fit_evaluating(run: Run) -> None:
    """train() is called once; the first evaluation ends it."""
    run.model.train()
    for _ in range(run.problem.epochs):
        for x, y in run.train_loader:
            run.problem.step(run, x, y)
            if run.schedule is not None and run.problem.schedule_every == "batch":
                run.schedule.step()
        run.problem.evaluate(run)


def fit_keeping_reference(run: Run) -> None:
    """The best weights are not copied."""
    best = float("-inf")
    for _ in range(run.problem.epochs):
        run.model.train()
        for x, y in run.train_loader:
            run.problem.step(run, x, y)
        score = run.problem.evaluate(run)
        if score > best:
            best, run.kept = score, run.model.state_dict()
    run.model.load_state_dict(run.kept)
    run.problem.evaluate(run)


def fit_forgetting_best(run: Run) -> None:
    """The best weights are copied, and never put back."""
    best = float("-inf")
    for _ in range(run.problem.epochs):
        run.model.train()
        for x, y in run.train_loader:
            run.problem.step(run, x, y)
        score = run.problem.evaluate(run)
        if score > best:
            best, run.kept = score, copy.deepcopy(run.model.state_dict())
    run.problem.evaluate(run)


# ---------------------------------------------------------------------------------------------- models


def head_alone(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.head.parameters(), lr=2e-3)


def features_alone(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.features.parameters(), lr=2e-3)


def freeze_features(run: Run) -> None:
    for parameter in run.model.features.parameters():
        parameter.requires_grad_(False)


class Detached(Net):
    """Features reach the head without their history."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).detach())


class Ungraded(Net):
    """Features are computed without gradients."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.features(x)
        return self.head(features)


def recast(kind: type[Net]) -> Callable[[Problem], Problem]:
    return remodelled(lambda model: kind(model.features, model.head))


def keep_history(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, Memory):
            module.detached = False
    return model


def in_half(problem: Problem) -> Problem:
    """Weights and inputs of sixteen bits, and a rate at which most updates are rounded away."""

    def data(seed: int) -> object:
        split = problem.data(seed).map(lambda x: x.bfloat16())
        if split.y.is_floating_point():
            split.y, split.val_y = split.y.bfloat16(), split.val_y.bfloat16()
        return split

    return problem.but(
        data=data,
        model=lambda: problem.model().bfloat16(),
        optimizer=partial(torch_sgd, lr=1e-4),
    )


def torch_sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr)


PLANTS: list[Plant] = [
    *plants(
        "missing-zero-grad",
        "zero_grad() left out",
        exchanged(step=step_unzeroed),
        *(MLP, CNN_SGD, RNN, TRANSFORMER, AUTOENCODER, REGRESSION),
        exact=True,
    ),
    *plants(
        "missing-backward",
        "backward() left out",
        exchanged(step=step_backwardless),
        *(MLP, CNN, RNN, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "missing-backward",
        "zero_grad() between backward() and step()",
        exchanged(step=step_zeroed_late),
        *(MLP_SGD, TRANSFORMER, REGRESSION),
        exact=True,
    ),
    *plants(
        "parameters-not-optimized",
        "the optimizer holds the head alone",
        exchanged(optimizer=head_alone, schedule=None),
        *(MLP, CNN, RNN, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "parameters-not-optimized",
        "the optimizer holds the features alone",
        exchanged(optimizer=features_alone, schedule=None),
        *(TRANSFORMER, REGRESSION),
        exact=True,
    ),
    *plants(
        "frozen-parameters",
        "requires_grad=False in new features",
        exchanged(prepare=freeze_features),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
        exact=True,
    ),
    *plants("detached-graph", "detach() in forward", recast(Detached), MLP, CNN, AUTOENCODER, exact=True),
    *plants("detached-graph", "no_grad() in forward", recast(Ungraded), RNN, TRANSFORMER, exact=True),
    *plants(
        "detached-graph",
        "torch.tensor(loss.item(), requires_grad=True)",
        exchanged(step=step_copied),
        *(MLP, REGRESSION),
        exact=True,
    ),
    *plants(
        "state-not-detached",
        "a state is carried on with its history, retain_graph=True",
        lambda p: remodelled(keep_history)(p.but(step=step_retaining)),
        *(RNN_MEMORY, MLP_MEMORY, TRANSFORMER_MEMORY, AUTOENCODER_MEMORY),
        exact=True,
    ),
    *plants(
        "training-mode-in-evaluation",
        "eval() left out",
        exchanged(evaluate=evaluate_training),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "evaluation-mode-in-training",
        "train() before the loop only",
        exchanged(fit=fit_evaluating),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "stale-best-weights",
        "best = model.state_dict(), loaded at the end",
        exchanged(fit=fit_keeping_reference, schedule=None),
        *(MLP, CNN, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "stale-best-weights",
        "a copy of the best weights is never loaded",
        exchanged(fit=fit_forgetting_best, schedule=None),
        *(RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "metric-mistake",
        "labels (N) compared with predictions (N, 1)",
        exchanged(evaluate=evaluate_pairs),
        *(MLP, CNN, RNN),
        exact=True,
    ),
    *plants(
        "metric-mistake",
        "argmax over samples",
        exchanged(evaluate=evaluate_columns),
        *(MLP, RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "evaluation-with-gradient",
        "no_grad() left out",
        exchanged(evaluate=evaluate_recording),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER, CNN_VALUES),
        exact=True,
    ),
    *plants(
        "loss-scale-collapse",
        "loss out of the range of sixteen bits",
        exchanged(step=overflowing(sum_of_logs)),
        *(MLP_HALF, CNN_HALF),
    ),
    *plants(
        "loss-scale-collapse",
        "loss out of the range of sixteen bits",
        exchanged(step=overflowing(sum_of_squares)),
        AUTOENCODER_HALF,
    ),
    *plants(
        "clip-before-unscale",
        "clip_grad_norm_ without unscale_",
        exchanged(step=step_scaled_clip),
        *(MLP_HALF, CNN_HALF, AUTOENCODER_HALF),
        exact=True,
    ),
    *plants("updates-lost-to-rounding", "weights in bfloat16", in_half, MLP_SGD, TRANSFORMER, AUTOENCODER),
]
