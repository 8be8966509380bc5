"""Findings that are as severe and as sure: the cause comes before what follows from it."""

from __future__ import annotations

from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.ranking import rank


def _causes(*findings: Finding) -> list[str]:
    return [finding.cause for finding in rank(findings)]


def test_of_equals_the_cause_comes_first() -> None:
    labels = Finding("bad-labels", "critical", "Targets lie outside.", exact=True)
    loss = Finding("loss-mismatch", "critical", "The loss is not defined for them.", exact=True)
    assert _causes(labels, loss) == _causes(loss, labels) == ["loss-mismatch", "bad-labels"]
    assert _causes(labels, loss.but(confidence=0.9)) == ["bad-labels", "loss-mismatch"]
    assert _causes(labels, loss.but(severity="warning")) == ["bad-labels", "loss-mismatch"]


def test_what_explains_a_graver_finding_is_as_grave_where_it_is_surer() -> None:
    inputs = Finding("unscaled-inputs", "warning", "A column is large.", confidence=0.8)
    rate = Finding("learning-rate-too-high", "critical", "The loss jumps.", confidence=0.7)
    first, second = rank([rate, inputs])
    assert (first.cause, first.severity) == ("unscaled-inputs", "critical")
    assert second.cause == "learning-rate-too-high"
    assert _causes(rate.but(confidence=0.85), inputs) == ["learning-rate-too-high", "unscaled-inputs"]
    assert _causes(rate, inputs.but(severity="info"))[0] == "learning-rate-too-high"
