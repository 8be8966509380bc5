"""All that a watch has seen of a run: its record, the order of its calls, the graphs of some of its steps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from preceptor.errors import StorageError
from preceptor.files import write_text
from preceptor.observation._graph_plain import graph_from_plain, graph_to_plain
from preceptor.observation._record_files import name_of, parsed, plain
from preceptor.observation.graph import Graph
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.seals import sealed, unsealed

__all__ = ["Observed"]

_FORMAT = "preceptor-observed"
_T = TypeVar("_T")


@dataclass
class Observed:
    """What diagnosis reads. On disk, graphs keep structure and statistics but not the tensors of a replay.

    Arguments:
        record: the signals and facts.
        protocol: every call, in order.
        graphs: the graphs that were recorded, by step.
        steps: how many steps, backward passes, evaluations and epochs there were.
        notes: what the watch could not see.

    Example:
        >>> import tempfile
        >>> seen = Observed(Record(), Protocol(), steps={"train": 3})
        >>> folder = tempfile.mkdtemp()
        >>> seen.save(folder)
        >>> Observed.load(folder).steps
        {'train': 3}
    """

    record: Record
    protocol: Protocol
    graphs: dict[int, Graph] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write it into a folder (made where it is missing), in place of what an older one left there.

        Raises:
            StorageError: it could not be written.
        """
        belongs = self.record.save(folder)
        content = {
            "format": _FORMAT,
            "version": 1,
            "record": belongs,
            "steps": self.steps,
            "notes": self.notes,
            "protocol": self.protocol.to_plain(),
            "graphs": {str(step): graph_to_plain(graph) for step, graph in self.graphs.items()},
        }
        text = json.dumps(sealed(plain(content, strict=True)), allow_nan=False, separators=(",", ":"))
        write_text(Path(folder) / "observed.json", text)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Observed:
        """Read what `save` wrote, or a record alone, which leaves protocol and graphs empty.

        Alone is also what stands beside those of an older one, as after a kill in the midst of `save`.

        Raises:
            StorageError: no record there, damaged, or from a later version.
        """
        record, path = Record.load(folder), Path(folder) / "observed.json"
        if not path.exists():
            return cls(record, Protocol())
        content = _guarded(path, lambda: _read(path))
        if content.get("record", name := name_of(Path(folder))) != name:
            return cls(record, Protocol())
        return _guarded(path, lambda: cls._rebuilt(record, content))

    @classmethod
    def _rebuilt(cls, record: Record, content: dict[str, Any]) -> Observed:
        if content["format"] != _FORMAT or content["version"] != 1:
            raise ValueError(f"format {content['format']} {content['version']}")
        graphs = {int(step): graph_from_plain(graph) for step, graph in content["graphs"].items()}
        protocol = Protocol.from_plain(content["protocol"])
        return cls(record, protocol, graphs, dict(content["steps"]), [str(note) for note in content["notes"]])


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    unsealed(dict(json.loads(text)))
    return dict(parsed(text))


def _guarded(path: Path, act: Callable[[], _T]) -> _T:
    try:
        return act()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError, RecursionError) as error:
        raise StorageError(
            f"cannot read {path}",
            expected="a file that a watch wrote, whole, by this version or an older one",
            received=f"{type(error).__name__}: {error}",
        ) from error
