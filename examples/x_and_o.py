"""Three features that tell an X from an O: what each filter sees, pooled; then a vote learned.

Run: python examples/x_and_o.py [picture.png]    (needs the train extra)
"""

import sys
from pathlib import Path

import numpy as np

from fastconv import Model, Sequential
from fastconv.layers import Conv2D, MaxPooling2D
from fastconv.models import x_and_o
from fastconv.training import Adam
from fastconv.utils import import_extra, set_random_seed

FEATURES = {
    "diagonal": [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
    "cross": [[1, -1, 1], [-1, 1, -1], [1, -1, 1]],
    "antidiagonal": [[-1, -1, 1], [-1, 1, -1], [1, -1, -1]],
}


def letter(name: str, size: int = 9) -> np.ndarray:
    """Draw an X or an O of -1 and 1."""
    image = -np.ones((size, size), np.float32)
    inner = np.arange(1, size - 1)
    if name == "X":
        image[inner, inner] = image[inner, inner[::-1]] = 1
    else:
        rows, columns = np.indices(image.shape) - (size - 1) / 2
        image[np.abs(np.hypot(rows, columns) - 3) < 0.6] = 1
    return image


def variants(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return letters with some pixels flipped, and 0 for X, 1 for O."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = np.stack([letter("XO"[label]) for label in labels])
    images[rng.random(images.shape) < 0.04] *= -1
    return images[..., None], labels


def maps() -> Model:
    """Return the filters, divided by their nine pixels, and the pool."""
    layers = [
        Conv2D(3, 3, use_bias=False, input_shape=(9, 9, 1), name="features"),
        MaxPooling2D(2, padding=((0, 1), (0, 1)), name="pool"),
    ]
    model = Sequential(layers)
    kernel = np.stack(list(FEATURES.values()), -1)[:, :, None] / 9
    layers[0].set_weights([kernel])
    return model


def draw(filtered: np.ndarray, pooled: np.ndarray, path: Path) -> None:
    """Write the image, the filtered images and the pooled ones."""
    pyplot = import_extra("matplotlib.pyplot", "drawing")
    figure, axes = pyplot.subplots(2, 4, figsize=(10, 5), layout="constrained")
    axes[0, 0].imshow(letter("X"), cmap="gray")
    axes[0, 0].set_title("image")
    axes[1, 0].axis("off")
    for at, name in enumerate(FEATURES):
        for row, values in enumerate((filtered, pooled)):
            cell = axes[row, at + 1]
            cell.imshow(values[..., at], cmap="gray", vmin=-1, vmax=1)
            for (i, j), value in np.ndenumerate(values[..., at]):
                color = "black" if value > 0 else "white"
                cell.text(j, i, f"{value:.2f}", ha="center", va="center", size=6, color=color)
            cell.set_title(f"{name}, pooled" if row else name)
    for cell in axes.flat:
        cell.set_xticks([])
        cell.set_yticks([])
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(path: Path | None = None) -> None:
    """Print the feature maps of the X, and train the vote."""
    model = maps()
    image = letter("X")[None, ..., None]
    filtered, pooled = model.layers[0](image)[0], model.predict(image)[0]
    for at, name in enumerate(FEATURES):
        print(f"{name}, how well it fits at each place:")
        print(np.round(filtered[..., at], 2))
        print("pooled:")
        print(np.round(pooled[..., at], 2))
    if path is not None:
        draw(filtered, pooled, path)
        print(f"wrote {path}")

    set_random_seed(0)
    network = x_and_o()
    network.layers[0].set_weights([model.get_weights()[0], np.zeros(3)])
    network.compile(Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])
    network.fit(*variants(400, seed=1), epochs=20, verbose=0, seed=0)
    _, accuracy = network.evaluate(*variants(400, seed=2))
    chances = network.predict(np.stack([letter("X"), letter("O")])[..., None])
    print(f"X is an X with {chances[0, 0]:.1%}, O is an O with {chances[1, 1]:.1%}")
    print(f"accuracy on letters with flipped pixels: {accuracy:.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
