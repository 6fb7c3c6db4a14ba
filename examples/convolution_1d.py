"""A filter of size 3 on ten numbers: without padding, with a rectifier, and with padding.

Run: python examples/convolution_1d.py
"""

import numpy as np

from fastconv.layers import Conv1D, Dense

SIGNAL = [0, 0, 1, 1, 1, 0, 1, 0, 0, 0]
FILTER, BIAS = [-1, 1, -1], 0


def filtered(**options: object) -> list[int]:
    """Return the signal, convolved."""
    layer = Conv1D(1, 3, **options)
    x = np.array(SIGNAL, np.float32).reshape(1, -1, 1)  # (batch, length, channels)
    layer.build(x.shape)
    layer.set_weights([np.reshape(FILTER, (3, 1, 1)), [BIAS]])
    return layer(x)[0, :, 0].astype(int).tolist()


def main() -> None:
    """Print what each variant makes of the signal."""
    print("signal               ", SIGNAL)
    print("filter               ", FILTER)
    print("no padding           ", filtered())
    print("with a rectifier     ", filtered(activation="relu"))
    print("padded with one zero ", filtered(padding=1))
    layers = Conv1D(1, 3, padding="same"), Dense(10)
    layers[0].build((None, 10, 1))
    layers[1].build((None, 10))
    convolution, dense = (layer.count_params() for layer in layers)
    print(f"parameters: {convolution}; of a dense layer from 10 to 10: {dense}")


if __name__ == "__main__":
    main()
