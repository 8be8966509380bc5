"""One training, from a job to a finished run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from preceptor.data import Prepared, generators
from preceptor.diagnosis.finding import Finding
from preceptor.errors import StorageError
from preceptor.observation.watch import Watch
from preceptor.run._keeping import KeepHistory, Reopen
from preceptor.run._load import own_model_needed
from preceptor.run._processes import Kept, checkpoints_of, end, together
from preceptor.run._refusals import refuse_other_data, refuse_other_settings
from preceptor.run._run import Run
from preceptor.run.examined.attend import Job
from preceptor.run.examined.audit import look_over
from preceptor.run.examined.diagnosis import Diagnosis
from preceptor.run.shown.texts import KeepSamples
from preceptor.training.build import build, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.distribution import Distribution
from preceptor.training.experiment import Experiment
from preceptor.training.features import FeatureBatches
from preceptor.training.feeds import Feeds, Signature
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import make_feeds
from preceptor.training.loggers import begin_loggers
from preceptor.training.loop import fit
from preceptor.training.manifest import origin, versions
from preceptor.training.own_code import is_own_code
from preceptor.training.problem import Problem
from preceptor.training.spread import refuse_spread, spread
from preceptor.training.state import State

__all__ = ["perform"]


def perform(job: Job, folder: RunFolder | None = None) -> Run:
    """Train once, from the beginning or from what a folder holds, in one process or in several.

    Raises:
        StorageError: another process trains in that folder.
    """
    with ExitStack() as held:
        return together(job, folder, partial(_trained, held))


def _trained(held: ExitStack, job: Job, folder: RunFolder | None, distribution: Distribution | None) -> Run:
    experiment, objects, callbacks = job.experiment, job.objects, job.callbacks
    chosen = job.chosen
    resumed = folder is not None
    first, begun = distribution is None or distribution.first, folder
    if folder is not None and first:
        held.enter_context(folder.held("training"))
        folder.tidy()
    if folder is not None:
        chosen = chosen | set(folder.manifest["chosen"])
    device = distribution.device if distribution else choose_device(experiment.training.device)
    feeds, prepared, experiment = make_feeds(experiment, job.inputs, device)
    if folder is not None:
        refuse_other_data(folder, feeds.data)
    if objects.model is None and is_own_code(experiment.model.name):
        raise own_model_needed(experiment.model.name)
    with generators.seeded(experiment.seed), generators.deterministic(experiment.training.deterministic):
        problem, experiment = build(experiment, feeds, objects, device)
        problem.distribution = distribution
        refuse_spread(problem, experiment.training.shard)
        if folder is not None:
            refuse_other_settings(folder.experiment, experiment)
        if not first:
            folder = None
        elif folder is None and job.out is not False:
            # A loader does not tell its classes; by now the model has.
            signature = replace(feeds.signature, classes=getattr(problem.task, "classes", ()))
            folder = _begin(experiment, signature, feeds, prepared, chosen, job.out, problem)
            held.enter_context(folder.held("training"))
        elif folder is not None:
            callbacks = [Reopen(folder, experiment, chosen), *callbacks]
        run = Run(
            experiment=experiment,
            predictor=problem,
            feeds=feeds,
            prepared=prepared,
            folder=folder,
            chosen=chosen,
        )
        if first:
            look_over(run, resumed)
        watched = first and not (distribution and experiment.training.shard == "fully")
        keep = _keeping(run, problem, resumed=resumed, watched=watched)
        added = job.on_start(run) if job.on_start else ()
        begin_loggers([*callbacks, *added], experiment, folder)
        spread(problem, experiment.training.shard, experiment.seed)
        kept = checkpoints_of(run, begun, resumed=resumed, kept=job.out is not False)
        run.state = _fit(run, problem, [*callbacks, *keep, *added], kept)
    run.finish()
    return run


def _keeping(run: Run, problem: Problem, *, resumed: bool, watched: bool) -> list[Callback]:
    """Return what writes while a run goes on, and what looks on."""
    folder = run.folder
    keep: list[Callback] = [KeepHistory(folder)] if folder else []
    if run.coder is not None:
        run.samples = folder.samples if folder and resumed else []
        keep.append(KeepSamples(run))
    if watched and run.experiment.training.watch and Watch.current() is None:
        made = isinstance(problem.train, FeatureBatches)  # features, whose scale is not the user's to set
        run.diagnosis = Diagnosis(
            lambda finding: _tell(run, finding), ignore=("unscaled-inputs",) if made else ()
        )
        keep.append(run.diagnosis)
    return keep


def _tell(run: Run, finding: Finding) -> None:
    """Tell of a finding as it is made, and of all so far in the folder, for whoever looks into it."""
    with suppress(StorageError):  # a full disk shows where more is to be kept
        run.keep_findings()
    run.tell(finding)


def _begin(
    experiment: Experiment,
    signature: Signature,
    feeds: Feeds,
    prepared: Prepared | None,
    chosen: set[str],
    out: Path | str | bool | None,
    problem: Problem,
) -> RunFolder:
    """Make the run's folder, with all that is known before the first step."""
    facts = {
        "status": "running",
        "chosen": sorted(chosen),
        "signature": vars(signature),
        "split": prepared.split.text if prepared else feeds.text.split if feeds.text else None,
        "data": dict(feeds.data) or None,
        "versions": versions(),
        "ledger": [],
        **({"speed": problem.speed.to_plain()} if problem.speed else {}),
        **({"transfer": problem.transfer.to_plain()} if problem.transfer else {}),
        **({"processes": problem.distribution.processes} if problem.distribution else {}),
        **origin(),
    }
    files = {"experiment.toml": experiment.to_toml(), "manifest.json": json.dumps(facts, indent=1) + "\n"}
    if prepared:
        files["preprocessing.json"] = json.dumps(prepared.preprocessor.to_state()) + "\n"
    if feeds.text:
        files["vocabulary.json"] = json.dumps(feeds.text.coder.to_json(), ensure_ascii=False) + "\n"
    return RunFolder.create(experiment.name, files, out=out if isinstance(out, str | Path) else None)


def _fit(run: Run, problem: Problem, callbacks: Sequence[Callback], kept: Kept) -> State:
    settings, folder = run.experiment.training, run.folder
    checkpoints, snapshot = kept
    try:
        state = fit(
            problem,
            epochs=settings.epochs,
            patience=settings.patience,
            min_delta=settings.min_delta,
            restore_best=settings.restore_best,
            callbacks=callbacks,
            checkpoints=checkpoints,
            resume=snapshot,
            tell=run.note,
        )
        end(problem, state)
        return state
    except BaseException as error:
        if folder and folder.manifest["status"] == "running":
            with suppress(StorageError):  # a full disk is the likeliest reason to be here
                ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                folder.update_manifest(status=ended, notes=run.notes)
        raise
    finally:
        if problem.transfer is not None and problem.transfer.freezing is not None:
            problem.transfer.freezing.release()
