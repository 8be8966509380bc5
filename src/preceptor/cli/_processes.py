"""The command line under torchrun: of several processes one speaks for all."""

from __future__ import annotations

import os
import sys

from preceptor.errors import PreceptorError, ProcessFailed

__all__ = ["is_told"]


def is_told(error: PreceptorError) -> bool:
    """Say whether this process prints an error: not where another one does.

    Before they meet, all processes of a machine fail alike; behind that, the one that fails says so, and the
    first one that it lost another.
    """
    if os.environ.get("RANK", "0") == "0" or "WORLD_SIZE" not in os.environ:
        return True
    together = sys.modules.get("torch.distributed")
    if together is None or not together.is_initialized():
        return os.environ.get("LOCAL_RANK") == "0"
    return not (error.told or isinstance(error, ProcessFailed))
