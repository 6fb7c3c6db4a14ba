"""The networks as tables: outputs, parameters, memory of activations, operations.

Run: python examples/architectures.py [alexnet vgg16 googlenet resnet18 ...]
"""

import sys

from fastconv import models
from fastconv.layers.base import blank_parameters
from fastconv.summary import summarize

NETWORKS = ("lenet5", "alexnet", "zfnet", "vgg16", "googlenet", "resnet18")


def main(names: list[str]) -> None:
    """Print the table of each network, and one that compares them."""
    rows = []
    for name in names:
        with blank_parameters():  # their values do not matter here
            model = getattr(models, name)()
        model.summary()
        print()
        rows.append((name, summarize(model)))
    print(f"{'network':10} {'parameters':>12} {'activations':>12} {'multiply-adds':>15}")
    for name, table in rows:
        memory = f"{(table.activation_bytes or 0) / 1e6:.1f} MB"
        print(f"{name:10} {table.parameters:12,} {memory:>12} {table.multiply_adds:15,}")


if __name__ == "__main__":
    main(sys.argv[1:] or list(NETWORKS))
