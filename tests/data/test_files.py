from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from preceptor.data._files import missing_file, plain_name, read_bytes
from preceptor.errors import DataError, StorageError


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("houses.csv", "houses"),
        ("a/houses.csv.gz", "houses"),
        ("x.tsv", "x"),
        ("x.parquet", "x"),
        ("x.npz", "x"),
        ("mnist", "mnist"),
        (".csv", ".csv"),
    ],
)
def test_plain_name(path: str, name: str) -> None:
    assert plain_name(Path(path)) == name


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "packed.csv").write_bytes(gzip.compress(b"a,b\n"))
    (tmp_path / "plain.csv").write_bytes(b"a,b\n")
    assert read_bytes(tmp_path / "packed.csv") == read_bytes(tmp_path / "plain.csv") == b"a,b\n"


def test_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"did you mean '.*houses\.csv'\?"):
        read_bytes(tmp_path / "hosues.csv")


def test_missing_folder_is_said() -> None:
    assert "does not exist either" in str(missing_file(Path("/nowhere/at/all/x.csv")))


@pytest.mark.parametrize("cut", [3, 12, -6])
def test_truncated_gzip_names_the_file(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 50)[:cut])
    with pytest.raises(DataError, match=r"x\.csv\.gz' is a damaged gzip file"):
        read_bytes(path)


def test_gzip_in_name_only(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is no gzip file"):
        read_bytes(tmp_path / "x.csv.gz")


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        read_bytes(tmp_path / "x.csv")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("a")

    def refuse(self: Path) -> bytes:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match="not yours"):
        read_bytes(tmp_path / "x.csv")
