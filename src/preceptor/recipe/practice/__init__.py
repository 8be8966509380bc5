"""The practice map: each piece of advice for those who train networks, and where in Preceptor it lives."""

from preceptor.recipe.practice import curves, optimization, procedure, protocol, units
from preceptor.recipe.practice._advice import Advice, Topic
from preceptor.recipe.practice.pages import pages

__all__ = ["TOPICS", "Advice", "Topic", "pages"]

TOPICS: tuple[Topic, ...] = tuple(
    one for family in (curves, units, optimization, protocol, procedure) for one in family.TOPICS
)
"""All of it, in the order in which it is read."""
