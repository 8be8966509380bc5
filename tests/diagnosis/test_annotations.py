"""Annotations of GitHub Actions: one line each, whatever the texts hold."""

from __future__ import annotations

from preceptor.cli._findings import Wishes
from preceptor.diagnosis.annotations import annotation_lines
from preceptor.diagnosis.baseline import key_of
from preceptor.diagnosis.finding import Finding


def test_what_would_break_the_line_is_escaped() -> None:
    bad = Finding("overfitting", "warning", "5 %\n::error::not so\r", where="a,b:c.py:7", remedy="stop")
    (line,) = annotation_lines([bad])
    place, _, said = line.removeprefix("::").partition("::")
    assert place == "warning file=a%2Cb%3Ac.py,line=7,title=overfitting"
    assert said == "5 %25%0A::error::not so%0D%0ARemedy: stop."


def test_severities_known_ones_and_no_line() -> None:
    found = [Finding(c, s, "x") for c, s in (("overfitting", "info"), ("missing-backward", "critical"))]  # type: ignore[arg-type]
    assert [line.split("::")[1] for line in annotation_lines(found)] == [
        "notice title=overfitting",
        "error title=missing-backward",
    ]
    assert annotation_lines(found, program="train.py")[0].startswith("::notice file=train.py,line=1,title=")
    assert len(annotation_lines(found, known={key_of(found[0])})) == 1
    assert Wishes().annotated(found) == []
    assert len(Wishes(github=True).annotated(found)) == 2
