"""Models: layers put together, trained, saved and loaded."""

from fastconv.models.functional import Functional
from fastconv.models.lenet import lenet5
from fastconv.models.model import Model
from fastconv.models.saving import load_model
from fastconv.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "lenet5", "load_model"]
