"""Terms of what Preceptor sees, says and does."""

from __future__ import annotations

from preceptor.report.glossary._term import Term

__all__ = ["TERMS"]

TERMS = (
    Term(
        "run",
        "One training, and the folder that it leaves.",
        here="`preceptor.train`, `runs/`",
        page="runs.md",
    ),
    Term(
        "watch",
        "What looks on while something trains, and changes nothing of it.",
        here="`preceptor run`, `preceptor.watch`",
        page="watch.md",
    ),
    Term(
        "signal",
        "A number of a training, step by step: a norm, a share, a time.",
        here="`watch.record.signal(name)`",
        page="watch.md",
    ),
    Term(
        "look",
        "A step at which signals are measured. Looks grow rarer, so that watching costs little.",
        page="watch.md",
    ),
    Term("cost of watching", "The share of the program's time that looking at it took.", page="watch.md"),
    Term(
        "protocol",
        "Which calls a program made, in which order: zero_grad, forward, loss, backward, step.",
        here="`watch.protocol`",
        page="watch.md",
    ),
    Term(
        "finding",
        "One cause of what goes wrong, with its evidence, its place in the code and a remedy.",
        aliases=("findings", "verdict"),
        here="`findings.json`, `run.findings`",
        page="diagnosis.md",
    ),
    Term(
        "cause",
        "What may be wrong with a training; each has a name and a page.",
        here="`preceptor catalogue causes`",
        page="causes.md",
    ),
    Term("remedy", "What would remove a cause.", page="causes.md"),
    Term(
        "trial",
        "A remedy, tried: two trainings that differ by one change, in several pairs.",
        aliases=("twin", "verified"),
        here="`--try`, `--attend`",
        page="trials.md",
    ),
    Term("patch", "A remedy as an edit of the program.", here="`--write`", page="patches.md"),
    Term(
        "ledger",
        "The list of looks at the test set: every one counts, and a second one needs a reason.",
        here="`manifest.json`",
        page="runs.md",
    ),
    Term(
        "population",
        "Many small networks, trained at once in one step.",
        here="`preceptor.train_population`",
        page="populations.md",
    ),
    Term(
        "best epoch",
        "The epoch with the best value of the monitored measure; its weights are kept.",
        here="`training.monitor`",
        page="runs.md",
    ),
    Term(
        "gradient norm",
        "{grad_norm}. Where it fades from the last layer to the first, the gradient vanishes.",
        page="watch.md",
    ),
    Term("weight norm", "{weight_norm}.", page="watch.md"),
    Term("norm of the whole gradient", "{total_grad_norm}.", page="watch.md"),
    Term(
        "update ÷ weight",
        "{update_ratio}. About 1e-3 is usual: much less learns nothing, much more undoes what was learned.",
        aliases=("update ratio",),
        page="watch.md",
    ),
    Term("zero gradients", "{zero_grad_share}.", page="watch.md"),
    Term(
        "updates lost",
        "{lost_update_share}. Rounding swallows an update that is too small beside its weight.",
        page="watch.md",
    ),
    Term("inactive", "{inactive_units}. A unit that is never active passes no gradient on.", page="watch.md"),
    Term("saturated", "{saturated_share}. At a bound the slope is nearly 0.", page="watch.md"),
    Term("constant", "{constant_output}. Such a unit tells nothing about its input.", page="watch.md"),
    Term(
        "lab",
        "A claim of the field as an experiment with a verdict: confirmed, refuted or inconclusive.",
        here="`preceptor lab`",
        page="labs.md",
    ),
)
