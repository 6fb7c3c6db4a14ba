"""Optimizers against their textbook equations, written out once more, and known values."""

import numpy as np
import pytest

from fastconv.layers import Parameter
from fastconv.training import SGD, Adam, optimizers


def run(optimizer, gradients, start, dtype="float64"):
    p = Parameter("w", np.array(start, dtype))
    for g in gradients:
        p.grad = np.array(g, dtype)
        optimizer.apply({"w": p})
    return p.value


RNG = np.random.default_rng(0)
START = RNG.standard_normal((3, 70_000))  # more than a piece, and no multiple of one
GRADIENTS = [RNG.standard_normal(START.shape) for _ in range(4)]


@pytest.mark.parametrize("decay", [None, 0.1])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(momentum, nesterov, decay):
    w, v, rate = START.copy(), 0.0, 0.05
    for g in GRADIENTS:
        w = w - rate * (decay or 0) * w
        v = momentum * v - rate * g
        w = w + (momentum * v - rate * g if nesterov else v)
    got = run(SGD(rate, momentum, nesterov, decay), GRADIENTS, START)
    np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("decay", [None, 0.1])
def test_adam(decay):
    w, m, v = START.copy(), 0.0, 0.0
    rate, b1, b2, eps = 0.01, 0.8, 0.95, 1e-5
    for t, g in enumerate(GRADIENTS, 1):
        w = w - rate * (decay or 0) * w
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w = w - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
    got = run(Adam(rate, b1, b2, eps, decay), GRADIENTS, START)
    np.testing.assert_allclose(got, w, rtol=1e-11, atol=1e-13)


def test_known_values():
    # f = w^2 from 1: w = 1 - 0.1 * 2, then v = -0.18 - 0.16, w = 0.8 - 0.34
    assert run(SGD(0.1, 0.9), [[2.0]], [1.0]) == pytest.approx(0.8)
    assert run(SGD(0.1, 0.9), [[2.0], [1.6]], [1.0]) == pytest.approx(0.46)
    assert run(SGD(0.1, 0.9, nesterov=True), [[2.0]], [1.0]) == pytest.approx(1 - 0.38)
    # Adam's first step is the learning rate, whatever the gradient
    assert run(Adam(0.1), [[1e3]], [1.0]) == pytest.approx(0.9)
    assert run(Adam(0.1), [[-1e-2]], [1.0]) == pytest.approx(1.1, rel=1e-4)
    assert Adam().get_config() == {
        "learning_rate": 0.001,
        "weight_decay": None,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
    }
    assert SGD().learning_rate == 0.01


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9, weight_decay=0.01), Adam(0.1)])
def test_float32_stays_float32(optimizer):
    p = Parameter("w", np.ones(5, np.float32))
    p.grad = np.ones(5, np.float32)
    optimizer.apply({"w": p})
    assert p.value.dtype == np.float32
    assert all(a.dtype == np.float32 for a in optimizer.get_state()["w"].values())


def test_updates_are_in_place_and_keep_the_gradient():
    p = Parameter("w", np.ones(5))
    value = p.value
    p.grad = np.full(5, 2.0)
    Adam(0.1).apply({"w": p})
    assert p.value is value
    assert (p.grad == 2).all()
    untouched = Parameter("w", np.ones(5))
    SGD(0.1).apply({"w": untouched})
    assert (untouched.value == 1).all()


def test_state_round_trip():
    one = Adam(0.1)
    half = run(one, GRADIENTS[:2], START)
    two = optimizers.get(optimizers.serialize(one))
    two.set_state(one.get_state(), one.iterations)
    np.testing.assert_array_equal(run(one, GRADIENTS[2:], half), run(two, GRADIENTS[2:], half))
    with pytest.raises(ValueError, match=r"state: got \['momentum', 'velocity'\] for w, SGD keeps"):
        SGD().set_state(one.get_state(), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-1), "learning_rate: got -1.0, expected a non-negative number"),
        (lambda: SGD(float("nan")), "learning_rate: got nan, expected"),
        (lambda: SGD(momentum=1.0), r"momentum: got 1.0, expected a number in \[0, 1\)"),
        (lambda: Adam(beta_2=1), r"beta_2: got 1.0, expected a number in \[0, 1\)"),
        (lambda: Adam(weight_decay=-1), "weight_decay: got -1.0, expected"),
        (lambda: optimizers.get("lion"), "optimizer: got 'lion', expected an Optimizer or one of"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
