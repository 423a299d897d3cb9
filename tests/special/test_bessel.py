"""Bessel functions against mpmath."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax.special import bessel, debye_products, scaled_k012

pytestmark = pytest.mark.usefixtures("x64")


def reference(a, z):
    a, z = mp.mpf(float(a)), mp.mpf(float(z))
    j, y = mp.besselj(a, z), mp.bessely(a, z)
    return j, y, a / z * j - mp.besselj(a + 1, z), a / z * y - mp.bessely(a + 1, z)


def relative(ours, truth):
    return max(
        (
            float(abs(mp.mpf(float(o)) / t - 1))
            for o, t in zip(ours, truth, strict=True)
            if 1e-300 < abs(t) < 1e300
        ),
        default=0.0,
    )


def sample(count, rng, low, high):
    a = 10 ** rng.uniform(np.log10(low), np.log10(high), count)
    kind = np.arange(count) % 3
    ratio = np.where(
        kind == 0,
        rng.uniform(0, 1, count),
        np.where(kind == 1, 1 - 10 ** rng.uniform(-12, -1, count), 10 ** rng.uniform(-4, 0, count)),
    )
    return a, np.minimum(a * ratio, np.nextafter(a, 0))


@pytest.mark.parametrize(("low", "high"), [(1.0, 5.0), (4.9, 5.1), (5.0, 30.0), (30.0, 600.0)])
def test_bessel_against_mpmath(low, high, rng):
    a, z = sample(60, rng, low, high)
    with mp.workdps(40):
        ours = np.array(jax.jit(bessel)(a, z)).T
        worst = max(
            relative(o, reference(*q)) for o, q in zip(ours, zip(a, z, strict=True), strict=True)
        )
    assert worst < 3e-12


def siegel(a, z):
    """J_a(z) for any order from Siegel's integral (Watson 8.31), to 25 digits."""
    with mp.workdps(30):
        a, z = mp.mpf(float(a)), mp.mpf(float(z))
        x = z / a

        def exponent(t):
            root = mp.sqrt(t * t - (x * mp.sin(t)) ** 2)
            return mp.log((t + root) / (x * mp.sin(t))) - mp.cot(t) * root

        start = mp.acosh(1 / x) - mp.sqrt((1 - x) * (1 + x))
        width = mp.mpf(1)
        while a * (exponent(width) - start) > 80 and width > 1e-12:
            width /= 2
        edges = [mp.mpf(10) ** -15, *(width * 2 * mp.mpf(k) / 12 for k in range(1, 13))]
        if edges[-1] > 3.1:
            edges = [mp.mpf(10) ** -15, *(3.14 * mp.mpf(k) / 12 for k in range(1, 13))]
        return mp.quad(lambda t: mp.exp(-a * exponent(t)), edges) / mp.pi


@pytest.mark.parametrize("a", [1e3, 1e5, 1e8, 1e12])
@pytest.mark.parametrize("xi", [1e-3, 0.3, 3.0, 40.0])
def test_large_orders(a, xi):
    """Orders that mpmath's series cannot reach, at chosen depth xi ~ a (2 (1 - z/a))^1.5 / 3."""
    z = a * (1 - 0.5 * (3 * xi / a) ** (2 / 3))
    j, y, dj, dy = (float(v) for v in bessel(a, z))
    assert abs(j / float(siegel(a, z)) - 1) < 1e-10
    # the Wronskian ties Y and both derivatives to J
    assert abs((j * dy - dj * y) * np.pi * z / 2 - 1) < 1e-10
    step = a ** (1 / 3) * 1e-3
    slope = (
        -bessel(a, z + 2 * step)[0]
        + 8 * bessel(a, z + step)[0]
        - 8 * bessel(a, z - step)[0]
        + bessel(a, z - 2 * step)[0]
    ) / (12 * step)
    assert abs(float(slope) / dj - 1) < 1e-7


def test_debye_products_meet_the_functions():
    """At xi ~ 30 both are good to 1e-9 of the remainder."""
    with mp.workdps(50):
        for a, alpha in ((30.0, 2.0), (300.0, 0.7), (12.0, 4.0)):
            z = mp.mpf(a) * mp.sech(alpha)
            j, y, dj, dy = reference_mp(a, z)
            r = mp.sqrt(mp.mpf(a) ** 2 - z**2)
            first = -j * y * r * mp.pi - 1
            truth = first, first + dj * dy * mp.pi * z**2 / r - 1, (dj * y + j * dy) * mp.pi * z
            ours = debye_products(1 / np.sinh(alpha) ** 2, 1 / (a * np.tanh(alpha)))
            assert (
                max(abs(float(o / t - 1)) for o, t in zip(map(float, ours), truth, strict=True))
                < 1e-10
            )


def reference_mp(a, z):
    a = mp.mpf(a)
    j, y = mp.besselj(a, z), mp.bessely(a, z)
    return j, y, a / z * j - mp.besselj(a + 1, z), a / z * y - mp.bessely(a + 1, z)


def test_modified_bessel_against_mpmath():
    x = np.concatenate([10 ** np.linspace(-6, 6, 61), [1.9999, 2.0, 2.0001]])
    ours = np.array(scaled_k012(jnp.asarray(x)))
    for n in range(3):
        truth = np.array([float(mp.besselk(n, v) * mp.exp(v)) for v in x])
        assert np.max(np.abs(ours[n] / truth - 1)) < 1e-13


def test_gradients():
    check_grads(lambda a, z: bessel(a, z)[0], (7.3, 4.1), 1, rtol=1e-6)
    check_grads(lambda a, z: bessel(a, z)[1], (3.2, 2.9), 1, rtol=1e-6)
    check_grads(lambda x: scaled_k012(x)[2], (jnp.asarray(1.3),), 1, rtol=1e-6)
