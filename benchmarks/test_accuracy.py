"""The logic behind the measured errors: transforms, their points, filters that sum to zero."""

import math

import numpy as np
import pytest

from benchmarks import accuracy, errors
from benchmarks.made_up import conv


def test_points_are_read_from_the_kernels():
    source = accuracy.read_headers()
    chosen, listed = accuracy.chosen_points(source), accuracy.transforms_listed(source)
    assert (4, 3) in listed
    assert {m + r - 1 for m, r in listed} == set(chosen)
    for n, points in chosen.items():
        assert len(set(points)) == n - 1


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 5)])
def test_transforms_are_a_correlation(m, r):
    generator = np.random.default_rng(0)
    data, taps = generator.standard_normal(m + r - 1), generator.standard_normal(r)
    a_t, g, b_t = accuracy.transforms(m, r, accuracy.USUAL[: m + r - 2])
    expected = np.correlate(data, taps, "valid")
    np.testing.assert_allclose(a_t @ ((g @ taps) * (b_t @ data)), expected, atol=1e-12)


def test_a_search_finds_no_worse_than_it_was_given():
    problems = [accuracy.make_problem(2, 3, np.random.default_rng(0), tiles=4, channels=8)]
    found = accuracy.search(2, 3, problems, (1 / 2, 1, 2))
    assert found in accuracy.candidates(4, (1 / 2, 1, 2))
    least = min(
        np.prod(accuracy.errors(2, 3, points, problems[0]))
        for points in accuracy.candidates(4, (1 / 2, 1, 2))
    )
    assert np.prod(accuracy.errors(2, 3, found, problems[0])) == least
    assert 0 < least < 1e-10
    assert len(accuracy.candidates(8, accuracy.EIGHTHS)) == math.comb(16, 3)
    assert accuracy.spelled((0, 3 / 4, -3 / 4, 2)) == "0, +-3/4, 2"


@pytest.mark.parametrize("groups", [1, 2])
def test_zero_sum_filters_sum_to_zero(groups):
    layer = conv(3, 4, 8, 6, 3, groups=groups)
    weight = errors.draw(layer, errors.ZERO_SUM, "forward").weight
    assert np.abs(weight.sum((1, 2, 3))).max() < 1e-5
    weight = errors.draw(layer, errors.ZERO_SUM, "backward_input").weight
    grouped = weight.reshape(groups, 6 // groups, *weight.shape[1:])
    assert np.abs(grouped.sum((1, 3, 4))).max() < 1e-5
    grad = errors.draw(layer, errors.ZERO_SUM, "backward_weight").grad_output
    assert np.abs(grad.mean((0, 2, 3))).max() < 1e-4
