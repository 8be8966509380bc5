"""``preceptor neighbours``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["neighbours"]


def neighbours(
    run: Annotated[Path, typer.Argument(help="A run of word vectors, or a text file 'word v1 … vd'.")],
    words: Annotated[list[str], typer.Argument(help="A word, or a sum such as: king - man + woman.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many are shown.")] = 10,
) -> None:
    """Show the words whose vectors are nearest to a word, or to a sum of words, with their cosines."""
    from preceptor.catalogue.word_vectors import word_vectors
    from preceptor.run import load_embedding

    vectors = word_vectors(run) if run.is_file() else load_embedding(run).vectors
    found = vectors.neighbours(" ".join(words), count)
    width = max((len(word) for word, _ in found), default=0)
    for word, cosine in found:
        echo(f"{word:<{width}}  {cosine:.3f}")
