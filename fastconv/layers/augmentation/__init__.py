"""Layers that change images at random while training, and leave them alone at inference."""

from fastconv.layers.augmentation.cropping import CenterCrop, RandomCrop
from fastconv.layers.augmentation.flipping import RandomFlip
from fastconv.layers.augmentation.geometry import (
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from fastconv.layers.augmentation.lighting import RandomBrightness, RandomContrast

__all__ = [
    "CenterCrop",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
]
