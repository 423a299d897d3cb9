"""The ray tracer of notebooks/black_hole.py against the laws of the Schwarzschild metric."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import synchrojax

SAMPLES = 160


@pytest.fixture(scope="module")
def example():
    path = pathlib.Path(__file__).parent.parent / "notebooks" / "black_hole.py"
    spec = importlib.util.spec_from_file_location("black_hole", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _ranks_as_of_numpy():
    """The example is code as users write it; what it calls keeps to the rules of the package."""
    with jax.numpy_rank_promotion("allow"):
        yield


def test_rays_are_null_geodesics(example, x64):
    # the third falls in, barely; the fourth comes back
    b = jnp.array([0.5, 4.0, 5.15, 5.25, 7.0, 12.0])
    path = example.schwarzschild(b, SAMPLES)
    energy = path.slope**2 + (b[:, None] / path.r) ** 2 * (1.0 - 2.0 / path.r)
    assert np.allclose(energy, 1.0, rtol=0, atol=3e-5)
    assert np.all(path.r > 2.0)
    assert np.all(np.isfinite(path.phi))
    # angle of the sweep inwards, from infinity, by quadrature
    for ray in (1, 5):
        k = int(np.flatnonzero(path.slope[ray] < -0.5)[-1])
        u, impact = 1.0 / float(path.r[ray, k]), float(b[ray])
        swept = quad(lambda x, c=impact: c / np.sqrt(1.0 - (c * x) ** 2 * (1.0 - 2.0 * x)), 0.0, u)[
            0
        ]
        assert float(path.phi[ray, k]) == pytest.approx(swept, abs=2e-5)
    assert path.r[2, -1] < 3.0
    assert path.slope[3, -1] > 0.9


def test_redshift_and_angles_in_the_plane_of_the_orbits(example, x64):
    """Seen edge-on every ray of the middle row stays there, where g and the angles to the field are
    known.
    """
    x = jnp.array([-9.0, -6.5, 6.0, 11.0])
    for vertical, psi_known in ((1e9, 0.0), (0.0, 0.5 * np.pi)):
        flow = example.Flow(inclination=jnp.asarray(0.5 * np.pi), vertical=jnp.asarray(vertical))
        params, psi, g, ds = example.along_rays(
            flow, x, jnp.full_like(x, 1e-9), example.schwarzschild, SAMPLES
        )
        r = jnp.flip(example.schwarzschild(jnp.abs(x), SAMPLES).r, -1)
        use = np.asarray(r) > 3.5
        expected = np.sqrt(1.0 - 3.0 / r[use]) / (1.0 + (x[:, None] * r**-1.5)[use])
        assert np.allclose(g[use], expected, rtol=3e-5)
        assert np.allclose(params["nu"][use] * g[use], example.NU)
        turned = np.asarray(psi)[use] - psi_known
        assert np.allclose(turned, np.pi * np.round(turned / np.pi), rtol=0, atol=1e-6)
        if vertical:
            assert np.allclose(params["theta"], 0.5 * np.pi, atol=1e-6)
        assert np.all(ds > 0.0)


def test_one_function_from_parameters_to_an_image(example):
    """Jitted, finite, physical; both sides of a face-on flow without a vertical field are alike."""
    model = synchrojax.load("thermal")
    small = {"pixels": 8, "samples": 48}
    draw = jax.jit(lambda flow: example.image(model, flow, **small))
    stokes = np.asarray(draw(example.Flow()))
    assert stokes.shape == (8, 8, 4)
    assert np.all(np.isfinite(stokes))
    assert np.all(
        np.hypot(np.hypot(stokes[..., 1], stokes[..., 2]), stokes[..., 3])
        <= 1.0001 * stokes[..., 0]
    )
    assert np.max(stokes[..., 0]) > 0.0
    above = np.asarray(draw(example.Flow(inclination=1e-4, vertical=0.0)))
    turned = np.rot90(above, 2)
    assert np.allclose(turned, above, atol=2e-3 * np.max(above[..., 0]))
