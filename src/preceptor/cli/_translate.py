"""``preceptor translate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["translate"]


def translate(
    run: Annotated[Path, typer.Argument(help="The folder of a run on pairs of sentences.")],
    sentences: Annotated[list[str] | None, typer.Argument(help="What is to be translated.")] = None,
    file: Annotated[Path | None, typer.Option(help="Sentences of a text file, one on a line.")] = None,
    beam: Annotated[
        int | None,
        typer.Option(min=1, help="Hypotheses of the search, 1: greedy; default: as the run measures."),
    ] = None,
    length_penalty: Annotated[
        float, typer.Option(min=0.0, help="Exponent of the length that log-probabilities are divided by.")
    ] = 1.0,
    longest: Annotated[int | None, typer.Option(min=1, help="The most symbols that are written.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Draw translations, in place of a search.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the so many most probable.")] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Draw from those that hold this share.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws; default: others each time.")] = None,
    replace_unknown: Annotated[
        bool, typer.Option("--replace-unknown", help="Copy the source word in an unknown one's place.")
    ] = False,
    alignment: Annotated[
        Path | None, typer.Option(help="Draw where each word was read: .html, .txt, or .svg of one sentence.")
    ] = None,
    maps: Annotated[
        bool, typer.Option("--map", help="Show in the terminal where each word was read.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the translations here, one on a line.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Translate sentences with a network that was trained on pairs of them."""
    from preceptor.errors import ConfigError
    from preceptor.files import write_text
    from preceptor.report.alignment import save_alignments
    from preceptor.run import load
    from preceptor.training.own_code import import_model

    if bool(sentences) == (file is not None):
        raise ConfigError(
            "there is nothing to translate" if file is None else "sentences and a file are given",
            expected='sentences, each in quotes, or --file: preceptor translate RUN "a man rides a horse"',
            received="neither" if file is None else f"{len(sentences or [])} sentences and --file {file}",
        )
    loaded = load(run, model=import_model(model) if model else None)
    made = loaded.translate(
        file or sentences,
        beam=beam,
        length_penalty=length_penalty,
        longest=longest,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        replace_unknown=replace_unknown,
    )
    if out is not None:
        write_text(out, "".join(f"{one.text}\n" for one in made))
    for one in made:
        if out is None:
            echo(one.text)
        if maps and one.alignment is not None:
            echo(one.alignment.as_text() + "\n")
    looks = [one.alignment for one in made if one.alignment is not None]
    if (maps or alignment is not None) and not looks:
        raise ConfigError(
            "there is no alignment to show",
            expected="a network with attention, such as seq2seq-attention, and something written",
            received=loaded.experiment.model.name,
        )
    if alignment is not None:
        echo(f"alignment {save_alignments(looks, alignment)}", err=True)
