"""Light averaged over the face of a sphere and across a cylinder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax
from synchrojax import Coefficients
from synchrojax.transfer import cylinder, solve, sphere

NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)
ANGLES = 0.25 * np.pi * (NODES + 1.0)
# share of the diameter that is passed, and its weight; b = sin(angle) is the distance to the middle
CHORDS = np.cos(ANGLES)
SHARES = {
    sphere: 0.5 * np.pi * WEIGHTS * np.sin(ANGLES) * np.cos(ANGLES),
    cylinder: 0.25 * np.pi * WEIGHTS * np.cos(ANGLES),
}
FACES = pytest.mark.parametrize("face", [sphere, cylinder], ids=lambda f: f.__name__)


def random_coefficients(n, rng):
    """Depths of a unit of length from 1e-6 to 1e4, polarized up to the limit, turning up to 200."""
    direction = rng.normal(size=(2, n))
    direction *= rng.uniform(0.0, 1.0, n) / np.linalg.norm(direction, axis=0)
    alpha = 10.0 ** rng.uniform(-6.0, 4.0, n)
    rho = rng.choice([-1.0, 1.0], (2, n)) * 10.0 ** rng.uniform(-6.0, 2.3, (2, n))
    return Coefficients(*np.ones((3, n)) * [[1.0], [0.6], [0.1]], alpha, *alpha * direction, *rho)


@FACES
def test_mean_of_chords(face, x64, rng):
    c = random_coefficients(300, rng)
    chords = solve(jax.tree.map(lambda v: v[:, None, None], c), CHORDS[:, None], psi=0.3)
    wanted = np.array(chords) @ SHARES[face]
    found = np.array(face(c, 1.0, psi=0.3))
    assert np.max(np.abs(found - wanted) / wanted[0]) < 2e-11
    single = face(jax.tree.map(np.float32, c), np.float32(1.0), psi=np.float32(0.3))
    assert single.I.dtype == "float32"
    assert np.max(np.abs(np.array(single) - found) / found[0]) < 5e-5


@FACES
def test_slopes(face, x64):
    @jax.jit
    def polarized(alpha, rho):
        c = Coefficients(1.0, 0.6, 0.1, alpha, 0.4 * alpha, 0.1 * alpha, 0.3 * rho, rho)
        return jnp.stack(face(c, 2.0, psi=0.2))

    slopes = jax.jit(jax.jacfwd(polarized, argnums=(0, 1)))
    # on both sides of where closed forms take over from series, and there
    for alpha in (1e-8, 0.5, 1.0, 1.001, 7.0, 15.0, 1e6):
        for rho in (1e-9, 0.7, 14.9, 15.1, 1e7):
            for k in (0, 1):
                step = 1e-4 * (alpha, rho)[k]
                ends = [
                    polarized(*(v + sign * step * (i == k) for i, v in enumerate((alpha, rho))))
                    for sign in (-1.0, 1.0)
                ]
                slope = slopes(alpha, rho)[k]
                wanted = (ends[1] - ends[0]) / (2.0 * step)
                size = jnp.abs(ends[0][0]) / (alpha, rho)[k]
                if rho < 1e6:  # beyond, differences see another phase
                    assert jnp.max(jnp.abs(slope - wanted)) < 1e-6 * size, (alpha, rho, k)
                assert jnp.all(jnp.isfinite(slope))


@FACES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limits(face, dtype, x64):
    """Thin: the volume; thick: the source function; nothing: nothing."""
    share = {sphere: 2.0 / 3.0, cylinder: np.pi / 4.0}[face]

    def light(alpha, length, rho=0.0):
        numbers = (1.0, 0.6, 0.1, alpha, 0.0, 0.0, 0.0, rho)
        c = Coefficients(*(jnp.asarray(v, dtype) for v in numbers))
        return np.array(face(c, jnp.asarray(length, dtype), psi=jnp.asarray(0.0, dtype)), float)

    np.testing.assert_allclose(light(1e-12, 3.0), 3.0 * share * np.array([1, 0.6, 0, 0.1]), 1e-6)
    np.testing.assert_allclose(light(1e8, 3.0), 1e-8 * np.array([1, 0.6, 0, 0.1]), rtol=1e-6)
    assert np.all(light(1.0, 0.0) == 0.0)
    turned = light(1e-12, 1.0, 1e7)
    assert np.hypot(*turned[1:3]) < 1e-3 * turned[0]
    for length in (1e-30, 1e30):
        assert np.all(np.isfinite(light(1e-3, length, 1e-3)))


@FACES
def test_logarithms_and_bad_arguments(face, model, point, x64):
    c, logs = model.coefficients(point), model.log_coefficients(point)
    wanted = np.array(face(c, 1e13, psi=0.4))
    np.testing.assert_allclose(np.array(face(logs, 1e13, psi=0.4)), wanted, rtol=1e-10)
    sky = synchrojax.rotate(c, 0.4)
    np.testing.assert_allclose(np.array(face(sky, 1e13)), wanted, rtol=1e-12)
    assert np.all(np.isnan(jax.jit(lambda d: face(c, d, psi=0.4).I)(-1.0)))
    with pytest.raises(ValueError, match="must not be negative"):
        face(c, -1.0, psi=0.4)
    with pytest.raises(ValueError, match="need psi"):
        face(c, 1.0)
    with pytest.raises(ValueError, match="needs Coefficients"):
        face(3.0, 1.0)
