"""Laws of the maps between network and physical space, for any network output."""

import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from synchrojax.families.thermal import THERMAL, _physics, _saddle
from synchrojax.tables.table_files import parts, read_table

pytestmark = pytest.mark.usefixtures("x64")
TABLE = "data/thermal_heldout"


def point(s, theta, theta_e):
    s, theta, theta_e = jnp.broadcast_arrays(s, theta, theta_e)
    return THERMAL.point(s, theta, {"theta_e": theta_e})


@pytest.fixture(scope="module")
def rows(request):
    path = request.config.rootpath / TABLE
    return read_table(path, ("s", "theta", "theta_e"))


def point_of(rows):
    return point(*(jnp.asarray(rows[k]) for k in ("s", "theta", "theta_e")))


finite = st.floats(-30.0, 30.0)


@settings(max_examples=200, deadline=None)
@given(finite, finite, finite, st.floats(0.0, np.pi), st.floats(1e-4, 5.0))
def test_stokes_stay_inside_the_disk(y0, y1, y2, theta, alpha):
    """sqrt(j_Q^2 + j_V^2) < j_I and the sign of V for any output whatever, in both precisions."""
    with jax.enable_x64(True):
        for dtype in (jnp.float32, jnp.float64):
            y, cosine = jnp.asarray([y0, y1, y2], dtype), jnp.cos(jnp.asarray(theta, dtype))
            _, q, v = _physics.decode_stokes(
                y, jnp.zeros((), dtype), cosine, jnp.asarray(alpha, dtype)
            )
            assert float(q) ** 2 + float(v) ** 2 < 1.0
            assert float(v) * float(cosine) >= 0.0
            assert float(q) <= 0.0
            _, q2, v2 = _physics.decode_stokes(
                y, jnp.zeros((), dtype), -cosine, jnp.asarray(alpha, dtype)
            )
            assert float(q2) == float(q)
            assert float(v2) == -float(v)


def test_rotation_vanishes_to_the_limits_and_changes_sign():
    hot = point(jnp.asarray([1.0, 1e12]), jnp.asarray(1.0), jnp.asarray(10.0))
    ratio_q, ratio_v = _physics.decode_rotation(jnp.asarray([[3.0] * 2, [0.0] * 2, [3.0] * 2]), hot)
    assert abs(float(ratio_q[1]) - 1) < 1e-6
    assert abs(float(ratio_v[1]) - 1) < 1e-6
    low = point(jnp.asarray(20.0), jnp.asarray(1.0), jnp.asarray(100.0))
    signs = [
        float(_physics.decode_rotation(jnp.asarray([y, 0.0, 0.0]), low)[0]) for y in (-6.0, 1.0)
    ]
    assert signs[0] < 0 < signs[1]


def test_exact_rotativities_stay_above_the_floor_of_the_map(rows):
    p = point_of(rows)
    low = np.asarray(_physics.rotation_frame(p)[0])
    ratio = rows["rho_Q"] / np.asarray(_physics.faraday_limits(p)[0]) / low
    inside = np.asarray(p.s * p.sine) >= THERMAL.domain["s_sin_theta"][0]
    assert np.min(ratio[inside]) < 0.0
    assert np.min(ratio[inside]) > -0.6 * _physics.LOWEST


def test_saddle_solves_its_equation(rows):
    p = point_of(rows)
    wave = jax.jit(_saddle.saddle)(p)
    q = p.s * p.sine**2 * p.theta_e
    alpha = np.arcsinh(np.asarray(wave.sinh))
    tidy = alpha > 0.05  # below, sinh(2 alpha) - 2 alpha cancels in this plain check
    assert np.max(np.abs((np.sinh(2 * alpha) - 2 * alpha) * q - 1)[tidy]) < 1e-5
    a = 1 / np.tanh(alpha) / (p.theta_e * p.sine) + 2 * p.s * p.sine * (alpha / np.tanh(alpha) - 1)
    exponent = np.sqrt(a**2 - (p.cosine / p.sine / p.theta_e) ** 2) - 1 / p.theta_e
    mild = (p.sine > 0.1) & (alpha > 0.3)
    assert np.max(np.abs(wave.exponent / exponent - 1)[mild]) < 1e-6


def test_exact_thermal_emission_is_physical(rows):
    """The invariants that the transforms enforce hold for the truth: checked, not assumed."""
    for kind in ("j", "alpha"):
        i, q, v = (rows[f"{kind}_{s}"] for s in "IQV")
        use = i > 1e-250
        assert use.sum() > 3000
        # 8 digits are kept, and cold electrons are polarized to 100 %
        assert np.all(np.hypot(q, v)[use] < i[use] * (1.0 + 2e-8))
        assert np.all(q[use] < 0)
        assert np.all((v * np.cos(rows["theta"]))[use] > 0)


def test_gradients_of_the_maps():
    p = point(jnp.asarray(300.0), jnp.asarray(0.8), jnp.asarray(4.0))

    def exponent(s, theta, theta_e):
        return _saddle.saddle(point(s, theta, theta_e)).exponent

    check_grads(exponent, (300.0, 0.8, 4.0), 2, rtol=1e-4)
    check_grads(
        lambda y: jnp.stack(_physics.decode_stokes(y, *jnp.asarray([0.1, 0.4, 0.3]))),
        (jnp.asarray([0.1, -0.2, 0.3]),),
        2,
    )

    def rotation(*y):
        return jnp.stack(_physics.decode_rotation(jnp.stack(list(map(jnp.asarray, y))), p))

    check_grads(rotation, (0.1, 0.3, -0.2), 2)


def test_committed_tables_say_how_they_were_made(request):
    for name, margin in (("thermal", 1.2), ("thermal_heldout", 1.0)):
        directory = request.config.rootpath / "data" / name
        settings_ = json.loads((directory / "table.json").read_text())
        assert settings_["distribution"] == "thermal"
        assert settings_["margin"] == margin
        total = sum(len(gzip.decompress(p.read_bytes()).splitlines()) - 1 for p in parts(directory))
        assert total == settings_["n"]


def test_saddle_and_its_derivatives():
    """sinh(2 a) - 2 a = y, with the slopes that follow from it, of first and second order."""
    y = jnp.asarray([1e-12, 1e-4, 0.3, 3.9, 4.1, 50.0, 1e6])
    alpha = _saddle._real_root(y)
    assert np.allclose(_saddle._excess(alpha), y, rtol=3e-5, atol=0)
    check_grads(
        lambda t: jnp.log(_saddle._real_root(jnp.exp(t))),
        (jnp.log(y),),
        order=2,
        atol=1e-4,
        rtol=1e-4,
    )
