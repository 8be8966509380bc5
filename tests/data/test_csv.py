from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preceptor.data._cells import MISSING, is_number
from preceptor.data._csv import read_csv
from preceptor.errors import DataError


def written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("packed", [False, True])
def test_delimiters_and_gzip(tmp_path: Path, delimiter: str, packed: bool) -> None:
    text = "\n".join(delimiter.join(row) for row in (["a", "b", "c"], ["1", "x y", ""], ["2", "z", "3.5"]))
    path = written(
        tmp_path, gzip.compress(text.encode()) if packed else text, "t.csv.gz" if packed else "t.csv"
    )
    table = read_csv(path)
    assert table.names == ("a", "b", "c")
    assert table.rows == 2
    np.testing.assert_array_equal(table.read("c", None).values, [np.nan, 3.5])
    assert table.read("b", None).values.tolist() == ["x y", "z"]


def test_quotes_newlines_bom_and_blank_lines(tmp_path: Path) -> None:
    text = '\ufeffname,"size, m2"\r\n"a ""quoted"" one\r\nover two lines",5\r\n\r\nb,6\r\n\r\n'
    table = read_csv(written(tmp_path, text))
    assert table.names == ("name", "size, m2")
    assert table.read("name", None).values.tolist() == ['a "quoted" one\r\nover two lines', "b"]


def test_decimal_commas_beside_semicolons(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "x;y\n1,5;a\n2,25;b\n"))
    np.testing.assert_array_equal(table.read("x", None).values, [1.5, 2.25])
    assert table.notes == ("columns separated by semicolon",)


def test_names_with_commas_do_not_mislead_the_sniffer(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, "price, EUR;size, m2;rooms\n1;2;3\n4;5;6\n")).names == (
        "price, EUR", "size, m2", "rooms",
    )  # fmt: skip


def test_unnamed_first_column(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, ",a\n0,x\n1,y\n")).names == ("column 1", "a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n3\n", r"line 3 does not fit(.|\n)*2 cells(.|\n)*1 cells: 3"),
        ("a,b\n1,2\n\n3,4,5\n", r"line 4 does not fit(.|\n)*3 cells: 3, 4, 5"),
        ("a,b\n", "has no rows"),
        ("  \n \n", "is empty"),
        ("a,b,a\n1,2,3\n", r"occurs twice(.|\n)*'a'"),
        ('a,b\n1,"x\n', "not a well-formed table"),
        ('a,b\n1,"x"y\n', r"not a well-formed table(.|\n)*line 2"),
        (b"a,b\n1,caf\xe9\n", r"is not UTF-8(.|\n)*0xe9 in line 2(.|\n)*iconv"),
        ("5.1,3.5,0.2\n4.9,3.0,0.2\n", "has no header line"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", r"has no header line(.|\n)*5.1, 3.5, setosa"),
    ],
)
def test_malformed(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_csv(written(tmp_path, text))


def test_years_may_be_column_names(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, "country,2019,2020\nFrance,1,2\nSpain,3,4\n")).names[1] == "2019"


def test_errors_name_the_line_of_the_file(tmp_path: Path) -> None:
    rows = [f"{i},k" for i in range(20)]
    rows[12] = "oops,k"
    table = read_csv(written(tmp_path, "n,c\n\n" + "\n".join(rows) + "\n"))
    with pytest.raises(DataError, match="'oops' in line 15"):
        table.read("n", None)


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n")).map(str.strip)
_word = _text.filter(lambda t: t.lower() not in MISSING and not is_number(t))
_number = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(_word, _number), min_size=2), st.sampled_from(",;\t"))
def test_written_then_read(tmp_path: Path, rows: list[tuple[str, float | None]], delimiter: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerows([("word", "number"), *((w, "" if v is None else repr(v)) for w, v in rows)])
    table = read_csv(written(tmp_path, stream.getvalue()))
    assert table.read("word", "category").values.tolist() == [w for w, _ in rows]
    expected = np.array([np.nan if v is None else v for _, v in rows])
    np.testing.assert_array_equal(table.read("number", "number").values, expected)
