"""The run folder: one place for everything that a training leaves behind."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from preceptor.errors import CheckpointError, ConfigError, StorageError
from preceptor.files import atomic, write_text
from preceptor.training.experiment import Experiment
from preceptor.training.history import History

__all__ = ["RunFolder", "take_number"]


class RunFolder:
    """Settings, history, manifest, preprocessing, ``weights/`` and ``state/`` of one run.

    Arguments:
        path: an existing run folder.

    Raises:
        CheckpointError: there is no run in that folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not (self.path / "manifest.json").is_file():
            runs = sorted(p.parent.name for p in self.path.parent.glob("*/manifest.json"))
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
            for file, text in files.items():
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
        return Experiment.read(self.path / "experiment.toml")

    @property
    def history(self) -> History:
        """The rows of the epochs, as of the last time they were written."""
        try:
            return History.from_csv((self.path / "history.csv").read_text(encoding="utf-8"))
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
        manifest = self._json("manifest.json")
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
        return self._json("preprocessing.json")

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
        listed = self._json(name).get(key)
        if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
            return listed
        raise CheckpointError(
            f"cannot read {self.path / name}",
            expected=f"a list of {key}",
            received=f"{type(listed).__name__} under {key!r}",
        )

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"cannot read {self.path / name}", expected="a JSON object", received=str(error)
            ) from error
        return content

    def update_manifest(self, **changes: Any) -> None:
        """Set some entries of the manifest."""
        write_text(self.path / "manifest.json", json.dumps({**self.manifest, **changes}, indent=1) + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a text file of the folder, whole or not at all."""
        write_text(self.path / name, text)

    def write_weights(self, name: str, weights: dict[str, Tensor]) -> None:
        """Write ``weights/<name>.safetensors``."""
        own = {k: v.detach().cpu().contiguous().clone() for k, v in weights.items()}
        with atomic(self.path / "weights" / f"{name}.safetensors") as temporary:
            save_file(own, temporary)

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
            return load_file(path)
        except (OSError, ValueError, SafetensorError) as error:
            raise _no_weights(path, error) from error


def _no_weights(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"no weights in {path}",
        expected="a run that has ended",
        received=str(error),
        hint="finish it first: preceptor train --resume " + str(path.parent.parent),
    )


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
