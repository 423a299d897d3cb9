"""What single harmonics leave, against plain sums over them and against the exact integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax import exact
from synchrojax.families import _harmonics
from synchrojax.families._learning import log_ratios
from synchrojax.families.thermal import THERMAL
from synchrojax.families.thermal import _physics as thermal

pytestmark = pytest.mark.usefixtures("x64")


def of(s_perp, cosine, steep):
    return _harmonics.harmonics(*jnp.broadcast_arrays(s_perp, cosine, steep))


def log_k(n, s_perp, cosine, steep):
    """K(n), n > s': Debye's exponential, the electrons and the peak over their pitch."""
    y = n / s_perp
    r = np.sqrt(1.0 + (cosine * steep / s_perp) ** 2 * (y * y - 1.0))
    debye = -2.0 * n * np.arctanh(1.0 / y) + 0.5 * np.log(y * y - 1.0)
    return debye - steep * (y - 1.0) + s_perp * (r - 1.0 - np.log(0.5 * (1.0 + r)))


@pytest.mark.parametrize("s_perp", [2.1, 2.6, 3.4, 5.3])
@pytest.mark.parametrize(("cosine", "steep"), [(0.02, 10.0), (0.5, 12.0), (-0.8, 8.0), (0.3, 2.0)])
def test_sums_and_integrals(s_perp, cosine, steep):
    """Against sums over n and, for the integrals, a fine grid with poles between its points."""
    n = np.floor(s_perp) + np.arange(1.0, 400.0)
    fine = 200
    grid = np.floor(s_perp) + (np.arange(400 * fine) + 0.5) / fine
    grid = grid[grid > s_perp]
    at_n, on_grid = (np.exp(log_k(x, s_perp, cosine, steep)) for x in (n, grid))
    moments = [
        ((at_n * (n - s_perp) ** k).sum(), (on_grid * (grid - s_perp) ** k).sum() / fine)
        for k in range(3)
    ]
    cotangent = on_grid / np.tan(np.pi * grid) / fine
    integral = moments[0][1]
    sums = [(a - b) / integral for a, b in moments]
    turned = [(cotangent * (grid - s_perp) ** k).sum() / integral for k in range(2)]
    logs = [np.log(a / b) for a, b in moments]

    found = of(s_perp, cosine, steep)
    # near s' = 2, where n = 2 has just gone, the nodes are least exact
    assert np.allclose(
        found.rotation, [sums[0], turned[0], sums[1], turned[1]], rtol=0.03, atol=3e-4
    )
    known = [logs[0], sums[0], logs[1] - logs[0], logs[2] - logs[0]]
    assert np.allclose(found.emission, known, rtol=0.05, atol=3e-3)


def test_exact_emission_is_smooth_over_the_sum():
    theta, s_perp = 1.4, np.linspace(2.1, 6.0, 32)
    s, theta, theta_e = s_perp / np.sin(theta), np.full(32, theta), np.full(32, 0.1)
    point = {"nu": s * 2799248.987, "B": 1.0, "n_e": 1.0, "theta": theta, "theta_e": theta_e}
    log_j = np.log(exact.coefficients("thermal", point).j_I)
    own = {"theta_e": jnp.asarray(theta_e)}
    p = THERMAL.point(jnp.asarray(s), jnp.asarray(theta), own)
    waves = thermal.harmonics_of(p).emission
    x = np.log(s_perp) - 1.2
    smooth = [x**k for k in range(6)]

    def left(values, columns):
        columns = np.stack(columns, -1)
        return np.max(np.abs(values - columns @ np.linalg.lstsq(columns, values)[0]))

    whole = left(log_j, smooth)
    assert whole > 0.05
    assert left(log_j - waves[0], smooth) < 0.7 * whole
    assert left(log_j, [*smooth, *waves, *(x * part for part in waves)]) < 0.03 * whole


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
    place = jnp.asarray([2.3, 4.0]), jnp.asarray([0.4, -0.1]), jnp.asarray([8.0, 3.0])
    check_grads(jax.jit(of), place, 1, rtol=1e-4)


def test_ratios_of_a_point_of_the_plane():
    y, turn = jnp.asarray([0.3, 1.1, -0.4]), jnp.asarray(-1.7)
    a, b = -jnp.exp(y[1]), turn * jnp.exp(y[2])
    size = jnp.sqrt(1.0 + a * a + b * b)
    found = jax.jit(log_ratios)(y, turn)
    assert np.allclose(found, [0.3, jnp.log(-a / size), jnp.log(b / size / turn)], rtol=1e-12)
