"""Bounded least squares of many problems at once, on functions whose minima are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synchrojax.spectra._minimize import minimize

ROUND = np.array([np.inf, np.inf, 0.5])


def residuals(u, problem):
    """A curved valley (Rosenbrock 1960) in the first two coordinates, a wave in the third."""
    a, phase = problem
    x, y = 4.0 * u[0] - 2.0, 4.0 * u[1] - 2.0
    turned = jnp.exp(1j * 4.0 * jnp.pi * (u[2] - phase)) - 1.0
    return jnp.stack([a - x, 10.0 * (y - x * x), turned.real, turned.imag])


def solved(a, starts, which, batch, dtype=np.float64):
    problems = np.asarray(a, dtype), np.full(len(a), 0.48, dtype)
    periods = ROUND.astype(dtype)
    starts = starts.astype(dtype)
    return minimize(
        residuals, starts, problems, which, width=4, periods=periods, batch=batch, most=200
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_minima_inside_at_walls_and_around_the_circle(dtype, rng):
    with jax.enable_x64(dtype == np.float64):
        a = np.repeat([1.0, 0.5, -1.2, 3.0], 5)
        starts = rng.uniform(0.0, 1.0, (20, 3))
        starts[:, 2] = (0.44 + 0.08 * rng.random(20)) % 0.5  # on both sides of the seam
        # more problems than go on at a time
        found = solved(a, starts, np.arange(20), 6, dtype)
    exact = dtype == np.float64
    assert np.all(found.converged)
    x = 4.0 * found.u[:, :2] - 2.0
    inside = a < 1.4
    np.testing.assert_allclose(x[inside, 0], a[inside], atol=1e-5 if exact else 2e-2)
    np.testing.assert_allclose(x[inside, 1], a[inside] ** 2, atol=1e-5 if exact else 4e-2)
    assert np.all(found.chi2[inside] < (1e-9 if exact else 1e-3))
    # y = x^2 leaves the cube at x = 1.41: there y stays at the wall
    walled = ~inside
    assert np.all(found.u[walled, 1] == 1.0)
    slope = 2.0 * (x[walled, 0] - 3.0) - 400.0 * (2.0 - x[walled, 0] ** 2) * x[walled, 0]
    assert np.max(np.abs(slope)) < (1e-2 if exact else 5.0)
    np.testing.assert_allclose(found.u[:, 2], 0.48, atol=1e-5 if exact else 2e-3)


def test_several_starts_share_a_problem(x64, rng):
    starts = rng.uniform(0.0, 1.0, (8, 3))
    starts[:, 2] = 0.45
    which = np.repeat([0, 1], 4)
    found = solved(np.array([1.0, -1.0]), starts, which, 8)
    np.testing.assert_allclose(4.0 * found.u[:, 0] - 2.0, np.where(which, -1.0, 1.0), atol=1e-5)


def test_starts_without_a_value_end_at_once(x64):
    def nowhere(u, problem):
        return jnp.stack([u[0] * jnp.nan, problem[0]])

    found = minimize(
        nowhere,
        np.full((3, 1), 0.5),
        (np.ones(3),),
        np.arange(3),
        width=2,
        periods=np.array([np.inf]),
        batch=2,
        most=50,
    )
    assert not found.converged.any()
    assert np.all(found.chi2 == np.inf)
