"""What can be done with a run on a text: measure it, let it write, ask what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from preceptor.catalogue.language import Selection
from preceptor.data.text import TextCoder, Vocabulary, WholeText, encode_file, read_pieces
from preceptor.errors import ConfigError, DataError
from preceptor.run._evaluation import Evaluation
from preceptor.run._given import ensure_data
from preceptor.run.text.writing import Reader, begin_with, prompt_ids, write
from preceptor.training.evaluate import evaluate, outputs
from preceptor.training.language import whole

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["OnText", "coder_of", "measured_text", "reader_of", "text_batches"]


def coder_of(run: Run) -> TextCoder:
    """Return a run's vocabulary.

    Raises:
        ConfigError: it was not trained on a text.
    """
    if run.coder is None:
        raise ConfigError(
            "this run does not continue texts",
            expected='a run with task="language-modelling"',
            received=f"task={run.task.name!r}",
        )
    return run.coder


def measured_text(run: Run, part: str, batches: Any) -> Evaluation:
    """Return what was measured on a text; each symbol but the first is predicted once."""
    measured = evaluate(run.predictor, batches)
    loss = measured.pop("loss")
    sums, counts = outputs(run.predictor, batches, run.task.compact)
    interval = run.task.interval(sums, counts)
    unknown = batches.text.unknown
    notes = (f"vocabulary: {unknown}",) if unknown is not None else ()
    return Evaluation(part, int(counts.sum()), loss, measured, interval, notes=notes)


def text_batches(run: Run, on: Any) -> tuple[str, WholeText]:
    """Return a part of the run's text, or another one, as it is measured.

    Raises:
        DataError: there is no such part or text.
    """
    coder = coder_of(run)
    if isinstance(on, str) and on in ("train", "val", "test"):
        ensure_data(run)
        assert run.feeds is not None  # noqa: S101 - just made sure
        assert run.feeds.text is not None  # noqa: S101 - of a run on a text
        parts = run.feeds.text
        if on not in parts.parts:
            raise DataError(
                f"there is no {on} text",
                expected=f"a run that holds some out: {on}=0.1",
                received=parts.split,
            )
        return on, _whole(run, parts.parts[on])
    if not isinstance(on, str | Path):
        raise DataError(
            "a run on a text is evaluated on a text",
            expected="train, val, test, or a path to .txt, .gz or .xz",
            received=type(on).__name__,
        )
    text = encode_file(on, coder)
    if isinstance(coder, Vocabulary):
        text = replace(text, unknown=coder.out_of_vocabulary(read_pieces(on)))
    return Path(on).name, _whole(run, text)


def _whole(run: Run, text: Any) -> WholeText:
    columns, steps = run.experiment.training.batch_size, run.experiment.text.steps
    carries = run.predictor.carried is not None
    return whole(text, int(columns), int(steps), carries, run.predictor.device)


def reader_of(run: Run) -> Reader:
    """Return the run's network as a reader that has read nothing yet."""
    return Reader(run.predictor, int(run.experiment.text.steps))


class OnText:
    """What a run can do that continues a text; others say that they cannot."""

    def generate(self, prompt: str = "", length: int = 300, **options: Any) -> str:
        """Return a text that the network goes on with, the prompt at its beginning.

        Arguments:
            prompt: what stands before; "": the beginning of a line.
            length: symbols (characters, words, pieces) that are written at most.
            options: those of `stream`.

        Raises:
            ConfigError: the run does not continue texts, or an option is out of range.
        """
        return prompt + "".join(self.stream(prompt, length, **options))

    def stream(
        self,
        prompt: str = "",
        length: int = 300,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | None = None,
    ) -> Iterator[str]:
        """Yield what the network writes behind a prompt, piece by piece, as soon as it is written.

        Arguments:
            prompt: what stands before; "": the beginning of a line.
            length: symbols that are written at most.
            temperature: of the softmax; below 1 safer, above 1 more surprising, 0 always the most probable.
            top_k: choose among the so many most probable symbols only.
            top_p: choose among the fewest symbols that hold this share of the probability only.
            seed: of the draws; None: others each time.
            stop: end when this has been written.
        """
        run = cast("Run", self)
        coder, selection = coder_of(run), Selection(temperature, top_k, top_p)
        return write(reader_of(run), coder, prompt, length, selection=selection, seed=seed, stop=stop)

    def next_probabilities(self, context: str | Sequence[int] = ()) -> NDArray[Any]:
        """Return the probability of each symbol of the vocabulary behind a text, or behind ids."""
        run = cast("Run", self)
        coder = coder_of(run)
        ids = prompt_ids(coder, context) if isinstance(context, str) else [int(i) for i in context]
        logits = reader_of(run).read(ids or begin_with(coder))
        probabilities: NDArray[Any] = logits.double().softmax(-1).numpy()
        return probabilities
