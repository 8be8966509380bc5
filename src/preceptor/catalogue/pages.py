"""The pages of the catalogue in ``docs/``: written from the entries themselves, so that they cannot drift.

``python -m preceptor.catalogue.pages docs`` writes them.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from preceptor.catalogue._entry import Entry
from preceptor.catalogue._registry import find, kinds
from preceptor.catalogue.errata import ERRATA, FAMILIES, Erratum

__all__ = ["kinds_table", "pages", "plural"]

_WIDTH = 118
_HEAD = "## The kinds\n"
_NAMED_AS = {
    "regularizer": 'Named in `regularizers`, a list: `["l1=1e-5", "max-norm=3"]`.',
    "normalization": "Modules; named as `model.normalization`.",
    "model-transform": "Functions of a model.",
    "layer": "Modules, for networks of your own.",
    "calculator": "Functions of sizes, layers and models.",
    "averaging": "Averages of weights are named in `regularizers`; the others are functions and modules.",
    "augmentation": "Named in `augmentations`, a list; modules before a model, fixed in evaluation.",
    "activation": "Named as `model.activation`.",
    "architecture": "Named as `model`.",
    "environment": "Worlds to act in: `preceptor train NAME --task reinforcement`.",
    "learner": "Learners of rewards, named as `model` of the task reinforcement.",
    "estimation": "Functions of samples, outputs and targets: what the losses are derived from.",
    "initialization": "Functions of a whole model: what its start is worth, and how to mend it.",
    "decoding": "Functions of raw outputs or of a model: how what is said next is chosen.",
    "derivative": "Functions of functions, modules and tensors: what automatic differentiation can tell.",
    "feature-map": "Modules before a linear layer.",
    "inspection": "Functions of data, models and runs, each with numbers, a sentence and pictures.",
    "initializer": "Named as `model.init`; fills the weights, and sets biases to zero.",
    "language-model": "Functions of token ids: models that count, their measures, and decoding with them.",
    "loss": "Named as `loss`; what is trained with takes logits, not probabilities.",
    "metric": "Named in `metrics`; history keys write them with an underscore, as `val_macro_f1`.",
    "optimizer": "Named as `optimizer`.",
    "output-unit": "What turns raw outputs into predictions; follows from the loss.",
    "procedure": "Functions of settings, labels and results: `preceptor search`, `preceptor cross-validate`.",
    "rate-rule": "Functions of rates, schedules and models: what a learning rate amounts to.",
    "schedule": "Named as `schedule`; lengths are in epochs.",
    "solver": "Functions of A and b; in a training named as `optimizer.solver` of `closed-form`.",
    "structure": "Functions of data without targets; named as `model` of the tasks clustering and "
    "principal-components.",
    "transfer": "Functions of a trained model, for other data; `preceptor train --from RUN` uses them.",
    "word-embedding": "Functions of token ids, counts and vectors; `glove` is trained by `--task embedding`.",
    "worked-example": "Derivations done by hand, to be held against automatic differentiation.",
}
_UNCOUNTED = ("estimation", "initialization", "transfer")
_PARTS = (
    ("formula", "Formula"),
    ("shapes", "Shapes"),
    ("when", "When"),
    ("pitfalls", "Pitfalls"),
    ("differs", "Differs"),
    ("source", "Source"),
)


def pages() -> dict[str, str]:
    """Return the text of every page by its place below ``docs/``: one a kind, and the misprints.

    Example:
        >>> sorted(pages())[:2]
        ['catalogue/activation.md', 'catalogue/architecture.md']
    """
    return {
        **{f"catalogue/{kind}.md": _kind_page(kind) for kind in kinds()},
        "catalogue/errata.md": _errata_page(),
    }


def kinds_table() -> str:
    """Return the last section of ``docs/catalogue.md``: every kind with its names."""
    lines = [_HEAD, "| kind | entries | names |", "|---|---|---|"]
    for kind, count in kinds().items():
        names = ", ".join(f"`{e.name}`" for e in find(kind=kind))
        lines.append(f"| [{kind}](catalogue/{kind}.md) | {count} | {names} |")
    return "\n".join(lines) + "\n"


def plural(kind: str) -> str:
    """Return a kind as a heading has it.

    Example:
        >>> plural("output-unit"), plural("regularity")
        ('Output units', 'Regularities')
    """
    word = kind.replace("-", " ")
    if word in _UNCOUNTED:
        return word[:1].upper() + word[1:]
    many = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("s") else "s")
    return many[:1].upper() + many[1:]


def _kind_page(kind: str) -> str:
    lines = [f"# {plural(kind)}", ""]
    if kind in _NAMED_AS:
        lines += [_NAMED_AS[kind], ""]
    lines += ["How names are looked up: [Catalogue](../catalogue.md).", ""]
    head = kind.replace("-", " ")
    lines += [f"| {head} | also called | what it is | options |", "|---|---|---|---|"]
    entries = find(kind=kind)
    lines += [_row(e) for e in entries]
    for e in entries:
        lines += ["", f"## {e.name}", "", *_section(e)]
    return "\n".join(lines) + "\n"


def _row(e: Entry) -> str:
    aliases = ", ".join(f"`{alias}`" for alias in e.aliases)
    options = ", ".join(f"`{key}={value!r}`" for key, value in e.defaults.items())
    cells = (f"`{e.name}`", aliases, e.summary, options)
    return "|" + "".join(f" {cell.replace('|', '∣')} |" if cell else " |" for cell in cells)


def _section(e: Entry) -> list[str]:
    parts = [e.summary]
    parts += [f"**{label}.** {getattr(e, name).rstrip('.')}." for name, label in _PARTS if getattr(e, name)]
    lines: list[str] = []
    for part in parts:
        lines += [*_filled(part), ""]
    lines += [f"    {line}" if line else "" for line in e.example.splitlines()]
    return lines


def _errata_page() -> str:
    lines = [
        "# Misprints",
        "",
        *_filled(
            "What lecture notes and summaries often print wrongly, and the right form. Each has a test that "
            "the"
            " printed form fails. On the command line: `preceptor catalogue errata`, and with a topic all"
            " about one."
        ),
    ]
    for family in FAMILIES:
        lines += ["", f"## {family[:1].upper()}{family[1:]}"]
        for erratum in ERRATA.values():
            if erratum.family == family:
                lines += ["", f"### {erratum.topic}", "", *_erratum(erratum)]
    return "\n".join(lines) + "\n"


def _erratum(erratum: Erratum) -> list[str]:
    lines = [f"- printed: {erratum.printed}", f"- right: {erratum.right}", f"- why: {erratum.why}"]
    if erratum.entries:
        lines.append("- see: " + ", ".join(f"`{name}`" for name in erratum.entries))
    return [filled for line in lines for filled in _filled(line)]


def _filled(text: str) -> list[str]:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _write(docs: Path) -> None:
    wanted, folder = pages(), docs / "catalogue"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if f"catalogue/{old.name}" not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (docs / name).write_text(text, encoding="utf-8")
    guide = docs / "catalogue.md"
    before = guide.read_text(encoding="utf-8").partition(_HEAD)[0]
    guide.write_text(before + kinds_table(), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
