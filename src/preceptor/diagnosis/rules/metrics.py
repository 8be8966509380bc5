"""Rules: scores that are not what their name says."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_LARGEST = frozenset({"argmax", "max"})


@rule("metric-mistake", early=True)
def predictions_meet_all_labels(case: Case) -> Iterator[Finding]:
    """Name a score that compares each prediction with the labels of all samples.

    Exact: in an evaluation a prediction of shape (N, 1) meets labels of shape (N,), or the other way round,
    element by element; by broadcasting the result is (N, N), of which only the diagonal was meant. A table of
    predictions against predictions is left alone. NumPy manual, Broadcasting (2025).
    """
    for row in case.record.tables.get("judging", []):
        if row.get("kind") != "compare" or row["first"] == row["second"]:
            continue
        one, other, result = (tuple(shape) for shape in row["shapes"])
        n = result[0] if len(result) == 2 else 0
        if n < 2 or result != (n, n) or {one, other} != {(n, 1), (n,)}:
            continue
        yield Finding(
            "metric-mistake",
            "warning",
            f"{row['op']} at {row['where']} compares each of {n} predictions with the labels of all samples.",
            {"shapes": [list(one), list(other)], "comparisons": n * n, "meant": n},
            exact=True,
            where=row["where"],
            steps=(row["step"],),
            effect="the score is that of guessing by the shares of the classes, however good the model is",
            remedy="bring both to one shape: pred.squeeze(1) == y, or pred == y.unsqueeze(1)",
        )
        return


@rule("metric-mistake", early=True)
def largest_over_samples(case: Case) -> Iterator[Finding]:
    """Name a score that takes the largest output over the samples in place of the classes.

    Exact: in an evaluation argmax or max runs along axis 0 of a prediction of shape (N, C), N ≠ C: it picks
    for each class a sample. PyTorch manual, torch.argmax (2025).
    """
    for row in case.record.tables.get("judging", []):
        shape = tuple(row.get("shape", ()))
        if row.get("kind") != "pick" or row["op"] not in _LARGEST or row["axis"] != 0 or len(shape) != 2:
            continue
        if shape[0] < 2 or shape[1] < 2 or shape[0] == shape[1]:
            continue
        yield Finding(
            "metric-mistake",
            "warning",
            f"{row['op']} at {row['where']} runs over the {shape[0]} samples, not the {shape[1]} classes.",
            {"shape of the prediction": list(shape), "axis": 0},
            exact=True,
            where=row["where"],
            steps=(row["step"],),
            effect="what is compared with the labels are numbers of samples, not classes",
            remedy="take it over the classes: argmax(dim=1)",
        )
        return


@rule("metric-mistake", early=True)
def hits_over_batches(case: Case) -> Iterator[Finding]:
    """Name a count of right samples that is divided by the number of batches.

    Exact, from the line that asks a data loader for its length: what is divided is a variable to which only
    sums of comparisons are added, the divisor is the number of batches alone, and a batch has several
    samples. The quotient is the mean number of hits in a batch, up to the batch size, not a share. PyTorch
    manual, torch.utils.data.DataLoader (2025).
    """
    for row in case.facts.get("divisors", []):
        size, batches = row.get("batch_size"), row["batches"]
        if not isinstance(size, int) or size < 2 or batches < 1:
            continue
        yield Finding(
            "metric-mistake",
            "warning",
            f"{row['text']} at {row['where']} divides a count of samples by the {batches} batches.",
            {"batches": batches, "samples in a batch": size, "largest possible score": size},
            exact=True,
            where=row["where"],
            effect=f"the score is up to {size} times too high, and a short last batch counts as a whole one",
            remedy="divide by the number of samples: len(loader.dataset)",
        )
        return
