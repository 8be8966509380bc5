"""CSV and TSV files: delimiter and header found, every row checked for its length."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from preceptor.data._cells import is_number, make_column
from preceptor.data._dataset import Column
from preceptor.data._files import read_bytes
from preceptor.data._raw_table import RawTable, checked_names
from preceptor.errors import DataError
from preceptor.untrusted import check_room

__all__ = ["CSV_SUFFIXES", "read_csv"]

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_DELIMITERS = (",", ";", "\t")
_GROWTH = 16  # bytes of memory that a byte of the file takes while it is read; benchmarks/load.py measures it


def read_csv(path: Path) -> RawTable:
    """Open a CSV or TSV file (gzipped or not): UTF-8, a header line, delimiter comma, semicolon or tab.

    Raises:
        DataError: no such file, not UTF-8, no header, rows of different lengths, or damaged.
        OutOfMemory: a table that the machine cannot hold while it is read, told by its size beforehand.
    """
    text = _decoded(path)
    delimiter = _delimiter(text)
    header, rows, lines = _parsed(text, delimiter, path)
    if not rows:
        raise DataError(
            f"{str(path)!r} has no rows", expected="rows below the header", received=f"header {header}"
        )
    columns = list(zip(*rows, strict=True))
    _check_header(header, columns, path)
    names = checked_names(header, str(path))
    position = {name: i for i, name in enumerate(names)}

    def row(i: int) -> str:
        return f"line {lines[i]}"

    def read(name: str, kind: str | None) -> Column:
        cells = columns[position[name]]
        return make_column(name, cells, row, kind=kind, decimal_comma=delimiter != ",")

    shown = {";": "semicolon", "\t": "tab"}
    notes = (f"columns separated by {shown[delimiter]}",) if delimiter == ";" else ()
    return RawTable(names, len(rows), read, row, notes)


def _check_size(path: Path, size: int) -> None:
    check_room(
        _GROWTH * size,
        f"the table {str(path)!r}, {size / 1e6:,.0f} MB of text,",
        hint="a part of its rows; as Parquet, which takes a fraction of that; or a DataLoader of your own",
    )


def _decoded(path: Path) -> str:
    if path.is_file():
        _check_size(path, path.stat().st_size)
    content = read_bytes(path)
    _check_size(path, len(content))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{str(path)!r} is not UTF-8 text",
            received=f"the byte {content[error.start]:#04x} in line {line}",
            hint="save it as UTF-8 (iconv -f latin1 -t utf-8, or “CSV UTF-8” in a spreadsheet)",
        ) from error
    if not text.strip():
        raise DataError(f"{str(path)!r} is empty", expected="a header line and rows", received="blank text")
    return text


def _delimiter(text: str) -> str:
    """Choose the delimiter under which the first rows agree best in their number of cells, and have most."""

    def fit(delimiter: str) -> tuple[bool, float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            widths = [len(row) for row in islice(reader, 20) if row]
        except csv.Error:  # a stray quote or an endless cell: the full reading says where
            return False, 0.0, 0
        return widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0]

    return max(_DELIMITERS, key=fit)


def _parsed(text: str, delimiter: str, path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    width = 0
    try:
        for row in reader:
            if not row or (len(row) == 1 and width != 1 and not row[0].strip()):
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(
                    f"{str(path)!r}: line {reader.line_num} does not fit the header",
                    expected=f"{width} cells, as in the header",
                    received=f"{len(row)} cells: {_shown(row)}",
                    hint="put cells that hold the delimiter in double quotes",
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"{str(path)!r} is not a well-formed table",
            received=f"{error} in line {reader.line_num}",
            hint="check the quotes in and before that line",
        ) from error
    if not rows:
        raise DataError(f"{str(path)!r} is empty", expected="a header line and rows", received="blank cells")
    return rows[0], rows[1:], lines[1:]


def _check_header(header: list[str], columns: list[tuple[str, ...]], path: Path) -> None:
    """Refuse a first line that is data: all numbers, or numbers beside text that recurs below it."""
    numeric = [is_number(cell) for cell in header]
    if not any(numeric):
        return
    recurs = any(
        not number and cell in below for number, cell, below in zip(numeric, header, columns, strict=True)
    )
    if all(numeric) or recurs:
        raise DataError(
            f"{str(path)!r} has no header line",
            expected="the columns' names in the first line",
            received=_shown(header),
            hint="put a line with a name for each column above the data",
        )


def _shown(cells: Iterable[str]) -> str:
    text = ", ".join(cells)
    return text if len(text) <= 80 else text[:77] + "..."
