"""Curves in the files of other trainers: event files byte by byte, Lightning's and Ultralytics' folders."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

import preceptor
from preceptor.diagnosis import logs
from preceptor.diagnosis.events import crc32c, read_scalars, records, scalars_of
from preceptor.diagnosis.history import read_curves
from preceptor.errors import DataError

# An encoder apart from the reader: what protocol buffers and the record format prescribe.


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while True:
        out += bytes([value & 127 | (128 if value > 127 else 0)])
        value >>= 7
        if not value:
            return out


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def event(step: int, *values: bytes) -> bytes:
    head = struct.pack("<Bd", 1 << 3 | 1, 1.7e9) + varint(2 << 3) + varint(step)
    return head + field(5, b"".join(field(1, value) for value in values))


def simple(tag: str, value: float) -> bytes:
    return field(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, value)


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


VERSION = record(struct.pack("<Bd", 1 << 3 | 1, 1.7e9) + field(3, b"brain.Event:2"))


def write(folder: Path, curves: dict[str, list[float]], name: str = "events.out.tfevents.1.host") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [record(event(i, simple(tag, v))) for tag, vs in curves.items() for i, v in enumerate(vs)]
    (folder / name).write_bytes(VERSION + b"".join(rows))
    return folder


RISING = [2 * 0.8**e + 0.1 + 0.02 * max(0, e - 10) for e in range(40)]
FALLING = [2 * 0.8**e for e in range(40)]


def causes(path: Path, notes: list[str] | None = None) -> list[str]:
    found = preceptor.diagnose(path, note=None if notes is None else notes.append)
    return [finding.cause for finding in found]


# The record format


def test_the_head_of_a_file_that_tensorboard_wrote() -> None:
    # length 24 and its masked checksum, as every event file begins
    assert VERSION[:12] == bytes.fromhex("1800000000000000a37f4b22")


def test_scalars_of_every_form(tmp_path: Path) -> None:
    def tensor(kind: int, rest: bytes) -> bytes:
        return field(1, f"t{kind}".encode()) + field(8, varint(1 << 3) + varint(kind) + rest)

    values = (
        simple("plain", 0.5),
        tensor(1, field(4, struct.pack("<f", 1.5))),
        tensor(2, field(6, struct.pack("<d", 2.5))),
        tensor(9, varint(10 << 3) + varint(-3)),
        tensor(19, field(4, b"\x00\x3c")),
        field(1, b"picture") + field(4, b"\x00" * 30),
        tensor(1, field(4, struct.pack("<2f", 1, 2))),  # two numbers are no scalar
    )
    found = {tag: (step, value) for tag, step, value in scalars_of(event(-2, *values[:6]))}
    assert found == {"plain": (-2, 0.5), "t1": (-2, 1.5), "t2": (-2, 2.5), "t9": (-2, -3.0), "t19": (-2, 1.0)}
    assert list(scalars_of(event(0, values[6]))) == []


def test_a_file_that_is_cut_off_or_damaged(tmp_path: Path) -> None:
    whole = b"".join(record(event(i, simple("loss", i))) for i in range(4))
    one = len(whole) // 4
    for end, count in ((len(whole), 4), (len(whole) - 1, 3), (3 * one + 5, 3)):
        (tmp_path / "a").write_bytes(whole[:end])
        with (tmp_path / "a").open("rb") as file:
            assert len(list(records(file))) == count
    said: list[str] = []
    for place in (2 * one + 3, 2 * one + 20):  # in a length, in data
        (tmp_path / "a").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with (tmp_path / "a").open("rb") as file:
            assert len(list(records(file, said.append))) == 2
    assert [text.partition(";")[0] for text in said] == ["damaged after 2 records", "damaged at record 3"]


def test_a_large_record_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    length = struct.pack("<Q", 2 << 20)
    path.write_bytes(length + masked(length) + bytes((2 << 20) + 4) + record(event(1, simple("loss", 1.0))))
    with path.open("rb") as file:
        assert [list(scalars_of(data)) for data in records(file)] == [[("loss", 1, 1.0)]]


@pytest.mark.parametrize("data", [b"\xff" * 12, b"\x2a\xff\x01", b"\x0b", b"\x2a\x02\x0a"])
def test_what_is_no_event(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(record(data))
    with pytest.raises(DataError, match="is not an event file of TensorBoard"):
        read_scalars([("", tmp_path)])


def test_a_later_file_goes_before_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, {"loss": [5.0, 4.0, 3.0]}, "events.out.tfevents.1")
    write(tmp_path, {"loss": [5.0, 1.0]}, "events.out.tfevents.2")
    assert read_scalars([("", tmp_path)])["loss"].values.tolist() == [5.0, 1.0, 3.0]


# Folders


@pytest.mark.parametrize(
    "folders",
    [
        {"": {"Loss/train": FALLING, "Loss/val": RISING, "Other": [1.0]}},
        {"": {"train_loss_step": FALLING, "val_loss": RISING, "hp_metric": [1.0]}},
        {"train": {"epoch_loss": FALLING}, "validation": {"epoch_loss": RISING}},  # Keras
        {"": {"other": [1.0]}, "Loss_train": {"Loss": FALLING}, "Loss_val": {"Loss": RISING}},  # add_scalars
        {"": {"train/loss": FALLING, "eval/loss": RISING, "train/epoch": [1.0]}},  # the Hugging Face Trainer
    ],
    ids=["torch", "lightning", "keras", "add_scalars", "hugging-face"],
)
def test_event_folders(tmp_path: Path, folders: dict[str, dict[str, list[float]]]) -> None:
    for name, curves in folders.items():
        write(tmp_path / "run" / name, curves)
    assert causes(tmp_path / "run") == ["overfitting"]
    assert causes(tmp_path) == ["overfitting"]


def test_scalars_without_a_curve(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no learning curve") as raised:
        preceptor.diagnose(write(tmp_path, {"reward": [1.0, 2.0]}))
    assert "'reward'" in str(raised.value)


def test_lightning_takes_the_newest_version(tmp_path: Path) -> None:
    for version, val, age in ((0, FALLING, 50), (1, RISING, 0), (2, FALLING, 99)):
        folder = tmp_path / "lightning_logs" / f"version_{version}"
        folder.mkdir(parents=True)
        lines = ["epoch,step,train_loss_epoch,train_loss_step,val_loss"]
        for e, (a, b) in enumerate(zip(FALLING, val, strict=True)):
            lines += [f"{e},{10 * e + 4},,{a},", f"{e},{10 * e + 9},,,{b}", f"{e},{10 * e + 9},{a},,"]
        (folder / "metrics.csv").write_text("\n".join(lines))
        os.utime(folder / "metrics.csv", (1e9 - age, 1e9 - age))
    notes: list[str] = []
    assert causes(tmp_path, notes) == ["overfitting"]
    assert notes[0].startswith("3 runs lie in ")
    assert notes[0].endswith("version_1")


def test_ultralytics(tmp_path: Path) -> None:
    head = "epoch,time,train/box_loss,train/cls_loss,metrics/mAP50(B),val/box_loss,val/cls_loss,lr/pg0"
    rows = [
        f"   {e},   9,  {a / 4},  {3 * a / 4},   0.5,   {b / 2},   {b / 2},  0.01"
        for e, (a, b) in enumerate(zip(FALLING, RISING, strict=True))
    ]
    (tmp_path / "results.csv").write_text("\n".join([head.replace(",", ",   "), *rows]))
    curves = read_curves(tmp_path / "results.csv")
    assert curves["train_loss"].values.tolist() == pytest.approx(FALLING)
    assert curves["val_loss"].values.tolist() == pytest.approx(RISING)
    assert causes(tmp_path) == ["overfitting"]


def test_ultralytics_measures_on_validation(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "epoch,train/loss,metrics/accuracy_top1,metrics/accuracy_top5,val/loss\n1,2,0.3,0.8,2.1\n2,1,0.4,0.9,2\n"
    )
    curves = read_curves(tmp_path / "results.csv")
    assert curves["val_accuracy"].values.tolist() == [0.3, 0.4]
    assert "train_accuracy" not in curves


def test_a_misspelt_place_gets_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "experiment", {"loss": FALLING})
    with pytest.raises(DataError, match=r"did you mean .*experiment"):
        preceptor.diagnose(tmp_path / "experimnet")


def test_folders_are_looked_into_so_deep(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "c", {"loss": FALLING})
    assert logs.log_at(tmp_path) == tmp_path / "a" / "b" / "c"
    assert logs.log_at(tmp_path.parent / "nowhere") is None
    write(tmp_path / "x" / "a" / "b" / "c", {"loss": FALLING})
    assert logs.log_at(tmp_path / "x" / "..") == tmp_path / "x" / ".." / "a" / "b" / "c"
