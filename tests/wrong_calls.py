"""What tests of wrong calls share: operands that are right, and what an error has to be."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import functional as F
from fastconv import runtime

X = np.ones((2, 4, 6, 7), np.float32)
W = np.ones((8, 4, 3, 3), np.float32)
B = np.ones(8, np.float32)
Y = np.ones((2, 8, 4, 5), np.float32)
VALUES, INDICES = F.max_pool2d(X, 2, return_indices=True)
LOGITS = np.ones((5, 3), np.float32)


def huge(*shape, dtype=np.float32):
    """An array of any size, all of whose elements are one."""
    return np.lib.stride_tricks.as_strided(np.ones(1, dtype), shape, (0,) * len(shape))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def check(call, exception, parts):
    """The exception is of this very type, its text has these parts, and no setting changed."""
    threads, isa = runtime.get_num_threads(), runtime.isa()
    with pytest.raises(exception) as caught:
        call()
    assert type(caught.value) is exception
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"
    assert (runtime.get_num_threads(), runtime.isa()) == (threads, isa)
