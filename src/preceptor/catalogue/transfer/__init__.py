"""Transfer: what a trained network knows, put to use for other data."""

from preceptor.catalogue.transfer.check import Facts, Probe, moments_of, probe, transfer_check
from preceptor.catalogue.transfer.end_to_end import chain_loss
from preceptor.catalogue.transfer.features import Cut, cut_at, feature_extraction, inputs_of
from preceptor.catalogue.transfer.freezing import Freezing, frozen_layers
from preceptor.catalogue.transfer.heads import new_head
from preceptor.catalogue.transfer.parts import WORDS, call_order, head_of, layers_of, selected
from preceptor.catalogue.transfer.rates import layer_rates, rate_factors

__all__ = [
    "WORDS",
    "Cut",
    "Facts",
    "Freezing",
    "Probe",
    "call_order",
    "chain_loss",
    "cut_at",
    "feature_extraction",
    "frozen_layers",
    "head_of",
    "inputs_of",
    "layer_rates",
    "layers_of",
    "moments_of",
    "new_head",
    "probe",
    "rate_factors",
    "selected",
    "transfer_check",
]
