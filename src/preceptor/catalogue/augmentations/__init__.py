"""Augmentations of batches of tensors: random in training, fixed in evaluation."""

from preceptor.catalogue.augmentations.crops import FixedCrops, RandomCrop, RandomResizedCrop
from preceptor.catalogue.augmentations.geometry import Affine, HorizontalFlip, LensDistortion
from preceptor.catalogue.augmentations.missing import MissingInputs
from preceptor.catalogue.augmentations.pipeline import Augmentation, Pipeline
from preceptor.catalogue.augmentations.standard import Standard
from preceptor.catalogue.augmentations.values import BrightnessContrast, GeneratedExamples, PCAColour

__all__ = [
    "Affine",
    "Augmentation",
    "BrightnessContrast",
    "FixedCrops",
    "GeneratedExamples",
    "HorizontalFlip",
    "LensDistortion",
    "MissingInputs",
    "PCAColour",
    "Pipeline",
    "RandomCrop",
    "RandomResizedCrop",
    "Standard",
]
