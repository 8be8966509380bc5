"""What `Attachment` tells: one method for each kind of event, none of which may be needed by the program."""

from __future__ import annotations

import types
from typing import Any, Protocol

__all__ = ["HOOKS", "Ears", "Listener"]


class Ears(Protocol):
    """What a listener may ask of its attachment."""

    def follow_backward(self) -> None:
        """Tell also when ``Tensor.backward`` is left."""


class Listener:
    """Hears of every event. An exception that a method raises is handed to `complain` and goes no further.

    ``quiet`` is true while nested module calls are of no interest: they then cost one attribute look-up.
    A ``before_*`` method that returns None is not followed by its ``after_*``.
    """

    quiet = False
    asleep = False
    """While steps go by alike only backward passes, optimizer steps and what is unusual are told."""
    begun = False
    """Whether, asleep, calls of the step under way have gone by untold."""
    scheduling = False
    """Whether a schedule moves on at each of the steps that go by alike."""
    moved = False
    """Whether, asleep, it has done so since the last step."""

    thread = 0
    """The thread that is watched, once there is one."""
    by_hand = False
    """Whether parameters change without an optimizer: then it is told when ``Tensor.backward`` is left."""
    ears: Ears | None = None

    def __init__(self) -> None:
        self.losses: list[Any] = []
        """Of the backward passes of the step under way."""
        self.untold: dict[int, int] = {}
        """Asleep, how many batches each iterator of a loader has given, by its identity."""

    def wake(self) -> None:
        """Something unusual is about to be told."""

    def goes_by(self, optimizer: Any) -> bool:
        """Asleep, an optimizer has stepped: return False where it is unusual and is to be told."""
        return False

    def complain(self, hook: str, error: Exception) -> None:
        """An error of our own."""

    def mine(self) -> bool:
        """Whether the calling thread and process are the watched ones."""
        return True

    def before_module(self, module: Any, args: Any, kwargs: Any, frame: types.FrameType) -> Any:
        """A module is called: an outermost one, or any one unless ``quiet``."""

    def after_module(self, token: Any, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        """It has returned."""

    def module_failed(self, token: Any, module: Any) -> None:
        """It has raised."""

    def loss(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        """A loss function of torch.nn.functional has returned."""

    def before_backward(self, roots: Any, frame: types.FrameType) -> Any:
        """A backward pass begins."""

    def after_backward(self, token: Any, roots: Any) -> None:
        """It has ended."""

    def left_backward(
        self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any
    ) -> None:
        """Tensor.backward has returned."""

    def gradients_asked(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """torch.autograd.grad is called."""

    def zero_grad(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """Gradients of ``args[0]``, an optimizer or a module, are about to be cleared."""

    def built(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        """The optimizer ``args[0]`` has been built."""

    def before_step(self, optimizer: Any, args: Any, kwargs: Any, frame: types.FrameType) -> Any:
        """An optimizer begins to step; what is returned, if anything, are the arguments to step with."""

    def after_step(self, optimizer: Any, frame: types.FrameType) -> None:
        """It has stepped."""

    def scheduled(self, schedule: Any, frame: types.FrameType) -> None:
        """A learning-rate schedule has moved on."""

    def clipped(self, name: str, function: Any, args: Any, kwargs: Any, result: Any, frame: Any) -> None:
        """Gradients have been clipped."""

    def scaler(self, name: str, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """The scale, unscale_, step or update of the GradScaler ``args[0]`` begins."""

    def counted(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """The number of batches of the data loader ``args[0]`` is asked for."""

    def loader_begins(self, loader: Any, iterator: Any, frame: types.FrameType) -> None:
        """A data loader begins to iterate."""

    def before_batch(self, iterator: Any) -> Any:
        """A batch is asked for."""

    def after_batch(self, token: Any, iterator: Any, batch: Any, frame: types.FrameType) -> None:
        """It is there."""

    def loader_ended(self, iterator: Any, frame: types.FrameType) -> None:
        """There is no further one."""

    def mode(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """train() or eval() is called on the module ``args[0]``."""

    def state(self, name: str, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """state_dict() or load_state_dict() is called on the module ``args[0]``."""

    def saved(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """torch.save is called."""

    def host_sync(self, args: Any, kwargs: Any, frame: types.FrameType) -> None:
        """A value is about to be fetched from an accelerator."""


_OWN = ("complain", "mine", "wake", "goes_by")
HOOKS = tuple(
    name
    for name, value in vars(Listener).items()
    if callable(value) and not name.startswith("_") and name not in _OWN
)
