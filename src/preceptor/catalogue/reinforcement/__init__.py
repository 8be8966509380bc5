"""Reinforcement learning in the small: environments to act in, and learners of what brings reward."""

from preceptor.catalogue.reinforcement._environment import Environment, Step
from preceptor.catalogue.reinforcement._learner import Learner, play
from preceptor.catalogue.reinforcement.cart_pole import CartPole
from preceptor.catalogue.reinforcement.grids import Chain, GridWorld
from preceptor.catalogue.reinforcement.q_learning import DeepQLearning, QLearning
from preceptor.catalogue.reinforcement.reinforce import Reinforce

__all__ = [
    "CartPole",
    "Chain",
    "DeepQLearning",
    "Environment",
    "GridWorld",
    "Learner",
    "QLearning",
    "Reinforce",
    "Step",
    "play",
]
