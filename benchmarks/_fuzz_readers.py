"""What is read in the fuzzing: for each reader sound files to begin with, and what a user's call would be."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import preceptor
from _fuzz_mutate import Mutator, bytewise, framed_events, in_json, in_record, in_safetensors, in_zip
from preceptor.catalogue import get
from preceptor.data import Preprocessor, load, prepare
from preceptor.data._images import decode
from preceptor.data._new_data import read_inputs
from preceptor.data.text import Vocabulary, read_lines, read_pairs, read_pieces
from preceptor.diagnosis.baseline import read_baseline, write_baseline
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.logs import curves_at, log_at
from preceptor.errors import PreceptorError
from preceptor.observation.observed import Observed
from preceptor.report.live import look_at, run_page
from preceptor.run._load import stored_coder
from preceptor.seals import KEY
from preceptor.search.journal import Journal, Result, Trial
from preceptor.search.plan import Plan
from preceptor.search.search import Search
from preceptor.search.space import Space, value_of
from preceptor.training.experiment import Experiment, parse_assignments
from preceptor.training.storage import load_tree, save_tree

__all__ = ["READERS", "Reader"]

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """Where the damaged file lies, what it began as, how it is damaged, how it is read.

    Attributes:
        name: of the file within a folder that is its alone.
        seeds: makes sound contents of it.
        read: what a user's call comes to, given the folder.
        mutate: damages a content.
        around: makes what lies beside it, once.
        cost: cases of others that one of it takes the time of, about.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    read: Read
    mutate: Mutator | Any = bytewise
    around: Callable[[Path], None] = lambda folder: None
    cost: int = 1


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


def _packed(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [pack(text.encode()) for text in texts for pack in (gzip.compress, lzma.compress, bytes)]


def _each(*acts: Read) -> Read:
    """Return what calls all, each of which may refuse."""

    def read(folder: Path) -> None:
        for act in acts:
            try:
                act(folder)
            except PreceptorError as error:
                str(error)

    return read


_CSV = (
    'age,town,y\n39,"Bad Ems, Lahn",1.5\n50,Ulm,2\n?,Ulm,3e4\n41,"a ""b""",-0.5\n',
    "a;b;y\n1,5;x;0\n2,5;y;1\n3;z;1\n",
    "a\tb\ty\n1\t2\t3\n4\t5\t6\n7\t8\t9\n",
)
_TOML = Experiment.of({"data.source": "digits", "model.name": "mlp", "model.hidden": [32, 16]}).to_toml()
_CURVES = (
    "epoch,train_loss,val_loss,val_acc,lr\n1,2.3,2.2,10%,0.1\n2,2.0,1.9,30%,0.1\n3,1.0,,50%,0.01\n",
    "step;train/box_loss;train/cls_loss;metrics/mAP50\n1;1,5;2;0.1\n2;1;1;nan\n",
)
_TREES = "(S (NP (D the) (N dog)) (VP (V ran)))\n(S (NP-SBJ (-NONE- *)) (VP (V see) (NP (N cats))))\n"
_TAGGED = "# a note\nthe DET\ndog NOUN\nran VERB\n\ncats NOUN\nsee VERB\n"
_CONLLU = "1\tthe\tthe\tDET\n2-3\tdu\t_\t_\n2\tdog\tdog\tNOUN\n\n1\tcats\tcat\tNOUN\n"
_FINDINGS = [
    Finding(
        "overfitting", "warning", "The validation loss rises.", {"gap": 0.3, "at": [1, 2]}, steps=(3,)
    ).to_plain(),
    Finding("missing-backward", "critical", "…", where="train.py:12", layers=("fc.weight",)).to_plain(),
]


def _idx() -> list[bytes]:
    values = np.arange(4 * 3 * 3, dtype=np.uint8)
    head = b"\0\0\x08\x03" + np.array([4, 3, 3], ">u4").tobytes()
    return [
        head + values.tobytes(),
        gzip.compress(head + values.tobytes()),
        head[:3] + b"\x01\0\0\0\x24" + values.tobytes(),
    ]


def _beside_idx(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x04" + bytes(range(4)))


def _npz() -> list[bytes]:
    rng, found = np.random.default_rng(0), []
    jpeg = _image("JPEG")
    parts = {"train_images": (4, 5, 5), "test_images": (2, 5, 5)}
    kinds: tuple[dict[str, Any], ...] = (
        {"x": rng.normal(size=(6, 3)), "y": np.arange(6) % 2},
        {name: rng.integers(0, 255, shape) for name, shape in parts.items()}
        | {"train_labels": np.arange(4), "test_labels": np.arange(2), "class_names": np.array(list("abcd"))},
        {"images": rng.integers(0, 255, (2, 4, 4), np.uint8), "masks": rng.integers(0, 3, (2, 4, 4))},
        {
            "jpeg": np.frombuffer(jpeg * 2, np.uint8),
            "offset": np.arange(3) * len(jpeg),
            "y": np.array(["a", "b"]),
        },
    )
    for arrays in kinds:
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)
        found.append(out.getvalue())
    return found


def _image(form: str, mode: str = "RGB", size: tuple[int, int] = (7, 5)) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(out, form)
    return out.getvalue()


def _mask() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7) % 3).save(out, "PNG")
    return out.getvalue()


def _images() -> list[bytes]:
    forms = [("PNG", m) for m in ("RGB", "L", "P", "RGBA", "I;16", "1")] + [
        ("GIF", "P"),
        ("PPM", "RGB"),
        ("PPM", "L"),
    ]
    forms += [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("WEBP", "RGB"),
        ("JPEG", "CMYK"),
    ]
    return [_image(form, mode) for form, mode in forms]


def _pictures(folder: Path) -> None:
    for place in ("images", "masks"):
        (folder / place).mkdir()
        for name in "ab":
            (folder / place / f"{name}.png").write_bytes(_image("PNG") if place == "images" else _mask())


def _safetensors() -> list[bytes]:
    import torch

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.safetensors"
        tree = {
            "step": 3,
            "moments": {0: torch.ones(2), "b": (1.0, None, "x")},
            "rows": [{"a": True}, torch.zeros(2, 2)],
        }
        save_tree(path, tree)
        return [path.read_bytes()]


def _journal() -> list[bytes]:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "journal.jsonl"
        with Journal(path) as journal:
            for number in range(3):
                journal.begin(
                    Trial(
                        number,
                        "random",
                        {"optimizer.lr": 0.1, "model.hidden": (8, 4)},
                        parent=number - 1 or None,
                    )
                )
                journal.end(
                    number, Result(0.5, {"val_loss": 0.5}, 3, 30, 1.5, 2, notes=("odd",)), elapsed=3.0
                )
            journal.go_on(1, 9)
            journal.say("note", text="x")
        return [path.read_bytes()]


def _lines_of_json(rng: Any, content: bytes, others: Any) -> bytes:
    """Change one line of JSON among several."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = in_json(rng, lines[at], [content]) if lines[at] else lines[at]
    return b"\n".join(lines)


def _baseline() -> list[bytes]:
    with tempfile.TemporaryDirectory() as place:
        write_baseline(Path(place) / "a.json", [Finding.from_plain(one) for one in _FINDINGS])
        return [(Path(place) / "a.json").read_bytes()]


def _events() -> list[bytes]:
    from preceptor.diagnosis.events import _masked

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2, len(data)]) + data

    def framed(data: bytes) -> bytes:
        head = len(data).to_bytes(8, "little")
        return head + _masked(head).to_bytes(4, "little") + data + _masked(data).to_bytes(4, "little")

    simple = [
        b"\x10" + bytes([i]) + field(5, field(1, field(1, b"loss") + b"\x15\0\0\x80\x3f"))
        for i in range(1, 5)
    ]
    tensor = field(1, b"val_loss") + field(8, b"\x08\x01" + field(4, b"\0\0\x80\x3f"))
    listed = field(1, b"accuracy") + field(8, b"\x08\x01" + field(5, b"\0\0\0\x3f"))
    return [
        b"".join(
            map(
                framed,
                [*simple, b"\x10\x05" + field(5, field(1, tensor)), b"\x10\x05" + field(5, field(1, listed))],
            )
        )
    ]


_RUN: list[Path] = []


def made_run() -> Path:
    """Return the folder of a small run with everything in it, trained once in this process."""
    if not _RUN:
        place = Path(tempfile.mkdtemp(prefix="preceptor-fuzz-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = preceptor.train("mlp", "iris", settings={"model.hidden": [4], "training.watch": True},
                                  epochs=2, out=place / "run")  # fmt: skip
        folder = run.folder.path  # type: ignore[union-attr]
        (folder / "findings.json").write_text(json.dumps({"findings": _FINDINGS}))
        _unsealed(folder)
        _RUN.append(folder)
    return _RUN[0]


def _of_run(name: str) -> Callable[[], list[bytes]]:
    return lambda: [(made_run() / name).read_bytes()]


def _copied(folder: Path) -> None:
    shutil.copytree(made_run(), folder, dirs_exist_ok=True)


def _unsealed(folder: Path) -> None:
    """Take the checksums out of a run's manifest, as whoever means harm would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in manifest.items() if key not in ("sealed", KEY)}))


def _shown(folder: Path) -> None:
    run_page(look_at("run", folder))


_opened: Read = _each(lambda folder: preceptor.load(folder), _shown)
_seen: Read = _each(lambda folder: Observed.load(folder / "record"))


def _arrays(name: str) -> Callable[[], list[bytes]]:
    return lambda: [next((made_run() / "record").glob(name)).read_bytes()]


def _record(folder: Path) -> None:
    shutil.copytree(made_run() / "record", folder / "record")


def _texts_read(folder: Path) -> None:
    path = folder / "a.txt"
    list(read_lines(path))
    list(read_pieces(path, 3, 50))


def _pairs(folder: Path) -> None:
    list(read_pairs(folder / "a.tsv"))


@lru_cache(maxsize=1)
def _of_a_table() -> Preprocessor:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "a.csv").write_text(_CSV[0])
        return prepare(load(Path(place) / "a.csv", target="y")).preprocessor


def _new(folder: Path) -> None:
    read_inputs(folder / "a.csv", _of_a_table())


def _nested() -> list[bytes]:
    return [json.dumps(Experiment.from_toml(_TOML).model_dump()).encode()]


def _of_nested(folder: Path) -> None:
    """Exchange values of settings, and write what is left of them as TOML again."""
    try:
        plain = json.loads((folder / "a.json").read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(plain, dict):
        Experiment.from_toml(Experiment.of(plain).to_toml())


def _settings(folder: Path) -> None:
    text = (folder / "a").read_bytes().decode("utf-8", "replace")
    _each(
        lambda _: Experiment.of(parse_assignments([text])),
        lambda _: value_of(text),
        lambda _: Space.parse({"optimizer.lr": text}),
    )(folder)


def _plan() -> list[bytes]:
    plan = Plan(
        "a", {"optimizer.lr": "log:1e-4..1e-1", "model.hidden": "8|16"}, chosen={"data.source": "digits"}
    )
    return [json.dumps(plan.to_plain(), default=str).encode()]


def _planned(folder: Path) -> None:
    Search(folder)


def _symbols() -> list[bytes]:
    return [json.dumps(Vocabulary.build(["the dog", "a dog"]).to_json()).encode()]


def _stored(folder: Path) -> None:
    coder = stored_coder(folder)
    if coder is not None:
        coder.decode(coder.encode("the dog"))


_IN_A_RUN: dict[str, Any] = {
    "manifest.json": in_json,
    "experiment.toml": bytewise,
    "preprocessing.json": in_json,
    "history.csv": bytewise,
    "findings.json": in_json,
    "audit.json": in_json,
    "reference.safetensors": in_safetensors,
    "weights/best.safetensors": in_safetensors,
}


def _readers() -> Iterator[tuple[str, Reader]]:
    csv = lambda folder: load(folder / "a.csv", target="y")  # noqa: E731
    yield "csv", Reader("a.csv", _texts(*_CSV), _each(csv, lambda f: load(f / "a.csv", labelled=False)))
    yield "csv.gz", Reader("a.csv", _packed(*_CSV), csv)
    yield "new rows", Reader("a.csv", _texts(*_CSV), _new)
    yield "curves", Reader("history.csv", _texts(*_CURVES), lambda f: curves_at(log_at(f) or f))
    yield "toml", Reader("a.toml", _texts(_TOML), lambda f: Experiment.read(f / "a.toml"))
    yield "nested", Reader("a.json", _nested, _of_nested, in_json)
    yield "settings", Reader("a", _texts("model.hidden=[1,2]", "log:1e-4..1e-1", "a=b"), _settings)
    yield "idx", Reader("train-images-idx3-ubyte", _idx, lambda f: load(f), around=_beside_idx)
    yield "npz", Reader("a.npz", _npz, lambda f: load(f / "a.npz"), in_zip, cost=4)
    yield "image", Reader("a.png", _images, lambda f: decode(f / "a.png", "a.png"))
    yield "picture", Reader("images/a.png", _images, load, around=_pictures, cost=8)
    yield "mask", Reader("masks/a.png", _images, load, around=_pictures, cost=8)
    yield (
        "classes",
        Reader(
            "classes.txt",
            _texts("sky\nroad\ncar\n", "0 0 0 sky\n1 1 1 road\n2 2 2 car\n"),
            load,
            around=_pictures,
            cost=8,
        ),
    )
    yield "text", Reader("a.txt", _packed("one two\nthree\n\nfour é\n"), _texts_read)
    yield "pairs", Reader("a.tsv", _texts("a dog\tein Hund\na cat\teine Katze\n"), _pairs)
    yield "tagged", Reader("a.conll", _texts(_TAGGED), lambda f: load(f / "a.conll"))
    yield "conllu", Reader("a.conllu", _texts(_CONLLU), lambda f: load(f / "a.conllu"))
    yield "trees", Reader("a.mrg", _texts(_TREES), lambda f: load(f / "a.mrg"))
    yield "vectors", Reader("a.txt", _packed("2 2\nking 1 0\nqueen 1 1\n", "a b 1 2 3\nc 3 4 5\n"),
                            lambda f: get("word-vectors", f / "a.txt"))  # fmt: skip
    yield "events", Reader("events.out.tfevents.1", _events, lambda f: curves_at(f), framed_events)
    yield (
        "checkpoint",
        Reader("a.safetensors", _safetensors, lambda f: load_tree(f / "a.safetensors"), in_safetensors),
    )
    yield (
        "journal",
        Reader("journal.jsonl", _journal, lambda f: Journal(f / "journal.jsonl").trials, _lines_of_json),
    )
    yield "plan", Reader("search.json", _plan, _planned, in_json)
    yield "baseline", Reader("a.json", _baseline, lambda f: read_baseline(f / "a.json"), in_json)
    yield "vocabulary", Reader("vocabulary.json", _symbols, _stored, in_json, around=_copied)
    yield (
        "observed",
        Reader("record/observed.json", _of_run("record/observed.json"), _seen, in_json, _record, cost=20),
    )
    yield (
        "record",
        Reader("record/record.json", _of_run("record/record.json"), _seen, in_json, _record, cost=20),
    )
    yield "series", Reader("record/series", _arrays("series-*"), _seen, in_record, _record, cost=20)
    for name, mutate in _IN_A_RUN.items():
        yield f"run {name}", Reader(name, _of_run(name), _opened, mutate, _copied, cost=60)


READERS = dict(_readers())
