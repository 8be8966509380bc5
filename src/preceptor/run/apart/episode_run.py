"""`EpisodeRun`: learners of rewards that were trained side by side, and what can be done with them."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.catalogue import entry
from preceptor.catalogue.reinforcement import Environment, Learner, play
from preceptor.data import generators
from preceptor.errors import CheckpointError, ConfigError
from preceptor.report._format import count, number
from preceptor.report._table import Table
from preceptor.report.summary import Summary
from preceptor.run._evaluation import Evaluation
from preceptor.run.apart.refusal import Apart
from preceptor.tasks import mean_interval as student
from preceptor.training.checkpoints import Checkpoints
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.listed import parse_block
from preceptor.training.manifest import origin, versions

__all__ = [
    "EpisodeRun",
    "begin_episodes",
    "holds_episodes",
    "load_episodes",
    "make_world",
    "mean_interval",
    "new_run",
]


def make_world(source: str) -> Environment:
    """Return the environment of that name, with its options: ``"grid-world, size=7"``.

    Raises:
        UnknownName: there is none.
        ConfigError: an option that it has not.

    Example:
        >>> make_world("grid-world, size=7").size
        49
    """
    block = parse_block(source)
    world: Environment = entry(block.pop("name"), "environment").build(**block)
    return world


def make_learner(experiment: Experiment, seed: int) -> Learner:
    """Return a learner as the settings have it, its first weights drawn with a seed."""
    world = make_world(experiment.data.source)
    options = {key: value for key, value in experiment.model.options.items() if key != "seeds"}
    with generators.seeded(seed):
        learner: Learner = entry(experiment.model.name, "learner").build(
            (world.size,), world.actions, **options
        )
    return learner


def mean_interval(values: Any) -> tuple[float, float, float]:
    """Return a mean and Student's 95 % interval for it; of one value alone the interval is not known.

    Example:
        >>> [round(v, 3) for v in mean_interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
    """
    each = [float(value) for value in values]
    mean = statistics.fmean(each)
    if len(each) < 2:
        return mean, float("nan"), float("nan")
    return mean, *student(each)


@dataclass
class EpisodeRun(Apart):
    """Learners of rewards in an environment, alike but for their seeds.

    Attributes:
        experiment: everything that was chosen, defaults included.
        history: a row an epoch: ``train_return`` of the episodes that were learned from, ``val_return`` of
        those
            that were played with the best actions, both means over the learners, and the 95 % interval of the
            latter, ``return_low`` and ``return_high``, over the learners.
        learners: one for each seed.
        chances: the generator of each learner.
        each: the last ``val_return`` of each learner.
        folder: the run's folder; None where nothing is written.
        status: ``"running"``, ``"finished"`` or ``"interrupted"``.
        by_chance: the mean return of random actions.
    """

    experiment: Experiment
    history: History
    learners: list[Learner]
    chances: list[torch.Generator]
    each: list[float] = field(default_factory=list)
    folder: RunFolder | None = None
    status: str = "running"
    by_chance: float = float("nan")
    holds: ClassVar[str] = "learners of rewards"

    @property
    def world(self) -> Environment:
        """A new environment of the kind that was learned in."""
        return make_world(self.experiment.data.source)

    @property
    def best(self) -> Learner:
        """The learner with the largest return when it was last measured."""
        return self.learners[int(np.argmax(self.each))] if self.each else self.learners[0]

    def act(self, seen: Any) -> int:
        """Return the best action in a state, by the best learner: what is seen of it, (size,)."""
        return self.best.act(torch.as_tensor(seen, dtype=torch.float32))

    def predict(self, x: Any) -> NDArray[np.int64]:
        """Return the best action for each row of what is seen, (N, size).

        Raises:
            ConfigError: a file, or another number of numbers.
        """
        seen = torch.empty(0) if isinstance(x, str | Path) else torch.as_tensor(x, dtype=torch.float32)
        if seen.ndim != 2 or seen.shape[1] != self.world.size:
            raise ConfigError(
                "this run acts; it predicts nothing for a file",
                expected=f"run.predict(rows of {self.world.size} numbers), or run.play(episodes) in Python",
                received=str(x)[:80],
            )
        return np.array([self.act(row) for row in seen], dtype=np.int64)

    def play(self, episodes: int = 1, seed: int = 0) -> NDArray[np.float64]:
        """Let the best learner play new episodes; return the sum of rewards of each."""
        world = self.world
        chances = (torch.Generator().manual_seed(seed + i) for i in range(episodes))
        return np.array([play(self.best, world, chance) for chance in chances])

    def evaluate(self, on: Any = "test", episodes: int = 100) -> Evaluation:
        """Measure the best learner on new episodes; the interval is over episodes."""
        found = self.play(episodes, seed=1_000_000)
        mean, low, high = mean_interval(found)
        return Evaluation("episodes", episodes, float("nan"), {"return": mean}, (low, high))

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the run's folder. Return its path.

        Raises:
            ConfigError: neither a path nor a run folder.
        """
        from preceptor.report import write

        if path is None:
            if self.folder is None:
                raise ConfigError("the run has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(self._summary(), Path(path))

    def _summary(self) -> Summary:
        name = self.experiment.data.source
        return Summary(
            name=self.experiment.name,
            folder=str(self.folder.path) if self.folder else None,
            task=f"reinforcement: act in {name} so that rewards add up",
            measure="the mean return of episodes played with the best actions",
            experience=f"{count(len(self.history))} epochs of {count(_episodes(self.experiment))} "
            f"episodes for each "
            f"of {count(len(self.learners))} learners, alike but for their seeds",
            status=self.status,
            history=self.history.rows,
            best_epoch=None,
            monitor="val_return",
            notes=(
                f"Random actions return {number(self.by_chance)}, the best that can be done "
                f"{number(self.world.best)}.",
            ),
            tables=self._tables(),
        )

    def _tables(self) -> tuple[Table, ...]:
        rows = tuple(
            (str(row["epoch"]), *(number(row[k]) for k in ("val_return", "return_low", "return_high")))
            for row in self.history.rows[-40:]
        )
        head = ("epoch", "mean return", "from", "to")
        curve = Table("Learning curve, with the 95 % interval over learners", head, rows)
        seeds = tuple((str(i), number(value)) for i, value in enumerate(self.each))
        return curve, Table("Last mean return of each learner", ("learner", "return"), seeds)

    def keep(self) -> None:
        """Write the state of the learners and the history, so that the run can go on."""
        if self.folder is None:
            return
        state = {
            "learners": [learner.state_dict() for learner in self.learners],
            "chances": [chance.get_state() for chance in self.chances],
            "each": self.each,
            "by_chance": self.by_chance,
            "rows": [dict(row) for row in self.history.rows],
        }
        Checkpoints(self.folder.state).save(state)
        self.folder.write("history.csv", self.history.to_csv())
        self.folder.update_manifest(status=self.status)

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `keep` wrote."""
        for learner, own in zip(self.learners, state["learners"], strict=True):
            learner.load_state_dict(own)
        for chance, drawn in zip(self.chances, state["chances"], strict=True):
            chance.set_state(drawn)
        self.each, self.by_chance = list(state["each"]), float(state["by_chance"])
        self.history = History(list(state["rows"]))

    def __repr__(self) -> str:
        where = f" in {self.folder.path}" if self.folder else ""
        return f"<EpisodeRun {self.experiment.name}: {self.status}, {len(self.learners)} learners{where}>"


def _episodes(experiment: Experiment) -> int:
    return int(experiment.training.batch_size)


def new_run(experiment: Experiment) -> EpisodeRun:
    """Return a run that has not begun."""
    seeds = [experiment.seed + i for i in range(int(experiment.model.options["seeds"]))]
    learners = [make_learner(experiment, seed) for seed in seeds]
    chances = [torch.Generator().manual_seed(seed) for seed in seeds]
    return EpisodeRun(experiment, History(), learners, chances)


def begin_episodes(run: EpisodeRun, chosen: list[str], out: Path | str | bool | None) -> RunFolder:
    """Make the run's folder, with all that is known before the first episode."""
    facts = {
        "status": "running",
        "chosen": chosen,
        "signature": {"kind": "reinforcement"},
        "data": None,
        "versions": versions(),
        "ledger": [],
        **origin(),
    }
    files = {"experiment.toml": run.experiment.to_toml(), "manifest.json": json.dumps(facts, indent=1) + "\n"}
    where = out if isinstance(out, str | Path) else None
    return RunFolder.create(run.experiment.name, files, out=where)


def holds_episodes(folder: RunFolder) -> bool:
    """Say whether a folder holds learners of rewards."""
    return bool(folder.manifest["signature"].get("kind") == "reinforcement")


def load_episodes(folder: Path | str, *, begun: bool = False) -> EpisodeRun:
    """Load a run of learners from its folder.

    Arguments:
        folder: the run's folder.
        begun: whether a run that was killed in its first epoch is returned too, as it was before that.

    Raises:
        CheckpointError: no such run, or damaged files.
    """
    where = RunFolder(folder)
    if not holds_episodes(where):
        raise CheckpointError(
            f"{where.path} holds no learners of rewards",
            expected="a run of --task reinforcement",
            received=f"a run of {where.experiment.task}",
        )
    run = new_run(where.experiment)
    run.folder, run.status = where, str(where.manifest["status"])
    checkpoints = Checkpoints(where.state)
    if begun and not checkpoints.exist:
        return run
    try:
        run.restore(checkpoints.load())
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"cannot read {where.state}", received=repr(error)) from error
    return run
