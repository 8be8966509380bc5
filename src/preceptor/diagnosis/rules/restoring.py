"""Rules: states that are kept and restored."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis._order import stretches
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []


@rule("stale-best-weights", early=True)
def best_weights_that_are_the_live_ones(case: Case) -> Iterator[Finding]:
    """Name a state that is loaded back and consists of the model's own tensors.

    Exact: state_dict() hands out references. Where such a state is loaded after further steps, every tensor
    in it lies in the memory of the parameter that it is to be written to: it holds the latest weights, not
    those of the moment when it was taken, and loading does nothing. Copies lie elsewhere. A state that is
    kept and never loaded cannot be told from one that is written to a file. PyTorch manual, Saving and
    loading models (2025).
    """
    for row in case.facts.get("restored", []):
        taken = row.get("taken")
        if not row.get("own") or taken is None or row["step"] <= taken:
            continue
        yield Finding(
            "stale-best-weights",
            "warning",
            f"The state of {row['class']} that is loaded after step {row['step']} is the model's own, not a"
            f" copy from step {taken}.",
            {"state_dict() at": row.get("taken_where", ""), "tensors shared with the model": True},
            exact=True,
            where=row["where"],
            steps=(row["step"],),
            effect="the weights that were to be kept were overwritten by each later step",
            remedy="keep copy.deepcopy(model.state_dict()), or save it to a file",
        )
        return


@rule("stale-best-weights")
def best_weights_that_are_never_restored(case: Case) -> Iterator[Finding]:
    """Name states that were kept when an evaluation went well, and that nobody put back.

    From the order of calls: state_dict() was called after some evaluations and not after others, the last
    evaluations were among the others, so that by the program's own measure an earlier state was better; and
    until the end nothing was loaded and nothing was written to a file. A state that is taken at every
    evaluation, or between evaluations (moving averages), or at the end, is kept for another purpose.
    Prechelt, Early Stopping — But When? (1998).
    """
    if case.facts.get("saved"):
        return
    taken, judged, lines = set(), set(), []
    for stretch in stretches(case):
        for event in stretch.events:
            if event.kind == "load_state_dict":
                return
            if event.kind == "forward" and not event.grad:
                judged.add(stretch.step)
            elif event.kind == "state_dict":
                taken.add(stretch.step)
                lines.append(event.where)
    if len(judged) < 3 or not taken or not taken < judged or max(taken) == max(judged):
        return
    later = sum(step > max(taken) for step in judged)
    yield Finding(
        "stale-best-weights",
        "warning",
        f"The weights kept after step {max(taken)} were never put back: {later} later"
        f" evaluation{'s' if later > 1 else ''} did not replace them.",
        {
            "kept after steps": sorted(taken)[-5:],
            "evaluations": len(judged),
            "evaluations since": later,
            "states loaded": 0,
            "files written by torch.save": 0,
        },
        confidence=0.75,
        where=lines[-1],
        steps=(max(taken),),
        effect="what is used and reported in the end are the last weights, not the best ones",
        remedy="call model.load_state_dict(best) after the loop",
        against=("the kept state may be used in a way that was not seen",),
    )
