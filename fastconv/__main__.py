"""The command line: ``fastconv train | predict | summary | info``."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["main"]

#: Resolution of the digits that `train` learns from; `predict` brings images to it.
RASTER = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["predict", "no-such-model", "image.png"])
    1
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except KeyboardInterrupt:
        return 130
    except (ImportError, OSError, ValueError) as error:
        _complain(error)
        return 1
    return status


def train(options: argparse.Namespace) -> int:
    """Train LeNet-5 on the digits, and write the model and three pictures."""
    from fastconv import plot
    from fastconv.datasets import augment, load_digits, resize
    from fastconv.models import lenet5
    from fastconv.training import Adam, LearningRateScheduler
    from fastconv.utils import import_extra, set_random_seed

    for module in ("matplotlib", "safetensors"):  # now rather than after the training
        import_extra(module, "fastconv train")
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    set_random_seed(options.seed)
    model = lenet5()
    size = _image_size(model.input_shape)
    model.metadata = {
        "dataset": "load_digits",
        "raster": RASTER,
        "classes": [str(digit) for digit in range(10)],
    }
    model.summary()

    (x_train, y_train), (x_test, y_test) = load_digits()
    plain, held_out = resize(x_train, size), resize(x_test, size)
    copies = [augment(plain, seed=(options.seed, copy)) for copy in range(options.augment)]
    x, y = np.concatenate([plain, *copies]), np.tile(y_train, 1 + options.augment)
    print(
        f"\n{len(x_train)} digits and {len(x) - len(x_train)} variations to train on, "
        f"{len(x_test)} held out; seed {options.seed}",
        flush=True,
    )

    def rate(epoch: int, _: float) -> float:
        cosine: float = 0.5 * (1 + math.cos(math.pi * epoch / options.epochs))
        return float(options.learning_rate) * cosine

    model.compile(
        Adam(options.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        verbose=0 if options.quiet else "auto",
        callbacks=[LearningRateScheduler(rate)],
        validation_data=(held_out, y_test),
        seed=options.seed,
    )
    model.save(folder / "model.safetensors")
    predicted = model.predict(held_out)
    wrong = int((predicted.argmax(-1) != y_test).sum())
    if history.epoch:
        plot.plot_history(history.history, folder / "training_curve.png")
    plot.plot_filters(
        model.get_layer("conv1").get_weights()[0],
        folder / "filters.png",
        title="Filters of the first convolution",
    )
    plot.plot_predictions(x_test, predicted, y_test, folder / "predictions.png")
    if history.interrupted:
        print(f"\nstopped in epoch {len(history.epoch) + 1}, keeping what was learned")
    print(
        f"\nheld-out accuracy {100 * (1 - wrong / len(y_test)):.2f} % "
        f"({wrong} of {len(y_test)} wrong) after {time.perf_counter() - start:.1f} s"
    )
    print(f"wrote {', '.join(sorted(path.name for path in folder.iterdir()))} to {folder}")
    return 130 if history.interrupted else 0


def predict(options: argparse.Namespace) -> int:
    """Classify image files; those that cannot be read are reported and skipped."""
    from fastconv.images import read_digit
    from fastconv.models import load_model

    model = load_model(options.model, compile=False)
    size = _image_size(model.input_shape)
    raster = model.metadata.get("raster")
    classes = model.metadata.get("classes")
    invert = {"auto": None, "yes": True, "no": False}[options.invert]
    status = 0
    width = max(len(str(path)) for path in options.images)
    for path in options.images:
        try:
            image = read_digit(path, size, raster, invert)
        except (OSError, ValueError) as error:
            _complain(error)
            status = 1
            continue
        probabilities = model.predict_on_batch(image[np.newaxis])[0]
        best = int(probabilities.argmax())
        label = classes[best] if classes else best
        print(f"{path!s:<{width}}  {label}  {100 * probabilities[best]:5.1f} %", flush=True)
    return status


def summary(options: argparse.Namespace) -> int:
    """Print the table of a saved model."""
    from fastconv.models import load_model

    load_model(options.model, compile=False).summary()
    return 0


def info(options: argparse.Namespace) -> int:
    """Print instruction set, threads and build."""
    from fastconv import runtime

    print(runtime.show_config())
    return 0


def _image_size(shape: tuple[int | None, ...]) -> tuple[int, int]:
    """Return height and width of what a model takes, (batch, height, width, 1)."""
    if len(shape) != 4 or shape[3] != 1 or shape[1] is None or shape[2] is None:
        raise ValueError(
            f"the model takes inputs of shape {shape}, expected (None, height, width, 1), "
            "grey images"
        )
    return shape[1], shape[2]


def _complain(error: Exception) -> None:
    print(f"fastconv: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv", description="Convolutional networks on the CPU."
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    formatter = argparse.ArgumentDefaultsHelpFormatter

    command = commands.add_parser(
        "train",
        help="train LeNet-5 on handwritten digits",
        description="Train LeNet-5 on the 1797 handwritten digits of scikit-learn, with a fifth "
        "held out. Leaves model.safetensors, training_curve.png, filters.png and "
        "predictions.png in a folder. Ctrl-C stops early and keeps what was learned.",
        formatter_class=formatter,
    )
    command.add_argument(
        "--epochs", type=positive_integer, default=12, help="passes over the images"
    )
    command.add_argument("--batch-size", type=positive_integer, default=64, help="images per step")
    command.add_argument(
        "--learning-rate", type=float, default=0.001, help="Adam's, falling to 0 as a cosine"
    )
    command.add_argument(
        "--augment",
        type=natural_number,
        default=9,
        help="turned, scaled and shifted copies per image",
    )
    command.add_argument(
        "--seed", type=natural_number, default=0, help="the same seed, the same bits"
    )
    command.add_argument(
        "--output", type=Path, default=Path("fastconv-lenet5"), help="folder for the results"
    )
    command.add_argument("--quiet", action="store_true", help="do not show progress")
    command.set_defaults(command=train)

    command = commands.add_parser(
        "predict",
        help="classify image files with a saved model",
        description="Print the digit in each image file and how probable the model finds it. "
        "Any size; colours become grey; transparent parts count as white. The digit should "
        "stand alone on an even ground.",
        formatter_class=formatter,
    )
    command.add_argument("model", type=Path, help="what train or Model.save wrote")
    command.add_argument("images", type=Path, nargs="+", metavar="image", help="PNG, JPEG, ...")
    command.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether the digit is dark on bright; auto: if the edges of the image are bright",
    )
    command.set_defaults(command=predict)

    command = commands.add_parser("summary", help="print the layers of a saved model")
    command.add_argument("model", type=Path, help="what train or Model.save wrote")
    command.set_defaults(command=summary)

    command = commands.add_parser("info", help="print instruction set, threads and build")
    command.set_defaults(command=info)
    return parser


def positive_integer(text: str) -> int:
    """Read an argument; argparse names this function in its message."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive integer")
    return value


def natural_number(text: str) -> int:
    """Read an argument; argparse names this function in its message."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


if __name__ == "__main__":
    sys.exit(main())
