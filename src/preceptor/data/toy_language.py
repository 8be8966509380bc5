"""A small language and its translation, which orders words otherwise and needs fewer or more of them."""

from __future__ import annotations

import numpy as np

from preceptor.catalogue._checks import check_count

__all__ = ["toy_translation"]

_NOUNS = {
    "dog": "hundo",
    "cat": "kato",
    "bird": "birdo",
    "horse": "cevalo",
    "child": "infano",
    "woman": "ino",
}
_ADJECTIVES = {"old": "olda", "red": "ruga", "quick": "rapida", "small": "eta"}
_VERBS = {"sees": "vidas", "follows": "sekvas", "feeds": "mangigas", "likes": "satas"}
_FEW = {"two": "du", "three": "tri"}  # numbers make a word of their own plural, and the article falls away


def toy_translation(examples: int, seed: int = 0, clauses: int = 2) -> tuple[list[str], list[str]]:
    """Return sentences of a small language with their translations.

    The source has subject, verb, object, and adjectives before nouns; in the translation the verb comes
    last, adjectives stand behind nouns, there are no articles, plurals end in -j, and where a sentence is
    negated a word stands at its end. So words change their order, and one word can become none or two.

    Arguments:
        examples: how many sentences.
        seed: of a generator of its own.
        clauses: at most so many in a sentence, joined by "and".

    Example:
        >>> for pair in zip(*toy_translation(1, seed=1, clauses=1)):
        ...     print(" | ".join(pair))
        the quick bird follows the small child | birdo rapida infano eta sekvas
    """
    check_count("toy_translation", "examples", examples)
    check_count("toy_translation", "clauses", clauses)
    draw = np.random.default_rng(seed)
    made = [_sentence(draw, clauses) for _ in range(examples)]
    return [source for source, _ in made], [target for _, target in made]


def _sentence(draw: np.random.Generator, clauses: int) -> tuple[str, str]:
    parts = [_clause(draw) for _ in range(int(draw.integers(1, clauses + 1)))]
    return " and ".join(source for source, _ in parts), " kaj ".join(target for _, target in parts)


def _clause(draw: np.random.Generator) -> tuple[str, str]:
    (subject, subjekto), (object_, objekto) = _phrase(draw), _phrase(draw)
    verb = str(draw.choice(list(_VERBS)))
    if draw.random() < 0.25:
        return f"{subject} never {verb} {object_}", f"{subjekto} {objekto} {_VERBS[verb]} neniam ne"
    return f"{subject} {verb} {object_}", f"{subjekto} {objekto} {_VERBS[verb]}"


def _phrase(draw: np.random.Generator) -> tuple[str, str]:
    noun = str(draw.choice(list(_NOUNS)))
    source, target = noun, _NOUNS[noun]
    few = str(draw.choice(list(_FEW))) if draw.random() < 0.3 else None
    if few:
        source, target = f"{noun}s", f"{target}j"
    if draw.random() < 0.5:
        adjective = str(draw.choice(list(_ADJECTIVES)))
        source, target = f"{adjective} {source}", f"{target} {_ADJECTIVES[adjective]}"
    return f"{few or 'the'} {source}", f"{_FEW[few]} {target}" if few else target
