"""Every lab says what it is about; the quick ones are run, and give the verdict that their pages tell."""

from __future__ import annotations

import pytest

from preceptor.labs import Lab, Setup, labs, perform

every = pytest.mark.parametrize("one", labs(), ids=lambda one: one.name)
quick = pytest.mark.parametrize("one", [one for one in labs() if one.quick], ids=lambda one: one.name)


@every
def test_a_lab_says_what_it_is(one: Lab):
    assert one.claims
    assert one.data
    assert one.rule
    assert all(claim.text.endswith(".") and claim.text[0].isupper() for claim in one.claims.values())
    assert not one.data.endswith(".")
    assert not one.rule.endswith(".")


@pytest.mark.slow
@quick
def test_a_quick_lab_decides_its_claims(one: Lab):
    result = perform(one, Setup(seed=0))
    assert set(result.evidence.checks) == set(one.claims)
    assert set(result.verdicts.values()) == {"confirmed"}, str(result)
    if result.evidence.figure is not None:
        assert result.evidence.figure.text()
