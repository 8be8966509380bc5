"""Many trainings at once: members that share an architecture learn in one step, the others in turn."""

from preceptor.training.population.members import ENGINES, Engine, Member, spelled_out
from preceptor.training.population.train import train_members

__all__ = ["ENGINES", "Engine", "Member", "spelled_out", "train_members"]
