"""How a parameter begins, and what training makes it obey: a layer's arguments for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from fastconv import constraints, initializers, regularizers
from fastconv.layers.base import Layer
from fastconv.layers.parameter import Parameter

__all__ = ["InitializerLike", "WeightRule"]

InitializerLike: TypeAlias = str | initializers.Initializer | Mapping[str, Any]


@dataclass(frozen=True)
class WeightRule:
    """The initializer, the regularizer and the constraint of a parameter."""

    initializer: initializers.Initializer
    regularizer: regularizers.Regularizer | None
    constraint: constraints.Constraint | None

    @classmethod
    def of(
        cls,
        initializer: InitializerLike,
        regularizer: regularizers.Identifier = None,
        constraint: constraints.Identifier = None,
    ) -> Self:
        """Return the rule of these arguments of a layer."""
        return cls(
            initializers.get(initializer),
            regularizers.get(regularizer),
            constraints.get(constraint),
        )

    def add(
        self, layer: Layer, name: str, shape: Sequence[int], storage: Sequence[int] | None = None
    ) -> Parameter:
        """Add the parameter to a layer."""
        return layer.add_weight(
            name,
            shape,
            self.initializer,
            storage=storage,
            regularizer=self.regularizer,
            constraint=self.constraint,
        )

    def config(self, prefix: str) -> dict[str, Any]:
        """Return the arguments again, plain enough for JSON.

        Examples
        --------
        >>> WeightRule.of("zeros", "l2").config("bias")["bias_regularizer"]
        {'class_name': 'L2', 'config': {'l2': 0.01}}
        """
        return {
            f"{prefix}_initializer": initializers.serialize(self.initializer),
            f"{prefix}_regularizer": regularizers.serialize(self.regularizer),
            f"{prefix}_constraint": constraints.serialize(self.constraint),
        }
