"""The run folder: one place for everything that a training leaves behind."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from preceptor.errors import CheckpointError, ConfigError, StorageError, nearest
from preceptor.files import strict, write_text
from preceptor.locks import hold
from preceptor.seals import KEY, checksum, sealed, unsealed
from preceptor.training.experiment import Experiment
from preceptor.training.history import History
from preceptor.training.storage import load_tensors, save_tensors

__all__ = ["RunFolder", "take_number"]

_TEXTS = (".json", ".toml", ".csv")
_HINTS = {
    "experiment.toml": "put back what stood there; for other settings begin a new run:"
    " preceptor train …/experiment.toml"
}


class RunFolder:
    """Settings, history, manifest, preprocessing, ``weights/`` and ``state/`` of one run.

    Every file but the report has a checksum: those of tensors and the manifest their own, the others in the
    manifest, under ``sealed``, those that change in training when it ends. What has changed since then is
    named when it is read, and not used.

    Arguments:
        path: an existing run folder.

    Raises:
        CheckpointError: there is no run in that folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not (self.path / "manifest.json").is_file():
            runs = sorted(p.parent.name for p in self.path.parent.glob("*/manifest.json"))
            runs = list(dict.fromkeys([*nearest(self.path.name, runs), *runs]))
            raise CheckpointError(
                f"no run in {self.path}",
                expected="a run folder, with its manifest.json",
                received="a folder without one" if self.path.is_dir() else "no such folder",
                hint=f"runs there: {', '.join(runs[:8])}" if runs else None,
            )

    @classmethod
    def create(
        cls, name: str, files: dict[str, str], *, out: Path | str | None = None, runs: Path | str = "runs"
    ) -> RunFolder:
        """Make a run folder with its first files: ``out`` itself, or the next free ``runs/<name>-<n>``.

        It appears whole: until everything is written it has a hidden name.

        Raises:
            ConfigError: ``out`` already holds something.
            StorageError: the folder cannot be made.
        """
        target = Path(out) if out is not None else None
        if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(
                f"{target} is not empty",
                expected="a new or empty folder for the run",
                received=f"a folder with {next(target.iterdir()).name!r}" if target.is_dir() else "a file",
                hint="choose another --out, or go on with --resume if it is an unfinished run",
            )
        parent = target.parent if target else Path(runs)
        hidden = parent / f".{target.name if target else name}.{secrets.token_hex(4)}.tmp"
        try:
            for part in ("weights", "state"):
                (hidden / part).mkdir(parents=True, exist_ok=True)
            for file, text in _sealed(files).items():
                write_text(hidden / file, text)
            return cls(hidden.rename(target) if target else take_number(hidden, Path(runs), name))
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"cannot make a run folder in {parent}",
                expected="a folder that can be written to",
                received=str(error),
                hint="choose another --out",
            ) from error

    @property
    def state(self) -> Path:
        """Where the checkpoint for an exact resume lies."""
        return self.path / "state" / "checkpoint.safetensors"

    @property
    def progress_file(self) -> Path:
        """Where a training notes how far it is, while it goes on."""
        return self.path / "state" / "progress.json"

    @property
    def progress(self) -> dict[str, Any] | None:
        """How far a training is: epoch, batch, rate, time left; None where nothing is noted."""
        try:
            found = json.loads(self.progress_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def experiment(self) -> Experiment:
        """Everything that was chosen, defaults included."""
        file = self.path / "experiment.toml"
        if file.is_file() and file.name in self._seals():
            self.text(file.name)
        return Experiment.read(file)

    @property
    def history(self) -> History:
        """The rows of the epochs, as of the last time they were written."""
        try:
            return History.from_csv(self.text("history.csv"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"no history in {self.path}",
                expected="a run that has ended",
                received=str(error),
                hint=f"finish it first: preceptor train --resume {self.path}",
            ) from error

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, origin, data, status, ledger."""
        manifest = self._manifest()
        absent = [key for key in ("status", "chosen", "signature", "ledger") if key not in manifest]
        if absent:
            raise CheckpointError(
                f"{self.path / 'manifest.json'} is not a run's manifest",
                expected=", ".join(absent),
                received=", ".join(manifest) or "nothing",
            )
        return manifest

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What was fitted on the training data."""
        return self.json("preprocessing.json")

    @property
    def findings(self) -> list[dict[str, Any]] | None:
        """What was found wrong, best guess first; None where nobody looked."""
        return self._listed("findings.json", "findings")

    @property
    def samples(self) -> list[dict[str, Any]]:
        """What the network wrote at the ends of some epochs, where a text was continued."""
        return self._listed("samples.json", "samples") or []

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The rounds of an attended training: what was tried, and what was applied."""
        return self._listed("changes.json", "rounds") or []

    def _listed(self, name: str, key: str) -> list[dict[str, Any]] | None:
        if not (self.path / name).is_file():
            return None
        listed = self.json(name).get(key)
        if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
            return listed
        raise CheckpointError(
            f"cannot read {self.path / name}",
            expected=f"a list of {key}",
            received=f"{type(listed).__name__} under {key!r}",
        )

    def text(self, name: str) -> str:
        """Return the text of a file.

        Raises:
            CheckpointError: it has changed since it was written.
            OSError: it cannot be read.
            ValueError: it is not UTF-8.
        """
        for last in (False, False, True):
            written = self._seals().get(name)
            data = (self.path / name).read_bytes()
            if written is None or checksum(data) == written:
                break
            if last:  # else a process may just have written both
                raise CheckpointError(
                    f"{self.path / name} has changed since the run wrote it",
                    expected=f"checksum {written}",
                    received=f"checksum {checksum(data)}",
                    hint=_HINTS.get(name, "put back what stood there"),
                )
        return data.decode("utf-8")

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in a file of JSON.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        try:
            content: dict[str, Any] = dict(json.loads(self.text(name)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"cannot read {self.path / name}", expected="a JSON object", received=str(error)
            ) from error
        return content

    def _manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        try:
            content = dict(json.loads(path.read_text(encoding="utf-8")))
            if "sealed" in content and KEY not in content:
                raise ValueError(f"{KEY!r} is missing")  # noqa: TRY301 - told below with the other kinds of damage
            return unsealed(content)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"cannot read {path}", expected="a JSON object, as the run wrote it", received=str(error)
            ) from error

    def _seals(self) -> dict[str, str]:
        found = self._manifest().get("sealed")
        return dict(found) if isinstance(found, dict) else {}

    def update_manifest(self, **changes: Any) -> None:
        """Set some entries of the manifest."""
        text = json.dumps(sealed({**self.manifest, **changes}), indent=1)
        write_text(self.path / "manifest.json", text + "\n")

    def seal(self, **changes: Any) -> None:
        """Set some entries of the manifest, and the checksums of all texts that have none yet."""
        seals = self._seals()
        for path in sorted(self.path.iterdir()):
            if path.suffix in _TEXTS and path.name != "manifest.json" and path.name[0] != ".":
                seals.setdefault(path.name, checksum(path.read_bytes()))
        self.update_manifest(**changes, sealed=seals)

    def unseal(self, *kept: str, **changes: Any) -> None:
        """Set some entries of the manifest, and leave only the checksums of files that stay as they are."""
        self.update_manifest(**changes, sealed={k: v for k, v in self._seals().items() if k in kept})

    def write(self, name: str, text: str) -> None:
        """Write a text file of the folder, whole or not at all."""
        seals = self._seals()
        if name not in seals:
            write_text(self.path / name, text)
            return
        # In this order a kill in between leaves a file without a checksum, and never one with a wrong one.
        self.update_manifest(sealed={k: v for k, v in seals.items() if k != name})
        write_text(self.path / name, text)
        self.update_manifest(sealed={**seals, name: checksum(text.encode())})

    def write_json(self, name: str, value: Any) -> None:
        """Write a file of JSON, as `preceptor.files.write_json` does."""
        self.write(name, json.dumps(strict(value), indent=1, default=str) + "\n")

    @contextmanager
    def held(self, doing: str, *, again: bool = False) -> Iterator[None]:
        """Hold the folder for the length of a block: another process that would write to it is refused.

        Arguments:
            doing: what for.
            again: whether a block around this one may hold it already.

        Raises:
            StorageError: another process writes to it, or nothing can be written there.
        """
        place = self.path / "state"  # an ensemble has none
        file = place / "lock" if place.is_dir() else self.path / ".lock"
        with hold(self.path, file, doing=doing, again=again):
            yield

    def tidy(self) -> None:
        """Remove what a process that was killed left half written; the folder must be held."""
        for place in (self.path, self.path / "weights", self.path / "state"):
            for leftover in place.glob(".*.tmp"):
                with suppress(OSError):
                    leftover.unlink()

    def write_weights(self, name: str, weights: dict[str, Tensor]) -> None:
        """Write ``weights/<name>.safetensors``."""
        save_tensors(self.path / "weights" / f"{name}.safetensors", weights)

    def weights(self, name: str = "best") -> dict[str, Tensor]:
        """Read ``weights/<name>.safetensors``.

        Raises:
            CheckpointError: there are none, or the file is damaged.
        """
        path = self.path / "weights" / f"{name}.safetensors"
        if self.manifest["signature"].get("kind") == "ensemble":
            raise CheckpointError(
                f"{self.path} is an ensemble, whose members have the weights",
                expected="a single run",
                received="several",
                hint=str(self.path / "member-1"),
            )
        try:
            return load_tensors(path)[0]
        except CheckpointError as error:
            raise CheckpointError(
                f"no weights in {path}",
                expected="a run that has ended" if not path.exists() else "weights as the run wrote them",
                received=error.received,
                hint=f"finish it first: preceptor train --resume {self.path}",
            ) from error


def _sealed(files: dict[str, str]) -> dict[str, str]:
    """Return a new run's files with the checksums of all in the manifest."""
    seals = {name: checksum(text.encode()) for name, text in files.items() if name != "manifest.json"}
    manifest = sealed({**json.loads(files["manifest.json"]), "sealed": seals})
    return {**files, "manifest.json": json.dumps(manifest, indent=1) + "\n"}


def take_number(hidden: Path, runs: Path, name: str) -> Path:
    """Give a hidden folder the next free name, ``<name>-<n>``, among others; return where it is."""
    ends = (p.name.rpartition("-")[2] for p in runs.glob(f"{name}-*"))
    number = max((int(end) for end in ends if end.isdecimal()), default=0) + 1
    while True:
        try:
            return hidden.rename(runs / f"{name}-{number}")
        except OSError as error:  # another process took that number between the look and the renaming
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            number += 1
