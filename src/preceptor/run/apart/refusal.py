"""What runs of another kind say where something is asked of them that only a network with predictions can."""

from __future__ import annotations

from typing import Any, ClassVar

from preceptor.errors import ConfigError

__all__ = ["Apart"]

_OF_NETWORKS = frozenset(
    {"look", "sample", "scores", "stream", "generate", "translate", "predict_proba", "test", "task", "model"}
)


class Apart:
    """A run that holds no network with predictions: it refuses what needs one.

    Attributes:
        holds: what it holds in place of that, in words.
    """

    holds: ClassVar[str]

    def __getattr__(self, name: str) -> Any:
        """Refuse what a run of a network has."""
        if name in _OF_NETWORKS:
            raise ConfigError(
                f"this run holds {self.holds}, not a network with predictions",
                expected="a run of a network",
                received=name,
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
