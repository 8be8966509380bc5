"""What was seen of a run: its signals step by step, facts, small tables and fingerprints of its samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation import _record_files as files
from preceptor.observation._record_select import select
from preceptor.observation._samples import Samples
from preceptor.observation.series import CAP, SMALLEST_CAP, Series
from preceptor.observation.signals import SIGNALS

__all__ = ["Record"]

_MOST_ROWS = 2000
_SMALLEST_MEMORY = 1 << 16
_TABLES = ("batches", "losses", "notes", "offenders")


class Record:
    """The signals of one run, to add to while it trains and to read, save and export at any time.

    Memory is bounded: a series thins beyond 4,096 points, all of them further once they take more than
    ``memory`` together, the longest first. What no longer fits at all is counted in ``left_out``.

    Arguments:
        memory: bytes that all series may take together.

    Attributes:
        facts: what holds for the whole run; strings, numbers, lists and dicts with text keys.
        tables: rows by the name of a table; see `table`.
        samples: fingerprints of the samples of each phase.
        left_out: rows of a table, or points of a signal, that were not kept, by its name.

    Example:
        >>> record = Record()
        >>> for step in range(3):
        ...     record.add("loss", step, 1.0 - 0.25 * step, "train")
        ...     record.add_many("grad_norm", step, ["fc.weight", "fc.bias"], [3.0, 4.0])
        >>> record.signal("loss").values
        array([1.  , 0.75, 0.5 ])
        >>> record.signal("grad_norm", layer="fc").last
        5.0
    """

    def __init__(self, *, memory: int = 64 << 20) -> None:
        if memory < _SMALLEST_MEMORY:
            raise ConfigError(
                "memory is too small for a record",
                expected=f"at least {_SMALLEST_MEMORY:,} bytes",
                received=f"memory={memory!r}",
            )
        self.memory = int(memory)
        self.facts: dict[str, Any] = {}
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
        self.samples = Samples()
        self.left_out: dict[str, int] = {}
        self._series: dict[str, dict[str, Series]] = {}
        self._cap = CAP
        self._used = 0

    def add(self, name: str, step: int, value: float, subject: str = "") -> None:
        """Add one measurement of a signal.

        Raises:
            UnknownName: no such signal in `SIGNALS`.
        """
        try:
            series = self._series[name][subject]
        except KeyError:
            series = None
        if series is not None or (series := self._open(name, subject)) is not None:
            series.append(step, value)

    def add_many(self, name: str, step: int, subjects: Sequence[str], values: Sequence[float]) -> None:
        """Add one measurement of each of several subjects, taken at the same step.

        Raises:
            ConfigError: not as many values as subjects.
            UnknownName: no such signal in `SIGNALS`.
        """
        if len(subjects) != len(values):
            raise ConfigError(
                f"{name!r} comes with as many values as subjects",
                expected=f"{len(subjects)} values",
                received=f"{len(values)}",
            )
        known = self._series.get(name, {})
        for subject, value in zip(subjects, values, strict=True):
            series = known.get(subject)
            if series is None:
                self.add(name, step, value, subject)
            else:
                series.append(step, value)

    def table(self, name: str, row: dict[str, Any]) -> None:
        """Append a row to a table; beyond 2,000 rows it is only counted, in ``left_out``."""
        rows = self.tables.setdefault(name, [])
        if len(rows) < _MOST_ROWS:
            rows.append(files.plain(row))
        else:
            self._leave_out(name)

    def signal(
        self,
        name: str,
        *,
        layer: str | None = None,
        parameter: str | None = None,
        phase: str | None = None,
        subject: str | None = None,
    ) -> Series:
        """Return one signal of one subject; a copy, that does not grow.

        Of a signal of parameters, ``layer`` combines those of that layer and of its sublayers (``""``: of
        all): norms as √(Σ ‖·‖₂²), a ratio as update norm ÷ weight norm of the whole, shares as their mean.
        Where nothing is chosen, the phase ``"train"`` or the only subject is meant.

        Arguments:
            name: of a signal in `SIGNALS`.
            layer: the name of a module, or of a parameter.
            parameter: the name of a parameter.
            phase: ``"train"``, or the beginning of ``"evaluation:<file>:<line>"`` if only one fits.
            subject: any subject, exactly.

        Raises:
            UnknownName: no such signal, or none such of this subject; never measured is an empty series.
            ConfigError: two choices, one that does not suit the signal, or none where one is needed.
        """
        given = {"layer": layer, "parameter": parameter, "phase": phase, "subject": subject}
        return select(self._series, name, given)

    @property
    def names(self) -> list[str]:
        """The signals that were measured."""
        return list(self._series)

    def subjects(self, name: str) -> list[str]:
        """Return what a signal was measured of, in order of first appearance.

        Raises:
            UnknownName: no such signal.
        """
        if name not in self._series and name not in SIGNALS:
            raise UnknownName("signal", name, {*SIGNALS, *self._series})
        return list(self._series.get(name, ()))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the series and the fingerprints take."""
        return self._used + self.samples.nbytes

    def __iter__(self) -> Iterator[Series]:
        for subjects in list(self._series.values()):
            yield from list(subjects.values())

    def __repr__(self) -> str:
        return f"Record({len(self._series)} signals, {sum(map(len, self)):,} points)"

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Write the record into a folder (made where it is missing), in place of an older one there.

        Returns:
            A name that no other content has.

        Raises:
            StorageError: it could not be written; an older record there is intact.
        """
        index, arrays = files.pack(self)
        sets, arrays["samples"] = self.samples.pack()
        content = {
            "memory": self.memory,
            "cap": self._cap,
            "series": index,
            "samples": sets,
            "left_out": self.left_out,
            "facts": self.facts,
            "tables": self.tables,
        }
        return files.write(Path(folder), content, arrays)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Record:
        """Read a record that `save` wrote, exact to the last bit; it can be added to.

        Raises:
            StorageError: no record there, damaged, or from a later version.
        """
        content, arrays = files.read(Path(folder))
        try:
            return cls._rebuilt(content, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise files.damaged(Path(folder), error) from error

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write every point as a row: name, subject, step, value, low, high."""
        files.to_csv(Path(path), self)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write every point as a row of a Parquet file: name, subject, step, value, low, high.

        Raises:
            ExtraMissing: pyarrow is not installed (the extra ``tables``).
        """
        files.to_parquet(Path(path), self)

    @classmethod
    def _rebuilt(cls, content: dict[str, Any], arrays: files.Arrays) -> Record:
        record = cls(memory=content["memory"])
        record._cap = min(max(int(content["cap"]), SMALLEST_CAP), CAP)
        for series in files.unpack(content["series"], arrays):
            if record._series.setdefault(series.name, {}).setdefault(series.subject, series) is not series:
                raise ValueError(f"{series.name!r} of {series.subject!r} is there twice")
            record._adopt(series)
        record.samples = Samples.unpack(content["samples"], arrays["samples"])
        record.left_out = {name: int(count) for name, count in content["left_out"].items()}
        record.facts = dict(content["facts"])
        record.tables = {name: [dict(row) for row in rows] for name, rows in content["tables"].items()}
        return record

    def _open(self, name: str, subject: str) -> Series | None:
        if name not in SIGNALS and name not in self._series:
            raise UnknownName("signal", name, SIGNALS)
        # What is there must fit into three quarters: at the smallest cap it may still grow by a fifth.
        room = 3 * self.memory // 4 - Series(name, subject).nbytes
        if self._used > room:
            self._squeeze(room)
        if self._used > room:
            self._leave_out(name)
            return None
        series = Series(name, subject, cap=self._cap)
        self._series.setdefault(name, {})[subject] = series
        self._adopt(series)
        return series

    def _adopt(self, series: Series) -> None:
        self._used += series.nbytes
        series.grew = self._grew

    def _grew(self, change: int) -> None:
        self._used += change
        if self._used > self.memory:
            self._squeeze(self.memory)

    def _squeeze(self, room: int) -> None:
        while self._used > room and self._cap > SMALLEST_CAP:
            self._cap //= 2
            for series in self:
                series.shrink(self._cap)
            self._used = sum(series.nbytes for series in self)

    def _leave_out(self, name: str) -> None:
        self.left_out[name] = self.left_out.get(name, 0) + 1
