"""The regularizers at work in a training: what a step calls, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from preceptor.catalogue._places import activations_of
from preceptor.catalogue.augmentations import Pipeline
from preceptor.catalogue.averaging import WeightAverage
from preceptor.catalogue.normalizations import batch_norms, population_statistics
from preceptor.catalogue.regularizers import MOMENTS, Regularizer
from preceptor.errors import ConfigError, ModelError
from preceptor.training.experiment import Experiment
from preceptor.training.named import trait_of
from preceptor.training.settings import Block

if TYPE_CHECKING:
    from preceptor.training.problem import Problem

__all__ = [
    "Regularization",
    "as_measured",
    "attach",
    "needs_population",
    "refuse_other_losses",
    "refuse_with_closure",
]

_DETERMINISTIC = {"penalty", "objective", "attach", "settings"}


class Regularization:
    """The regularizers at work in a training, each called at the moments that it overrides.

    Attributes:
        parts: the regularizers in their order.
        average: the one that keeps an average of the weights, which is what is measured; None: the weights.
    """

    def __init__(self, parts: Sequence[Regularizer]) -> None:
        self.parts = list(parts)
        averages = [part for part in parts if isinstance(part, WeightAverage)]
        if len(averages) > 1:
            raise ConfigError(
                "only one average of the weights can be measured",
                expected="one averaging",
                received=", ".join(type(part).__name__ for part in averages),
            )
        self.average = averages[0] if averages else None
        self._hooks = {moment: self._overriding(moment) for moment in MOMENTS}
        self._weights = [
            (part, list(part.weights))
            for part in parts
            if part is not self.average and getattr(part, "weights", None)
        ]
        self.changes_gradients = bool(self._hooks["gradients"])

    def _overriding(self, moment: str) -> tuple[Callable[..., Any], ...]:
        own = getattr(Regularizer, moment)
        return tuple(getattr(part, moment) for part in self.parts if getattr(type(part), moment) is not own)

    def __bool__(self) -> bool:
        return any(self._hooks.values())

    def loss(self, problem: Problem, x: Any, y: Tensor) -> Tensor:
        """Return what is minimised: the loss of the examples as they are learned from, and the penalties."""
        for hook in self._hooks["examples"]:
            x, y = hook(x, y)

        def judge(output: Tensor) -> Tensor:
            loss = problem.judge(output, y)
            for hook in self._hooks["objective"]:
                loss = hook(loss, output, y)
            return loss

        loss = problem.with_heads(problem.forward(x), judge)
        for hook in self._hooks["penalty"]:
            loss = loss + hook()
        return loss

    def acts(self, *moments: str) -> bool:
        """Say whether one of them acts at some of these moments."""
        return any(self._hooks[moment] for moment in moments)

    def spare_frozen(self) -> None:
        """Leave weights that do not learn alone until they do; an average stays one of all."""
        for part, weights in self._weights:
            part.weights = [w for w in weights if w.requires_grad]

    def plan(self, total_steps: int) -> None:
        """Tell each how many steps the training takes at most."""
        for part in self.parts:
            part.plan(total_steps)

    def at(self, moment: str, *arguments: Any) -> None:
        """Call those that act at a moment."""
        for hook in self._hooks[moment]:
            hook(*arguments)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return what each needs to go on exactly."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over what `state_dict` returned."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class _Behind:
    """A forward hook: a layer that stands behind another, in that one's mode."""

    def __init__(self, layer: nn.Module, *, maps: bool) -> None:
        self.layer, self.maps = layer, maps

    def __call__(self, module: nn.Module, inputs: object, output: Any) -> Any:
        if self.maps and output.ndim < 4:
            return output
        if self.layer.training != module.training:
            self.layer.train(module.training)
        return self.layer(output)


def attach(model: nn.Module, made: Sequence[tuple[Any, Block]]) -> Regularization | None:
    """Put into the model what belongs there, and return what a step has to call; None where that is nothing.

    Raises:
        ModelError: the model has no place for a regularizer.
        ConfigError: something that is no regularizer.
    """
    parts = []
    for product, block in made:
        if isinstance(product, Regularizer):
            parts.append(product.attach(model))
        elif not isinstance(product, nn.Module):
            raise ConfigError(
                "a regularizer is not usable",
                expected="a name, a Regularizer, or an nn.Module to stand behind every activation",
                received=repr(product)[:80],
            )
        elif trait_of(block, "place", "activations") == "activations":
            _place(model, product, block)
    return Regularization(parts) if parts else None


def _place(model: nn.Module, layer: nn.Module, block: Block) -> None:
    places = [module for _, module in activations_of(model)]
    if not places:
        raise ModelError(
            f"{block.name} finds no activation to stand behind",
            expected="activations that are modules, such as nn.ReLU()",
            received=type(model).__name__,
            hint="put the layer into your model yourself",
        )
    for module in places:
        module.register_forward_hook(_Behind(layer, maps=bool(trait_of(block, "maps", False))))


def _is_statistic(key: str) -> bool:
    return key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def as_measured(problem: Problem) -> Iterator[None]:
    """Give the model, for the length of a block, the weights and statistics that it is measured with."""
    average = problem.regularization.average if problem.regularization else None
    kept: dict[str, Tensor] = {}
    if average is not None:
        average.swap()
        kept = {k: v.clone() for k, v in problem.model.state_dict().items() if _is_statistic(k)}
    try:
        if problem.population is not None:
            frozen = problem.transfer is not None and problem.transfer.freezing is not None
            moving = [name for name, layer in batch_norms(problem.model).items() if layer.training]
            population_statistics(
                problem.model, problem.seen(problem.population), only=moving if frozen else None
            )
        yield
    finally:
        if average is not None:
            average.swap()
            problem.model.load_state_dict(kept, strict=False)


def needs_population(experiment: Experiment, regularization: Regularization | None, model: nn.Module) -> bool:
    """Say whether batch normalisation's statistics are recomputed before each measuring."""
    averaged = regularization is not None and regularization.average is not None
    return (averaged or experiment.training.batch_norm == "population") and bool(batch_norms(model))


def refuse_other_losses(made: Sequence[tuple[Any, Block]], loss: str) -> None:
    """Refuse a regularizer that changes a loss which is not the training's.

    Raises:
        ConfigError: label smoothing of something else than cross-entropy, and the like.
    """
    for _, block in made:
        losses = trait_of(block, "losses", None)
        if losses is not None and loss not in losses:
            raise ConfigError(
                f"{block.name} does not suit the loss",
                expected=" or ".join(losses),
                received=f"loss {loss!r}",
            )


def refuse_with_closure(made: Sequence[tuple[Any, Block]], pipeline: Pipeline | None, closure: Any) -> None:
    """Refuse what an optimizer that asks for the loss several times a step cannot follow.

    Raises:
        ConfigError: randomness, or changes of weights and gradients; with residuals, any change of the loss.
    """
    allowed = _DETERMINISTIC if closure != "residuals" else {"settings"}
    names = [
        block.name
        for product, block in made
        if ":" in block.name
        or trait_of(block, "random", False)
        or trait_of(block, "moment", "random") not in allowed
    ]
    if pipeline is not None and not names:
        names = ["augmentations"]
    if names:
        raise ConfigError(
            "the optimizer asks for the loss several times a step, and must find it the same",
            expected="no regularizer, or penalties such as l2"
            if closure != "residuals"
            else "no regularizer",
            received=", ".join(names),
            hint="adam, or sgd",
        )
