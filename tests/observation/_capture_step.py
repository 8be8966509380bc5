"""Capture one training step of each of several programs: `_capture_step.py STEP PROGRAM...`.

Every program runs in a fork of this process, which has imported torch once, and ends with the captured step.
For each one line of JSON is printed: the program, whether the replay gave its losses to the last bit, and if
not, why.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np  # noqa: F401  what programs use is imported once for all of them
import sklearn.datasets
import sklearn.model_selection
import sklearn.preprocessing  # noqa: F401
import torch
import torch._dynamo  # which the first optimizer would import
from torch import nn

from preceptor.observation.capture import Capture

_PATIENCE = 3  # backward passes without an optimizer's step: the program has none
_SECONDS = 60


class Captured:
    """Begins when optimizer step ``first`` has ended (0: at the first forward pass), ends with the next one.

    In a program whose optimizers never step it goes from one backward pass to the next.
    """

    def __init__(self, program: str, first: int, out: int) -> None:
        self.program, self.first, self.out = program, first, out
        self.steps = self.backwards = 0
        self.capture: Capture | None = None
        self.began = time.perf_counter()
        self._watch()

    def _watch(self) -> None:
        build, backward, call = torch.optim.Optimizer.__init__, torch.autograd.backward, nn.Module.__call__

        def built(optimizer: Any, *args: Any, **kwargs: Any) -> None:
            build(optimizer, *args, **kwargs)
            optimizer.register_step_post_hook(lambda *_: self.stepped())

        def passed(*args: Any, **kwargs: Any) -> None:
            backward(*args, **kwargs)
            self.backwards += 1
            if self.steps == 0 and self.backwards >= _PATIENCE:
                self.turn()

        def called(module: Any, *args: Any, **kwargs: Any) -> Any:
            if self.first == 0 and self.capture is None and torch.is_grad_enabled() and module.training:
                self.begin()
            return call(module, *args, **kwargs)

        torch.optim.Optimizer.__init__ = built  # type: ignore[method-assign]
        torch.autograd.backward = passed
        if self.first == 0:
            nn.Module.__call__ = called  # type: ignore[method-assign]

    def stepped(self) -> None:
        self.steps += 1
        if self.steps >= self.first:
            self.turn()

    def turn(self) -> None:
        if self.capture is None:
            self.begin()
        else:
            self.end()

    def begin(self) -> None:
        self.capture = Capture()
        self.capture.start()

    def end(self) -> NoReturn:
        """Say what the replay gave, and end the program in the middle of whatever it does."""
        found: dict[str, Any] = {"program": self.program, "exact": False, "reason": "no step was captured"}
        if self.capture is not None:
            graph = self.capture.stop()
            found.update(exact=graph.replayable, reason=graph.broken_by)
            found.update(operators=len(graph), losses=len(graph.losses), backward=graph.backward)
        found["seconds"] = round(time.perf_counter() - self.began, 2)
        os.write(self.out, (json.dumps(found) + "\n").encode())
        os._exit(0)


def run(program: str, first: int, out: int) -> NoReturn:
    """Run the program in this process until its step has been captured."""
    signal.alarm(_SECONDS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sys.argv, sys.path[0] = [program], str(Path(program).parent)
    captured = Captured(program, first, out)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        captured.end()


def main() -> None:
    first, programs = int(sys.argv[1]), sys.argv[2:]
    out = os.dup(1)
    for program in programs:
        child = os.fork()
        if child == 0:
            run(program, first, out)
        _, status = os.waitpid(child, 0)
        if status != 0:
            failed = {"program": program, "exact": False, "reason": "", "status": status}
            os.write(out, (json.dumps(failed) + "\n").encode())


if __name__ == "__main__":
    main()
