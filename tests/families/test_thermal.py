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


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-3.0, 3.0),
    st.floats(-2.0, 2.0),
    st.floats(-2.0, 2.0),
    st.floats(0.05, 1.5),
    st.floats(0.01, 2.0),
)
def test_stokes_round_trip(y0, y1, y2, theta, alpha):
    with jax.enable_x64(True):
        y, cosine = jnp.asarray([y0, y1, y2]), jnp.cos(theta)
        base, alpha = jnp.asarray(0.3), jnp.asarray(alpha)
        decoded = _physics.decode_stokes(y, base, cosine, alpha)
        assert np.allclose(
            _physics.encode_stokes(*decoded, base, cosine, alpha), y, rtol=0, atol=1e-9
        )


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-3.0, 3.0),
    st.floats(-3.0, 3.0),
    st.floats(2.0, 7.0),
    st.floats(-7.0, 4.0),
    st.floats(0.05, 1.5),
)
def test_rotation_round_trip(y0, y1, log_s, log_theta_e, theta):
    with jax.enable_x64(True):
        p = point(jnp.exp(log_s), jnp.asarray(theta), jnp.exp(log_theta_e))
        y = jnp.asarray([y0, y1])
        back = _physics.encode_rotation(*_physics.decode_rotation(y, p), p)
        assert np.allclose(back, y, rtol=0, atol=1e-8)


def test_rotation_vanishes_to_the_limits_and_changes_sign():
    hot = point(jnp.asarray([1.0, 1e12]), jnp.asarray(1.0), jnp.asarray(10.0))
    ratio_q, ratio_v = _physics.decode_rotation(jnp.full((2, 2), 3.0), hot)
    assert abs(float(ratio_q[1]) - 1) < 1e-6
    assert abs(float(ratio_v[1]) - 1) < 1e-6
    low = point(jnp.asarray(20.0), jnp.asarray(1.0), jnp.asarray(100.0))
    signs = [float(_physics.decode_rotation(jnp.asarray([y, 0.0]), low)[0]) for y in (-6.0, 1.0)]
    assert signs[0] < 0 < signs[1]


def test_exact_rotativities_stay_above_the_floor_of_the_map(rows):
    p = point_of(rows)
    low = np.asarray(_physics.rotation_frame(p)[0])
    ratio = rows["rho_Q"] / np.asarray(_physics.faraday_limits(p)[0]) / low
    assert np.min(ratio) < 0.0
    assert np.min(ratio) > -0.6 * _physics.LOWEST


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


def test_ripple_follows_the_harmonics():
    """The first Poisson saddle oscillates with s' and fades with temperature and frequency."""
    s = jnp.linspace(5.0, 8.0, 400)
    size = {}
    for theta_e in (0.1, 0.3, 1.0):
        wave = _saddle.saddle(point(s, jnp.asarray(1.57), jnp.full(400, theta_e)))
        size[theta_e] = np.hypot(wave.ripple_cos, wave.ripple_sin)
        turns = np.unwrap(np.arctan2(wave.ripple_sin, wave.ripple_cos))
        assert 2.0 < abs(turns[-1] - turns[0]) / (2 * np.pi) < 4.0
    assert size[0.1][0] > size[0.3][0] > size[1.0][0]
    assert np.all(np.diff(size[0.3]) < 0)


def test_exact_thermal_emission_is_physical(rows):
    """The invariants that the transforms enforce hold for the truth: checked, not assumed."""
    for kind in ("j", "alpha"):
        i, q, v = (rows[f"{kind}_{s}"] for s in "IQV")
        use = i > 1e-250
        assert use.sum() > 3000
        assert np.all(np.hypot(q, v)[use] < i[use])
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
    check_grads(lambda y: jnp.stack(_physics.decode_rotation(y, p)), (jnp.asarray([0.1, -0.2]),), 2)


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


def test_harmonic_ripple():
    """The complex saddle of the first Poisson term by Newton's method against its rational form."""
    y = np.geomspace(1e-6, 1e8, 200)
    z = y - 2j * np.pi
    b = 0.5 * np.log(2.0 * z + (5.6 - 2.2j))
    b = 0.5 * np.log(2.0 * z + 4.0 * b)
    for _ in range(20):
        b = b - (np.sinh(2.0 * b) - 2.0 * b - z) / (4.0 * np.sinh(b) ** 2)
    coth = 1.0 / np.tanh(b)
    h = (b - 1j * np.pi) * coth - 1.0
    square = y * y / np.sinh(b) ** 2 + 4.0 * h * coth * y + 4.0 * h * h
    real, imag = _saddle.ripple_square(jnp.asarray(y))
    assert np.allclose(real + 1j * np.asarray(imag), square / (1.0 + y), rtol=1e-6, atol=0)
