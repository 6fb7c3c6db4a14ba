"""Threads of the caller."""

from __future__ import annotations

import threading

import numpy as np
from cases import conv

from fastconv import functional, grad


def test_many_threads_may_call_at_once(rng):
    case = conv(2, 24, (24, 25), 32, 3, padding=1)
    x = rng.standard_normal(case.input_shape).astype(np.float32)
    w = rng.standard_normal(case.weight_shape).astype(np.float32)
    y = functional.conv2d(x, w, padding=1)
    dw = grad.conv2d_weight(x, w.shape, y, padding=1)
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(functional.conv2d(x, w, padding=1), y):
                wrong.append("forward")
            if not np.array_equal(grad.conv2d_weight(x, w.shape, y, padding=1), dw):
                wrong.append("backward_weight")

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_the_gil_is_released(rng):
    x = rng.standard_normal((8, 128, 56, 56)).astype(np.float32)
    w = rng.standard_normal((128, 128, 3, 3)).astype(np.float32)
    ticks = 0
    done = threading.Event()

    def work():
        functional.conv2d(x, w, padding=1)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.wait(0.0005):
        ticks += 1
    worker.join()
    assert ticks > 0
