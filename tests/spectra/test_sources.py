"""Slabs, spheres and jets: closed solutions, brute force, and what motion and distance do."""

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax
from synchrojax import spectra, transfer

NU = np.geomspace(1e8, 1e13, 11)
ELECTRONS = {"B": 0.3, "n_e": 1e4, "theta": 1.1, "p": 2.6, "gamma_min": 10.0}
PARSEC = 3.0856775814913674e18


@pytest.fixture(scope="module")
def slab():
    return spectra.slab("powerlaw")


@pytest.fixture(scope="module")
def sphere():
    return spectra.sphere("powerlaw")


def slopes(light, nu):
    return np.diff(np.log(np.asarray(light))) / np.diff(np.log(nu))


def test_labels(slab):
    assert list(slab.labels.items()) == [
        *(("B", "G"), ("n_e", "cm^-3"), ("theta", "rad"), ("p", ""), ("gamma_min", "")),
        *(("gamma_max", ""), ("length", "cm"), ("solid_angle", "sr"), ("psi", "rad")),
        *(("doppler", ""), ("z", ""), ("rotation_measure", "rad m^-2")),
    ]
    assert {"radius", "distance"} <= set(spectra.sphere("thermal").labels)
    assert slab == spectra.slab(synchrojax.load("powerlaw")) != spectra.sphere("powerlaw")
    assert hash(slab) == hash(spectra.slab("powerlaw"))


def test_slab_is_one_cell(slab, x64):
    own = {"length": 1e16, "solid_angle": 1e-16, "psi": 0.4}
    c = synchrojax.load("powerlaw").coefficients({**ELECTRONS, "nu": NU[:, None]})
    wanted = 1e23 * 1e-16 * np.array(transfer.solve(c, 1e16, psi=0.4))
    found = np.array(slab.stokes({**ELECTRONS, **own}, NU))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    # a mapping of arrays that broadcast, and units
    own |= {"length": np.full((2, 1), 1e16) * u.cm, "B": np.full(3, 30.0) * u.uT * 1.0}
    several = slab.stokes({**ELECTRONS, **own, "B": np.full(3, 3e-5) * u.T}, NU * u.Hz)
    assert several.I.shape == (2, 3, 11)
    np.testing.assert_allclose(several.Q[1, 2], wanted[1], rtol=1e-9)
    single = slab.stokes({**ELECTRONS, "length": 1e16, "solid_angle": 1e-16}, 1e10)
    assert single.I.shape == ()
    lengths = {**ELECTRONS, "length": np.array([1e15, 1e16, 1e17]), "solid_angle": 1e-16}
    alone, row = slab.stokes(lengths, 1e10), slab.stokes(lengths, [1e10])
    np.testing.assert_array_equal(alone.U, row.U[:, 0])


def test_slopes_of_the_spectrum(slab, x64):
    """Rybicki and Lightman 1979, chapter 6: 5/2 where it is thick, - (p - 1) / 2 where thin."""
    nu = np.geomspace(1e7, 1e15, 40)
    own = {"B": 1e-3, "length": 1e20, "solid_angle": 1e-12}
    light = slab.stokes({**ELECTRONS, **own, "gamma_min": 1.0}, nu)
    found = slopes(light.I, nu)
    np.testing.assert_allclose(found[:3], 2.5, atol=2e-3)
    np.testing.assert_allclose(found[-5:], -0.8, atol=2e-3)
    # an ordered field: (p + 1) / (p + 7/3) thin, 3 / (6 p + 13) thick, turned by a right angle
    degree = np.asarray(light.Q / light.I)
    np.testing.assert_allclose(degree[-5:], -3.6 / (2.6 + 7.0 / 3.0), rtol=2e-3)


def test_thermal_light_is_that_of_a_black_body(x64):
    nu = np.geomspace(1e9, 1e10, 5)
    hot = spectra.slab("thermal")
    electrons = {"B": 30.0, "n_e": 1e7, "theta": 1.0, "theta_e": 30.0}
    light = hot.stokes({**electrons, "length": 1e16, "solid_angle": 1e-20}, nu)
    np.testing.assert_allclose(slopes(light.I, nu), 2.0, atol=1e-3)
    m_e_c2, c = 8.18710565e-7, 2.99792458e10
    np.testing.assert_allclose(light.I, 1e3 * 2.0 * nu**2 / c**2 * 30.0 * m_e_c2, rtol=1e-3)


def test_sphere(sphere, slab, x64):
    own = {"radius": 3e15, "distance": 1e26, "psi": 0.2}
    found = np.array(sphere.stokes({**ELECTRONS, **own}, NU))
    # rays through its face, at radii b of equal weight
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angle = 0.25 * np.pi * (nodes + 1.0)
    area = 2.0 * np.pi * (3e15 / 1e26) ** 2 * 0.25 * np.pi * weights
    area = area * np.sin(angle) * np.cos(angle)
    params = {**ELECTRONS, "length": 6e15 * np.cos(angle), "solid_angle": area, "psi": 0.2}
    wanted = np.sum(np.array(slab.stokes(params, NU)), axis=1)
    assert np.max(np.abs(found - wanted) / wanted[0]) < 1e-8
    c = synchrojax.load("powerlaw").coefficients({**ELECTRONS, "nu": NU})
    volume = 4.0 / 3.0 * np.pi * 3e15**3 / 1e26**2
    np.testing.assert_allclose(found[0, -1], 1e23 * volume * c.j_I[-1], rtol=1e-4)
    face = np.pi * (3e15 / 1e26) ** 2
    np.testing.assert_allclose(found[0, 0], 1e23 * face * c.j_I[0] / c.alpha_I[0], rtol=0.05)


def test_motion_and_distance(sphere, slab, x64):
    """I / nu^3 is the same for all, and a luminosity distance is one of luminosity."""
    own = {"length": 1e16, "solid_angle": 1e-16}
    rest = slab.stokes({**ELECTRONS, **own}, NU)
    moving = slab.stokes({**ELECTRONS, **own, "doppler": 8.0, "z": 1.5}, NU * 8.0 / 2.5)
    np.testing.assert_allclose(moving.I, rest.I * (8.0 / 2.5) ** 3, rtol=1e-9)
    far = {"radius": 3e15, "distance": 1e26}
    near = sphere.stokes({**ELECTRONS, **far}, NU)
    away = sphere.stokes({**ELECTRONS, **far, "z": 1.5}, NU / 2.5)
    np.testing.assert_allclose(away.I, 2.5 * np.asarray(near.I), rtol=1e-9)


def test_faraday_screen(slab, x64):
    """It turns as rho_V of cold plasma does that stands before the source."""
    own = {"length": 1e13, "solid_angle": 1e-16}
    nu = np.geomspace(1e9, 3e9, 7)
    light = slab.stokes({**ELECTRONS, **own}, nu)
    turned = slab.stokes({**ELECTRONS, **own, "rotation_measure": 40.0}, nu)
    before = np.asarray(light.Q) + 1j * np.asarray(light.U)
    after = np.asarray(turned.Q) + 1j * np.asarray(turned.U)
    np.testing.assert_allclose(
        after, before * np.exp(80j * (299792458.0 / nu) ** 2), rtol=0, atol=1e-9 * np.abs(before)[0]
    )
    # 1 cm^-3, 1 microgauss towards us, 1 pc: 0.812 rad m^-2 (Brentjens and de Bruyn 2005, eq. 3)
    screen = {"nu": nu[:, None], "B": 1e-6, "n_e": 1.0, "theta": 0.0, "theta_e": 1e-3}
    c = synchrojax.load("thermal").coefficients(screen)
    passed = transfer.solve(c, PARSEC, psi=0.0, background=light)
    expected = slab.stokes({**ELECTRONS, **own, "rotation_measure": 0.812}, nu)
    np.testing.assert_allclose(passed.Q, expected.Q, rtol=1e-3)
    np.testing.assert_allclose(passed.U, expected.U, rtol=2e-3)


@pytest.mark.parametrize("doppler", [1.0, 5.0])
def test_jet(doppler, x64):
    """Slices of finite length, each of many slabs, against the sum in closed form."""
    base = {**ELECTRONS, "base": 1e17, "radius": 1e16, "viewing": 0.3, "distance": 1e27}
    own = {"doppler": doppler, "z": 0.5, "extent": 300.0, "slope_B": 1.1}
    found = np.array(spectra.cone("powerlaw").stokes({**base, **own}, NU))
    x = np.geomspace(1.0, 300.0, 401)
    middle, width = np.sqrt(x[1:] * x[:-1])[:, None], np.diff(x)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(20)
    angle = 0.25 * np.pi * (nodes + 1.0)
    radius, sine = 1e16 * middle, np.sin(0.3)
    area = width * 1e17 * sine * 2.0 * radius * 0.25 * np.pi * weights * np.cos(angle)
    params = {
        **ELECTRONS,
        "B": ELECTRONS["B"] * middle**-1.1,
        "n_e": ELECTRONS["n_e"] * middle**-2,
        "length": 2.0 * radius * np.cos(angle) / (sine * doppler),
        "solid_angle": area * 1.5**4 / 1e27**2,
        "doppler": doppler,
        "z": 0.5,
    }
    wanted = np.sum(np.array(spectra.slab("powerlaw").stokes(params, NU)), axis=(1, 2))
    assert np.max(np.abs(found - wanted) / wanted[0]) < 1e-3


def test_jet_has_a_flat_spectrum(x64):
    """Blandford and Koenigl 1979: slopes 1, 2 and 1 make I independent of nu."""
    nu = np.geomspace(1e8, 1e9, 5)
    base = {**ELECTRONS, "base": 1e15, "radius": 1e14, "viewing": 0.3, "distance": 1e27}
    flat = {"B": 10.0, "n_e": 1e5, "gamma_min": 1.0, "extent": 1e6}
    light = spectra.cone("powerlaw").stokes({**base, **flat}, nu)
    np.testing.assert_allclose(slopes(light.I, nu), 0.0, atol=2e-3)


@pytest.mark.parametrize("name", synchrojax.models())
def test_every_model(name):
    own = {"theta_e": 10.0, "p": 2.5, "kappa": 3.5, "w": 10.0, "k": 1.0}
    gamma = np.geomspace(1.0, 1e4, 16)
    own |= {"gamma": gamma, "N": np.array([[1.0], [2.0]]) * gamma**-2.0}
    source = spectra.sphere(name)
    own = {n: v for n, v in own.items() if n in source.labels}
    base = {"B": 1.0, "theta": 1.0, "radius": 1e14, "distance": 1e25}
    light = source.stokes({**base, **own, **({} if "N" in own else {"n_e": [1.0, 2.0]})}, NU[3:9])
    assert light.I.shape == (2, 6)
    assert light.I.dtype == "float32"
    assert np.all(np.hypot(np.hypot(light.Q, light.U), light.V) < light.I)
    # thin at these frequencies: light goes with the density
    np.testing.assert_allclose(light.I[1, -1] / light.I[0, -1], 2.0, rtol=1e-2)


def test_derivatives(slab, x64):
    params = {**ELECTRONS, "length": 1e16, "solid_angle": 1e-16, "rotation_measure": 3.0}

    def total(values, nu=NU[7]):
        return jnp.sum(jnp.stack(slab.stokes({**params, **values}, nu)))

    at = {"B": 0.3, "theta": 1.1, "length": 1e16, "doppler": 2.0, "z": 0.1, "psi": 0.3}
    slopes = jax.jit(jax.grad(total))(at)
    for name, slope in slopes.items():
        step = 1e-5 * at[name]
        ends = [total({**at, name: at[name] + sign * step}) for sign in (-1.0, 1.0)]
        np.testing.assert_allclose(slope, (ends[1] - ends[0]) / (2.0 * step), rtol=1e-5)


def test_your_own(x64):
    def function(params, nu):
        total = params["flux"] * (nu / 1e9) ** -params["alpha"]
        return total, 0.1 * total, 0.0 * total, 0.0

    own = spectra.Source(function, ("flux", "alpha"), ("Jy", ""), {"alpha": 0.7})
    assert own.labels == {"flux": "Jy", "alpha": ""}
    light = own.stokes({"flux": [1.0, 2000.0] * u.mJy}, [1e9, 2e9])
    np.testing.assert_allclose(light.I, [[1e-3, 1e-3 * 2**-0.7], [2.0, 2.0 * 2**-0.7]])
    assert light.V.shape == (2, 2)
    np.testing.assert_allclose(
        jax.jit(own.stokes)({"flux": 1.0}, NU).I[2:3], (1e-9 * NU[2]) ** -0.7
    )


def test_numpy_inside_of_a_jitted_function_of_either_precision():
    own = spectra.Source(lambda p, nu: (p["a"] * nu,) * 4, ("a", "b"), ("Jy", ""))
    gamma = np.geomspace(1.0, 1e4, 16)
    grid = {"B": 1.0, "theta": 1.0, "gamma": gamma, "N": gamma**-2.0, "solid_angle": 1e-18}
    for source, given, free in (
        (own, {"a": np.array([1.0, 2.0])}, "b"),
        (spectra.slab("tabulated"), grid, "length"),
    ):
        call = jax.jit(lambda x, s=source, g=given, f=free: s.stokes({**g, f: x}, NU[4:6]).I)
        single = np.asarray(call(1e13))
        with jax.enable_x64(True):
            np.testing.assert_allclose(np.asarray(call(1e13)), single, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": None}, "missing length; it takes B"),
        ({"size": 1.0}, "unknown size"),
        ({"length": 3.0 * u.s}, "length is in s and takes cm"),
        ({"B": [1.0, 2.0], "p": [2.0, 2.5, 3.0]}, "do not broadcast: B .2,.*p .3,"),
        ({"B": "1 G"}, "B must be real numbers"),
    ],
)
def test_bad_labels(slab, change, message):
    params = {**ELECTRONS, "length": 1e16, "solid_angle": 1e-16, **change}
    with pytest.raises(ValueError, match=message):
        slab.stokes({n: v for n, v in params.items() if v is not None}, NU)


def test_impossible_labels_give_nan(slab):
    params = {**ELECTRONS, "length": 1e16, "solid_angle": 1e-16}
    for name, value in (
        ("length", -1.0),
        ("doppler", 0.0),
        ("z", -1.0),
        ("B", -1.0),
        ("p", np.nan),
    ):
        light = slab.stokes(
            {**params, name: [value, slab.defaults.get(name, params.get(name))]}, NU
        )
        assert np.all(np.isnan(light.I[0])), name
        assert np.all(np.isfinite(light.I[1])), name
    assert np.all(np.isnan(slab.stokes(params, [0.0, -1.0]).V))
    for bad in (lambda: spectra.Source(3, ["a"]), lambda: spectra.Source(max, ["a", "a"])):
        with pytest.raises(ValueError, match="Source: "):
            bad()
