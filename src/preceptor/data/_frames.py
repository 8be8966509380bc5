"""pandas DataFrames and Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from preceptor.data._cells import check_finite, make_column
from preceptor.data._dataset import Column
from preceptor.data._files import missing_file
from preceptor.data._raw_table import RawTable, checked_names
from preceptor.data._targets import class_name
from preceptor.errors import DataError, import_extra
from preceptor.untrusted import check_room, understood

__all__ = ["PARQUET_SUFFIXES", "is_frame", "read_frame", "read_parquet"]

PARQUET_SUFFIXES = (".parquet", ".pq")


def is_frame(source: object) -> bool:
    """Tell whether something is a pandas DataFrame, without importing pandas."""
    return type(source).__name__ == "DataFrame" and type(source).__module__.partition(".")[0] == "pandas"


def read_parquet(path: Path) -> RawTable:
    """Open a Parquet file.

    Raises:
        DataError: no such file, or it is damaged.
        ExtraMissing: pandas or pyarrow is not installed.
    """
    if not path.is_file():
        raise missing_file(path)
    pandas = import_extra("pandas", extra="tables", purpose="reading Parquet")
    arrow = import_extra("pyarrow", extra="tables", purpose="reading Parquet")
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose="reading Parquet")
    with understood(f"{str(path)!r} as Parquet", "a Parquet file", DataError, hint="write the file again"):
        try:
            told = parquet.read_metadata(path)
            check_room(8 * told.num_rows * told.num_columns, repr(str(path)), hint="a part of it")
            frame = pandas.read_parquet(path, engine="pyarrow")
        except arrow.ArrowException as error:
            raise ValueError(str(error).partition("\n")[0]) from error
    return read_frame(frame, where=str(path))


def read_frame(frame: Any, *, where: str = "the DataFrame") -> RawTable:
    """Open a DataFrame; its index is left aside.

    Raises:
        DataError: it is empty, or a column name occurs twice.
    """
    names = checked_names([str(name) for name in frame.columns], where)
    if len(frame) == 0:
        raise DataError(f"{where} is empty", expected="rows", received=f"0 rows of {', '.join(names)}")
    position = {name: i for i, name in enumerate(names)}
    row = "row {}".format

    def read(name: str, kind: str | None) -> Column:
        series = frame.iloc[:, position[name]]
        pandas = import_extra("pandas", extra="tables", purpose="reading a DataFrame")
        types = pandas.api.types
        if types.is_numeric_dtype(series.dtype) and not types.is_bool_dtype(series.dtype):
            return _numbers(series, name, kind)
        if isinstance(series.dtype, pandas.CategoricalDtype):
            kind = kind or "category"
        gaps = series.isna().to_numpy()
        cells = ["" if gap else str(value) for gap, value in zip(gaps, series.tolist(), strict=True)]
        return make_column(name, cells, row, kind=kind)

    return RawTable(names, len(frame), read, row)


def _numbers(series: Any, name: str, kind: str | None) -> Column:
    if series.dtype.kind == "c":
        raise DataError(f"column {name!r} holds complex numbers", expected="real numbers or text")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    check_finite(values, name, "row {}".format)
    if kind != "category":
        return Column(name, "number", values)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [
        None if np.isnan(v) else (class_name(v) if v.is_integer() else repr(float(v))) for v in values
    ]
    return Column(name, "category", texts)
