"""What single harmonics leave, against plain sums over them and against the exact integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax import exact
from synchrojax.core import GYRO
from synchrojax.families import _harmonics
from synchrojax.families._learning import log_ratios
from synchrojax.families.kappa import KAPPA
from synchrojax.families.kappa import _physics as kappa
from synchrojax.families.thermal import THERMAL
from synchrojax.families.thermal import _physics as thermal

pytestmark = pytest.mark.usefixtures("x64")


def of(s_perp, cosine, steep):
    return _harmonics.harmonics(*jnp.broadcast_arrays(s_perp, cosine, steep))


def log_k_of_emission(n, s_perp, cosine, steep):
    """K(n): Debye's J_n^2, J_n'^2 and the electrons, at the peak q of momenta along B.

    n > s'. Times the width of the peak, all by a fine grid.
    """
    y = n / s_perp
    q = np.sqrt(y * y - 1.0)[:, None] * np.sin(np.linspace(-1.57, 1.57, 2001))
    w = np.sqrt(1.0 + q * q) / y[:, None]
    height = 2.0 * n[:, None] * (w - np.arctanh(w)) + abs(cosine) * steep * q
    at = np.argmax(height, 1)
    rows = np.arange(len(n))
    near = [height[rows, at + k] for k in (-4, 0, 4)]
    gaps = [q[rows, at + k] - q[rows, at] for k in (-4, 4)]
    curved = 2.0 * ((near[0] - near[1]) / gaps[0] - (near[2] - near[1]) / gaps[1])
    curved = curved / (gaps[1] - gaps[0])
    squared = q[rows, at] ** 2
    return (
        near[1]
        - steep * (y - 1.0)
        + np.log((1.0 + 2.0 * squared) / np.sqrt(1.0 + squared))
        - 0.5 * np.log(curved)
    )


def log_k_of_rotation(n, s_perp, cosine, steep):
    """K(n), n > s': Debye's exponential, the electrons and the peak over their pitch."""
    y = n / s_perp
    r = np.sqrt(1.0 + (cosine * steep / s_perp) ** 2 * (y * y - 1.0))
    debye = -2.0 * n * np.arctanh(1.0 / y) + 0.5 * np.log(y * y - 1.0)
    return debye - steep * (y - 1.0) + s_perp * (r - 1.0 - np.log(0.5 * (1.0 + r)))


def moments(log_k, s_perp, place, powers, end, fine):
    """Sums and integrals of K times ``powers`` of n - s', and K on the grid of the latter.

    The poles of cot(pi n) are between the points of the grid, ``fine`` of them from n to n + 1.
    """
    n = np.floor(s_perp) + np.arange(1.0, end)
    grid = np.floor(s_perp) + (np.arange(end * fine) + 0.5) / fine
    grid = grid[grid > s_perp]
    top = np.max(log_k(n, s_perp, *place))
    at_n, on_grid = (np.exp(log_k(x, s_perp, *place) - top) for x in (n, grid))
    sums = [(at_n * (n - s_perp) ** k).sum() for k in powers]
    return sums, [(on_grid * (grid - s_perp) ** k).sum() / fine for k in powers], on_grid, grid


PLACES = [(0.02, 10.0), (0.5, 12.0), (-0.8, 8.0), (0.3, 2.0)]


@pytest.mark.parametrize("s_perp", [2.1, 2.6, 3.4, 5.3])
@pytest.mark.parametrize("place", PLACES)
def test_rotation_by_sums_and_a_grid(s_perp, place):
    fine = 200
    sums, integrals, k, grid = moments(log_k_of_rotation, s_perp, place, (0, 1), 400, fine)
    cotangent = k / np.tan(np.pi * grid) / fine
    turned = [(cotangent * (grid - s_perp) ** k).sum() for k in range(2)]
    less = [a - b for a, b in zip(sums, integrals, strict=True)]
    wanted = np.array([less[0], turned[0], less[1], turned[1]]) / integrals[0]
    # near s' = 2, where n = 2 has just gone, the nodes are least exact
    assert np.allclose(of(s_perp, *place).rotation, wanted, rtol=0.03, atol=3e-4)


@pytest.mark.parametrize("s_perp", [1.3, 2.1, 3.4])
@pytest.mark.parametrize("place", [*PLACES, (0.99, 30.0)])
def test_emission_by_sums_and_a_grid(s_perp, place):
    sums, integrals, _, _ = moments(log_k_of_emission, s_perp, place, (0, 1, 2), 100, 20)
    logs = [np.log(a / b) for a, b in zip(sums, integrals, strict=True)]
    wanted = [logs[0], np.expm1(logs[0]), logs[1] - logs[0], logs[2] - logs[0]]
    assert np.allclose(of(s_perp, *place).emission, wanted, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "of_family", "own"),
    [
        (THERMAL, thermal.harmonics_of, {"theta_e": 0.1}),
        (KAPPA, kappa.harmonics_of, {"kappa": 8.0, "w": 0.1}),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_exact_emission_is_smooth_over_the_sum(family, of_family, own):
    theta, s_perp = np.full(32, 1.4), np.linspace(2.1, 6.0, 32)
    s = s_perp / np.sin(theta)
    point = {"nu": s * GYRO, "B": 1.0, "n_e": 1.0, "theta": theta, **own}
    log_j = np.log(exact.coefficients(family.name, point).j_I)
    own = {k: jnp.full(32, v) for k, v in own.items()}
    waves = of_family(family.point(jnp.asarray(s), jnp.asarray(theta), own)).emission
    x = np.log(s_perp) - 1.2
    smooth = [x**k for k in range(6)]

    def left(values, columns):
        columns = np.stack(columns, -1)
        return np.max(np.abs(values - columns @ np.linalg.lstsq(columns, values)[0]))

    whole = left(log_j, smooth)
    assert whole > 0.05
    assert left(log_j - waves[0], smooth) < 0.7 * whole
    assert left(log_j, [*smooth, *waves, *(x * part for part in waves)]) < 0.03 * whole


def test_many_kappa_are_thermal():
    sine = jnp.full(3, 0.8)
    p = kappa.Point(sine, sine, jnp.sqrt(1.0 - sine**2), jnp.full(3, 1e7), jnp.full(3, 0.2), None)
    steep = kappa._steepness(jnp.asarray([1.5, 3.0, 10.0]), p)
    assert np.allclose(steep, 1.0 / (0.2 * 0.8), rtol=1e-5)


def test_nothing_is_left_far_above():
    far = of(jnp.asarray([29.0, 31.0, 1e5]), 0.0, 20.0)
    assert np.all(np.abs(far.rotation[:, 0]) < 1e-6)
    assert np.all(np.asarray(far.rotation[:, 1:]) == 0.0)
    assert np.all(np.asarray(far.emission[:, 1:]) == 0.0)
    hot = of(jnp.asarray([2.5, 4.0]), 0.0, 0.01)
    assert np.all(np.abs(hot.rotation) < 1e-4)


def test_single_precision_and_slopes():
    s_perp = jnp.asarray([0.3, 1.0, 2.01, 2.99, 7.0, 29.9])
    parts = jax.jit(of)
    for theta_e in (0.05, 1.0, 100.0):
        for theta in (1e-6, 0.05, 0.4, 1.0, 1.57):
            place = s_perp, jnp.cos(theta), 1.0 / (theta_e * jnp.sin(theta))
            exact_parts = parts(*place)
            narrow = parts(*(jnp.asarray(v, jnp.float32) for v in place))
            for a, b in zip(exact_parts, narrow, strict=True):
                assert np.all(np.isfinite(a))
                assert np.allclose(a, b, rtol=1e-4, atol=3e-5)
    place = jnp.asarray([2.3, 4.1]), jnp.asarray([0.4, -0.1]), jnp.asarray([8.0, 3.0])
    check_grads(jax.jit(of), place, 1, rtol=1e-4)


def test_ratios_of_a_point_of_the_plane():
    y, turn = jnp.asarray([0.3, 1.1, -0.4]), jnp.asarray(-1.7)
    a, b = -jnp.exp(y[1]), turn * jnp.exp(y[2])
    size = jnp.sqrt(1.0 + a * a + b * b)
    found = jax.jit(log_ratios)(y, turn)
    assert np.allclose(found, [0.3, jnp.log(-a / size), jnp.log(b / size / turn)], rtol=1e-12)
