"""Transfer along rays against numbers, closed laws and an adaptive integration."""

import functools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from jax.test_util import check_grads

import synchrojax
from synchrojax import Coefficients, SkyCoefficients, transfer
from synchrojax.core import quick_jit

ZERO = dict.fromkeys(SkyCoefficients._fields, 0.0)


def sky(**named):
    return SkyCoefficients(**(ZERO | named))


def matrix(c):
    """K of the README."""
    return np.array(
        [
            [c.alpha_I, c.alpha_Q, c.alpha_U, c.alpha_V],
            [c.alpha_Q, c.alpha_I, c.rho_V, -c.rho_U],
            [c.alpha_U, -c.rho_V, c.alpha_I, c.rho_Q],
            [c.alpha_V, c.rho_U, -c.rho_Q, c.alpha_I],
        ]
    )


def adaptive(c, ds, start=(0.0, 0.0, 0.0, 0.0)):
    """Cell by cell with SciPy, [cells, 4]."""
    stokes, after = np.array(start), []
    for i, length in enumerate(ds):
        here = SkyCoefficients(*(np.asarray(v)[i] for v in c))
        k, j = matrix(here), np.array(here[:4])
        after.append(
            scipy.integrate.solve_ivp(
                lambda _, y, k=k, j=j: j - k @ y,
                (0.0, length),
                stokes,
                method="DOP853",
                rtol=1e-12,
                atol=1e-13,
            ).y[:, -1]
        )
        stokes = after[-1]
    return np.array(after)


def random_rays(rng, rays, cells, rotation=(-3.0, 2.0)):
    """Physical coefficients [rays, cells]: thin and thick, Faraday thin and thick; alpha_I >=
    |alpha|, j_I >= |j|.
    """

    def vector(size):
        v = rng.normal(size=(3, rays, cells))
        return v * size / np.linalg.norm(v, axis=0)

    scale, turning = 10 ** rng.uniform(-3, 1, (rays, 1)), 10 ** rng.uniform(*rotation, (rays, 1))
    alpha, j = (scale * rng.uniform(0.5, 1.5, (rays, cells)) for _ in range(2))
    a, e = vector(alpha * rng.uniform(0, 1, alpha.shape)), vector(j * rng.uniform(0, 1, j.shape))
    return SkyCoefficients(j, *e, alpha, *a, *vector(turning * rng.uniform(0.2, 1.0, j.shape)))


def physical(stokes, tolerance):
    polarized = np.sqrt(stokes.Q**2 + stokes.U**2 + stokes.V**2)
    return np.all(np.isfinite(polarized)) and np.all(polarized <= stokes.I * (1.0 + tolerance))


# j, absorption, rotation -> s -> I, Q, U, V, by matrix exponential
PROBLEMS = [
    (
        {"j_I": 2.0, "j_Q": 1.0, "alpha_I": 1.0, "alpha_Q": 1.2},
        {
            1.0: (1.159777469244, 0.05276367844344, 0, 0),
            3.0: (2.736187659132, -1.374406342820, 0, 0),
        },
    ),
    (
        {"j_Q": 0.1, "j_U": 0.1, "j_V": 0.1, "rho_Q": 10.0, "rho_V": -4.0},
        {
            1.0: (0, 5.157349243892e-2, -2.381473590852e-2, -2.106626890269e-2),
            3.0: (0, 1.599612026922e-1, 2.724234102563e-3, -5.009699326960e-2),
        },
    ),
    (
        {"j_I": 1.0, "j_Q": 0.7, "rho_V": 10.0},
        {1.0: (1, -3.808147776226e-2, 1.287350070354e-1, 0)},
    ),
    (
        {"j_I": 1e-8, "j_Q": 0.1, "j_U": 0.1, "j_V": 0.1, "rho_Q": -4.0, "rho_V": 10.0},
        {1.0: (1e-8, -4.215842168782e-2, 5.714277990663e-3, 4.313663132487e-2)},
    ),
    (
        {"j_I": 1.0, "j_Q": 0.8, "alpha_I": 5.0, "alpha_Q": 4.0},
        {
            1.0: (0.1631997149024, 0.03677560313674, 0, 0),
            3.0: (0.1950212931630, 4.978706836598e-3, 0, 0),
        },
    ),
]


@pytest.mark.parametrize("method", transfer.METHODS)
@pytest.mark.parametrize("cells", [1, 7])
def test_problems_with_numbers(method, cells, x64):
    for named, answers in PROBLEMS:
        for s, expected in answers.items():
            found = np.array(transfer.solve(sky(**named), np.full(cells, s / cells), method=method))
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_random_rays_against_an_adaptive_integration(x64, rng):
    c = random_rays(rng, 50, 3)
    ds = rng.uniform(0.3, 1.0, (50, 3))
    start = np.stack([np.ones(50), *(0.5 * rng.uniform(-1, 1, (3, 50)))])
    found = transfer.solve(c, ds, background=tuple(start), along=True)
    depths = transfer.depths(c, ds)
    assert depths.absorption.min() < 0.1
    assert depths.absorption.max() > 10.0
    assert depths.conversion.min() < 0.1
    assert depths.conversion.max() > 30.0
    for ray in range(50):
        expected = adaptive(SkyCoefficients(*(v[ray] for v in c)), ds[ray], start[:, ray])
        np.testing.assert_allclose(
            np.stack([v[ray] for v in found], -1), expected, rtol=0, atol=1e-8
        )
    np.testing.assert_allclose(
        np.array(transfer.solve(c, ds, background=tuple(start), method="associative", along=True)),
        np.array(found),
        rtol=1e-11,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        np.array(transfer.solve(c, ds, background=tuple(start), method="associative")),
        np.array(found)[..., -1],
        rtol=1e-11,
        atol=1e-12,
    )


@pytest.mark.parametrize("null", [0.0, 1e-9, 1e-5, 1e-2, 0.2])
def test_eigenvalues_that_meet(null, x64, rng):
    """alpha and rho at right angles and almost equal: no basis of eigenvectors."""
    for size in (1e-6, 1e-2, 1.0, 20.0, 150.0):
        a = np.array([0.36, -0.48, 0.8]) * size
        rho = np.cross(a, [0.3, 0.5, 0.2])
        rho *= (1.0 + null) * size / np.linalg.norm(rho)
        c = sky(alpha_I=1.01 * size, **dict(zip(("alpha_Q", "alpha_U", "alpha_V"), a, strict=True)))
        c = c._replace(
            **dict(zip(("rho_Q", "rho_U", "rho_V"), rho, strict=True)), j_I=2.0, j_Q=1.0, j_V=-1.0
        )
        found = np.array(transfer.solve(c, np.ones(1), background=(1.0, 0.3, 0.1, 0.2)))
        # scaling and squaring in extended precision, rounded at the end
        big = np.zeros((5, 5), np.longdouble)
        big[:4, :4], big[:4, 4] = -matrix(c), np.array(c[:4])
        big /= 2.0**20
        power = result = np.eye(5, dtype=np.longdouble)
        for n in range(1, 12):
            power = power @ big / n
            result = result + power
        for _ in range(20):
            result = result @ result
        expected = (result @ np.array([1.0, 0.3, 0.1, 0.2, 1.0], np.longdouble)).astype(float)[:4]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))


def test_thick_thermal_light_forgets_everything(precision, rng):
    """Kirchhoff: (B, 0, 0, 0) for any rotativity and any rotation of the field."""
    cells = 300
    alpha = {
        n: 30.0 * (0.9 ** (n != "alpha_I")) * f
        for n, f in zip(Coefficients._fields[3:6], (1, 0.6, 0.4), strict=True)
    }
    source = 3.7
    j = {n.replace("alpha", "j"): v * source for n, v in alpha.items()}
    c = Coefficients(
        **{n: np.full(cells, v) for n, v in (alpha | j).items()},
        rho_Q=rng.normal(size=cells) * 1e3,
        rho_V=rng.normal(size=cells) * 1e4,
    )
    found = transfer.solve(
        c, np.ones(cells), psi=np.linspace(0.0, 9.0, cells), background=(50.0, 0, 0, 50.0)
    )
    tolerance = 1e-11 if precision == "float64" else 1e-5
    np.testing.assert_allclose(np.array(found), [source, 0, 0, 0], rtol=0, atol=tolerance * source)


def test_pure_rotation_turns_the_plane_by_half_its_depth(x64, rng):
    rho, ds = rng.uniform(-30, 50, 40), rng.uniform(0, 1, 40)
    c = sky(rho_V=rho)
    i, q, u, v = transfer.solve(c, ds, background=(1.0, 0.8, 0.0, 0.3))
    depth = transfer.depths(c, ds).rotation
    np.testing.assert_allclose(depth, np.sum(rho * ds), rtol=1e-13)
    # counter-clockwise for rho_V > 0
    np.testing.assert_allclose(
        [i, q, u, v], [1.0, 0.8 * np.cos(depth), 0.8 * np.sin(depth), 0.3], atol=1e-12
    )


def test_no_background_is_a_dark_one(x64, rng):
    """Of one cell the light is what the cell adds; cells after it dim that."""
    for cells in (1, 2):
        c, ds = random_rays(rng, 5, cells), np.ones((5, cells))
        for along in (False, True):
            dark = transfer.solve(c, ds, background=(0.0,) * 4, along=along)
            found = transfer.solve(c, ds, along=along)
            np.testing.assert_allclose(found, dark, rtol=1e-12)
            assert np.all(np.asarray(found.I) > 0.0)


def test_cells_of_any_size_keep_light_physical(precision, rng):
    """Thick, thin, Faraday-thick to 1e4, fully polarized emission and absorption."""
    rays = 400
    c = random_rays(rng, rays, 6, rotation=(-4.0, 4.0))
    full = rng.random((2, rays, 6)) < 0.3
    j = np.where(full[0], np.sqrt(c.j_Q**2 + c.j_U**2 + c.j_V**2), c.j_I)
    alpha = np.where(full[1], np.sqrt(c.alpha_Q**2 + c.alpha_U**2 + c.alpha_V**2), c.alpha_I)
    ds = 10 ** rng.uniform(-6, 3, (rays, 1))
    dtype = jnp.result_type(float)
    c = SkyCoefficients(*(jnp.asarray(v, dtype) for v in c._replace(j_I=j, alpha_I=alpha)))
    for method in transfer.METHODS:
        found = transfer.solve(
            c, ds.astype(dtype), background=(1.0, 0.6, 0.0, 0.8), method=method, along=True
        )
        assert found.I.dtype == dtype
        assert found.I.shape == (rays, 6)
        assert physical(jax.tree.map(np.asarray, found), 1e-9 if precision == "float64" else 3e-4)


def test_a_rotation_of_1e4_in_one_cell(precision):
    c = sky(j_I=1.0, j_Q=0.7, alpha_I=0.1, rho_Q=6e3, rho_V=8e3)
    found = transfer.solve(
        SkyCoefficients(*(jnp.asarray(v, jnp.result_type(float)) for v in c)), jnp.ones(1)
    )
    # far inside the oscillation only what lies along rho grows
    along = 0.7 * np.array([0.6, 0.0, 0.8]) * 0.6 * (1 - np.exp(-0.1)) / 0.1
    np.testing.assert_allclose(np.array(found)[1:], along, atol=2e-4)
    np.testing.assert_allclose(found.I, (1 - np.exp(-0.1)) / 0.1, rtol=1e-6)


def _smooth(x):
    """A ray whose coefficients vary smoothly, at positions 0 < x < 1."""
    j = 1 + x**2, 0.5 * jnp.cos(3 * x), 0.5 * jnp.sin(3 * x), 0.1 * x
    alpha, rho = (
        (2 - x, 0.8 * jnp.cos(x), 0.3 * x, 0.1 + 0 * x),
        (5 * jnp.sin(4 * x), 3 * x, 8 * jnp.exp(-x)),
    )
    return SkyCoefficients(*j, *alpha, *rho)


def test_second_order_on_a_smooth_ray(x64):
    def at(_, y):
        c = SkyCoefficients(*(float(v) for v in _smooth(np.float64(_))))
        return np.array(c[:4]) - matrix(c) @ y

    truth = scipy.integrate.solve_ivp(
        at, (0, 1), np.zeros(4), method="DOP853", rtol=1e-12, atol=1e-13
    ).y[:, -1]
    counts, errors = (50, 100, 200, 400), []
    for cells in counts:
        middles = (np.arange(cells) + 0.5) / cells
        errors.append(
            np.max(
                np.abs(
                    np.array(transfer.solve(_smooth(middles), np.full(cells, 1 / cells))) - truth
                )
            )
        )
    orders = np.diff(np.log(errors)) / np.diff(np.log(counts))
    np.testing.assert_allclose(orders, -2.0, atol=0.05)
    assert errors[-1] < 1e-4


def test_a_twisting_field_in_two_bases(x64):
    """In a basis that turns with the field, psi = w s, rho_V is less by 2 w and nothing else
    changes.
    """
    c = Coefficients(1.0, -0.6, 0.2, 1.5, -0.8, 0.3, -2.0, 4.0)
    twist, length, cells = 1.7, 2.0, 4000
    middles = (np.arange(cells) + 0.5) * length / cells
    fixed = np.array(transfer.solve(c, np.full(cells, length / cells), psi=twist * middles))
    turning = synchrojax.rotate(c._replace(rho_V=c.rho_V - 2 * twist), 0.0)
    i, q, u, v = transfer.solve(turning, np.full(1, length))
    angle = 2 * twist * length
    back = [i, q * np.cos(angle) - u * np.sin(angle), q * np.sin(angle) + u * np.cos(angle), v]
    np.testing.assert_allclose(fixed, back, atol=2e-6)


def test_rotate_is_the_rotation_of_tensors(x64, rng):
    """The electric field turns as a vector; Q, U as the traceless part of its tensor, K as a map
    between them.
    """
    c = Coefficients(*rng.normal(size=8))
    for psi in (0.0, 0.4, -2.9, np.pi / 2):
        cos, sin = np.cos(psi), np.sin(psi)
        turn = np.array([[cos, -sin], [sin, cos]])

        def turned(i, q, u, v, turn=turn):
            coherency = turn @ (0.5 * np.array([[i + q, u - 1j * v], [u + 1j * v, i - q]])) @ turn.T
            return np.array(
                [
                    coherency[0, 0] + coherency[1, 1],
                    coherency[0, 0] - coherency[1, 1],
                    coherency[0, 1] + coherency[1, 0],
                    -1j * (coherency[1, 0] - coherency[0, 1]),
                ]
            ).real

        found = synchrojax.rotate(c, psi)
        np.testing.assert_allclose(found[:4], turned(c.j_I, c.j_Q, 0.0, c.j_V), atol=1e-14)
        mueller = np.stack([turned(*e) for e in np.eye(4)], -1)
        local = matrix(synchrojax.rotate(c, 0.0))
        np.testing.assert_allclose(
            matrix(found), mueller @ local @ np.linalg.inv(mueller), atol=1e-13
        )
        np.testing.assert_allclose(synchrojax.rotate(c, psi + np.pi), found, atol=1e-13)


def test_rotations_compose(x64, rng):
    """A ray seen from a sky turned by delta: the same light, turned by 2 delta."""
    rays = random_rays(rng, 1, 5)
    c = Coefficients(*(getattr(rays, n)[0] for n in Coefficients._fields))
    psi, delta, ds = rng.uniform(0, 6, 5), 0.7, rng.uniform(0.1, 1.0, 5)
    i, q, u, v = transfer.solve(c, ds, psi=psi)
    turned = transfer.solve(synchrojax.rotate(c, psi + delta), ds)
    expected = [
        i,
        *(np.array([[np.cos(1.4), -np.sin(1.4)], [np.sin(1.4), np.cos(1.4)]]) @ [q, u]),
        v,
    ]
    np.testing.assert_allclose(np.array(turned), expected, atol=1e-12)


def test_doppler_factors_are_lorentz_invariant(x64, rng):
    """A black body seen with g is one at g T; thin light gains g^2 at fixed length; I / nu^3 along
    the ray.
    """
    c, ds = random_rays(rng, 3, 4), rng.uniform(0.1, 1.0, (3, 4))
    g = 0.37
    np.testing.assert_allclose(
        np.array(transfer.solve(c, ds, g=g)),
        g**3 * np.array(transfer.solve(c, ds / g)),
        rtol=1e-12,
        atol=1e-15,
    )
    g = rng.uniform(0.2, 3.0, 4)
    nu, temperature = 1.0, 2.5  # Rayleigh-Jeans
    alpha = 40.0
    thick = sky(alpha_I=alpha, j_I=alpha * temperature * (nu / g) ** 2)
    assert float(transfer.solve(thick, np.ones(4) * 3, g=g).I) == pytest.approx(
        g[-1] * temperature * nu**2, rel=1e-12
    )
    np.testing.assert_allclose(
        transfer.solve(sky(j_I=1.0), np.ones(4), g=g).I, np.sum(g**2), rtol=1e-13
    )


LIMITS = {
    "empty": sky(),
    "emission only": sky(j_I=1.0, j_Q=-0.5, j_V=0.1),
    "pure rotation": sky(j_I=1.0, j_Q=0.5, rho_V=30.0),
    "pure conversion": sky(j_I=1.0, j_U=0.5, rho_Q=3.0, rho_U=-4.0),
    "dichroic": sky(j_I=1.0, alpha_I=1.0, alpha_Q=-1.0),
    "null": sky(j_I=1.0, j_U=0.3, alpha_I=2.0, alpha_Q=1.5, rho_V=1.5),
    "everything": sky(
        **dict(zip(ZERO, (1.0, 0.3, -0.2, 0.1, 2.0, 0.4, -0.5, 0.6, 3.0, -2.0, 5.0), strict=True))
    ),
    "nearly grey": sky(j_I=1.0, j_Q=0.3, alpha_I=3.0, alpha_Q=1e-9, rho_V=1e-9),
    "thin": sky(j_I=1.0, j_Q=0.3, alpha_I=1e-9, alpha_Q=1e-10, rho_V=7.0, rho_Q=0.1),
}


@pytest.mark.parametrize("name", LIMITS)
def test_gradients_in_every_limit(name, x64):
    c = SkyCoefficients(*(jnp.full(2, v) for v in LIMITS[name]))
    background = tuple(jnp.asarray(v) for v in (1.0, 0.2, -0.3, 0.4))

    def light(c, ds, background):
        return jnp.stack(transfer.solve(c, ds, background=background))

    check_grads(
        light,
        (c, jnp.array([0.4, 0.7]), background),
        order=1,
        modes=["fwd", "rev"],
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "named",
    [
        {"alpha_I": 1e4, "alpha_Q": 3e3},
        {"rho_V": 1e4, "rho_Q": 1e3},
        {"alpha_I": 1e4, "rho_U": 1e4},
    ],
)
def test_gradients_of_huge_cells(named, precision):
    """Finite, and those of the source function where nothing else is left."""
    c = SkyCoefficients(*(jnp.full(2, v) for v in sky(j_I=2.0, j_Q=0.5, **named)))

    def light(c, ds):
        background = tuple(jnp.asarray(v) for v in (1.0, 0.5, 0.0, 0.1))
        return jnp.stack(transfer.solve(c, ds, background=background))

    value, pull = jax.vjp(light, c, jnp.ones(2))
    slopes = [pull(row) for row in jnp.eye(4, dtype=value.dtype)]
    assert all(np.all(np.isfinite(v)) for v in jax.tree.leaves(slopes))
    if "alpha_I" in named:
        derivative = [row[0].j_I[-1] for row in slopes]
        expected = np.linalg.solve(
            matrix(SkyCoefficients(*(float(v[0]) for v in c))), [1.0, 0, 0, 0]
        )
        np.testing.assert_allclose(
            derivative, expected, rtol=1e-4 if precision == "float32" else 1e-10, atol=1e-12
        )


@pytest.mark.slow  # every run differentiates the same call in the README's example
def test_numpy_inside_of_a_jitted_function_of_either_precision(model, point):
    """JAX refused the program for float64 where NumPy arrays had come in for float32."""
    c = type(model.coefficients(point))(
        *(np.full(3, v, np.float64) for v in model.coefficients(point))
    )
    ds, psi = np.full(3, 1e12), np.zeros(3)
    for use in (transfer.solve, transfer.depths, transfer.sphere):
        call = jax.jit(lambda x, use=use: x * use(c, ds, psi=psi)[0])
        single = np.asarray(call(1.0))
        with jax.enable_x64(True):
            np.testing.assert_allclose(np.asarray(call(1.0)), single, rtol=1e-5)


def test_the_call_is_differentiable_from_parameters(model, point):
    """The ten lines of the README, and their slopes."""

    def intensity(b):
        x = jnp.linspace(0.0, 1.0, 20)
        c = model.coefficients(point | {"B": b * (1.0 + x), "theta": 0.5 + x})
        return transfer.solve(c, jnp.full(20, 1e11), psi=x).I

    value, slope = jax.value_and_grad(intensity)(30.0)
    step = 0.05
    difference = (intensity(30.0 + step) - intensity(30.0 - step)) / (2 * step)
    assert value > 0.0
    assert float(slope) == pytest.approx(float(difference), rel=2e-3)


def test_depths_and_lengths(x64, rng):
    c = random_rays(rng, 2, 5)
    ds = transfer.lengths(np.cumsum(rng.uniform(0, 1, (2, 6)), -1))
    total, behind = transfer.depths(c, ds, g=2.0), transfer.depths(c, ds, g=2.0, along=True)
    np.testing.assert_allclose(total.absorption, np.sum(c.alpha_I * ds, -1) / 2, rtol=1e-13)
    np.testing.assert_allclose(
        total.conversion, np.sum(np.hypot(c.rho_Q, c.rho_U) * ds, -1) / 2, rtol=1e-13
    )
    for total_depth, part in zip(total, behind, strict=True):
        np.testing.assert_allclose(part[:, -1], 0.0, atol=1e-13)
        assert (
            np.all(np.abs(part[:, 0]) <= np.abs(total_depth) + 1) or total_depth is total.rotation
        )
    np.testing.assert_allclose(
        behind.absorption[:, 0], np.sum((c.alpha_I * ds)[:, 1:], -1) / 2, rtol=1e-12
    )
    slope = jax.grad(lambda q: transfer.depths(sky(rho_Q=q), jnp.ones(1)).conversion)(0.0)
    assert float(slope) == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ds": [1.0, -1.0, 1.0]}, r"ds\[1\] = -1.0: path lengths of cells must not be negative"),
        ({"ds": [1.0, 2.0]}, "shapes do not fit"),
        ({"ds": [1.0, np.nan, 1.0]}, r"ds\[1\] = nan: not finite"),
        ({"ds": ["a", "b", "c"]}, "ds must be real numbers"),
        ({"ds": np.ones(3) * 1j}, "ds must be real numbers"),
        ({"c": sky(j_I=np.array([1.0, 2.0, np.nan]))}, r"c.j_I\[2\] = nan: not finite"),
        ({"c": (1.0, 2.0)}, "needs Coefficients or LogCoefficients with psi, or SkyCoefficients"),
        ({"c": Coefficients(*np.ones((8, 3)))}, r"Coefficients need psi \[rad\]"),
        ({"psi": 0.3}, "leave psi out"),
        ({"g": [1.0, 0.0, 1.0]}, "frequency ratio must be positive"),
        ({"background": 3.0}, "four Stokes parameters"),
        ({"background": (1.0, 0.0, 0.0)}, "four Stokes parameters"),
        ({"background": (np.ones(2), 0.0, 0.0, np.ones(3))}, "shapes do not fit"),
        ({"method": "magic"}, "available: scan, associative"),
        ({"ds": 1.0, "c": sky()}, "last axis counts the cells"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"c": sky(j_I=np.ones(3)), "ds": np.ones(3)} | change
    with pytest.raises(ValueError, match=message):
        transfer.solve(given.pop("c"), given.pop("ds"), **given)


@pytest.mark.parametrize(
    ("positions", "message"),
    [([0.0, 2.0, 1.0], r"positions\[1\] = 2.0: not sorted"), ([1.0], "at least two")],
)
def test_unsorted_positions_are_refused(positions, message):
    with pytest.raises(ValueError, match=message):
        transfer.lengths(positions)


@pytest.mark.parametrize("method", transfer.METHODS)
def test_nan_stays_in_its_ray_under_jit(method):
    c = sky(j_I=np.array([[1.0, 1.0], [1.0, np.nan], [1.0, 1.0], [1.0, 1.0]]), alpha_I=0.5)
    ds, g = (
        np.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]),
        np.array([[1.0], [1.0], [1.0], [-1.0]]),
    )

    def light(c, ds, g):
        return transfer.solve(c, ds, g=g, method=method).I

    np.testing.assert_array_equal(np.isnan(jax.jit(light)(c, ds, g)), [False, True, True, True])
    if method == "scan":
        slope = jax.jit(jax.grad(lambda ds: jnp.sum(light(c, ds, g)[:1])))(ds)
        assert np.all(np.isfinite(slope[0]))


def test_shapes_broadcast_and_vmap(x64, rng):
    c = random_rays(rng, 4, 6)
    ds = rng.uniform(0.1, 1.0, 6)
    found = transfer.solve(c, ds, background=(np.ones((3, 1)), 0.0, 0.0, 0.0))
    assert found.I.shape == (3, 4)
    one = jax.vmap(lambda c: transfer.solve(c, ds, background=(1.0, 0.0, 0.0, 0.0)).V)(c)
    np.testing.assert_allclose(one, found.V[0], rtol=1e-12)
    nothing = transfer.solve(sky(j_I=np.ones((4, 0))), np.ones(0), background=(1.0, 0.0, 0.0, 0.5))
    np.testing.assert_array_equal(nothing.V, np.full(4, 0.5))
    assert transfer.solve(c, ds, along=True).Q.shape == (4, 6)


@pytest.mark.slow
def test_reverse_mode_over_ten_million_cells_fits_in_8_gib():
    """1,000 cells x 10,000 rays in float64: one vector is kept per cell, the steps are computed
    again.
    """
    code = """
import functools
import json
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from synchrojax import SkyCoefficients, transfer
key = jax.random.key(0)
keys = [jax.random.fold_in(key, i) for i in range(11)]
c = SkyCoefficients(*(jax.random.uniform(k, (10_000, 1_000)) for k in keys))
c = c._replace(j_I=c.j_I + 2.0, alpha_I=c.alpha_I + 2.0)
def total(c):
    return sum(jnp.sum(v) for v in transfer.solve(c, jnp.full(1_000, 1e-3)))
loss = jax.jit(jax.value_and_grad(total))
value, slope = jax.block_until_ready(loss(c))
finite = all(bool(jnp.all(jnp.isfinite(v))) for v in slope)
# of this program alone: what getrusage says includes the one that started it
lines = (line.split() for line in open("/proc/self/status"))
peak = next(int(words[1]) for words in lines if words[0] == "VmHWM:") / 2**20
print(json.dumps({"gib": peak, "finite": finite}))
"""
    found = json.loads(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        ).stdout
    )
    print(found)
    assert found["finite"]
    assert found["gib"] < 8.0


# Cells of every size ---------------------------------------------------------------------------


def every_cell(dtype, n, seed):
    """Physical cells [n] as arrays of ``dtype``: eleven coefficients, ds, g and the four of the
    background.

    alpha ds and rho ds are log-uniform over 1e-40..1e8 (float64: 1e-300..1e12), half of them over
    1e-6 and more; shares of polarization are 0, 1, uniform, close to 1 and close to 0; rho is
    anything, at right angles to alpha and as long (null eigenvalues) or nearly so, parallel, or
    zero; some lights, absorptions and backgrounds are zero.
    """
    rng = np.random.default_rng(seed)
    low, high = (-40, 8) if dtype == np.float32 else (-300, 12)

    def unit():
        v = rng.normal(size=(3, n))
        return v / np.linalg.norm(v, axis=0)

    def share():
        choices = [np.zeros(n), np.ones(n), rng.random(n), 1.0 - 10.0 ** rng.uniform(-8, 0, n)]
        return np.choose(rng.integers(0, 5, n), [*choices, 10.0 ** rng.uniform(-12, 0, n)])

    def depth():
        return np.where(
            rng.random(n) < 0.5, 10.0 ** rng.uniform(-6, high, n), 10.0 ** rng.uniform(low, high, n)
        )

    def sometimes(chance):
        return rng.random(n) < chance

    tau, turning, along, polarized = depth(), depth(), unit(), share()
    tau[sometimes(0.05)] = 0.0
    a = along * polarized * tau
    free = unit()
    across = np.cross(along.T, free.T).T
    across *= np.linalg.norm(a, axis=0) / np.linalg.norm(across, axis=0)
    near = 1.0 + 10.0 ** rng.uniform(-9, 0, n) * rng.choice([-1.0, 1.0], n)
    kind = rng.integers(0, 6, n)
    rho = np.select(
        [kind == 1, kind == 2, kind == 3, kind == 4],
        [across, across * near, along * turning, 0.0 * free],
    )
    rho = np.where((kind == 0) | (kind == 5), free * turning, rho)
    emitted = 10.0 ** rng.uniform(-3, 3, n) * np.where(sometimes(0.5), tau, 1.0)
    emitted[sometimes(0.05)] = 0.0
    kirchhoff = sometimes(0.2)
    j = np.where(kirchhoff, along * polarized, unit() * share()) * emitted
    behind = np.where(sometimes(0.5), 10.0 ** rng.uniform(-6, 3, n), 0.0)
    light = unit() * share() * behind
    g = np.where(sometimes(0.5), 1.0, 10.0 ** rng.uniform(-1, 1, n))
    ds = g * 10.0 ** (rng.uniform(-6, 6, n) if dtype == np.float32 else rng.uniform(-20, 20, n))

    def cast(total, vector, length):
        """[total, *vector] / length in the dtype, where rounding has not left the total below the
        vector.
        """
        columns = [np.asarray(v / length, dtype) for v in (total, *vector)]
        size = np.sqrt(sum(v.astype(np.longdouble) ** 2 for v in columns[1:]))
        broken = columns[0].astype(np.longdouble) < size
        columns[0] = np.where(
            broken, np.nextafter(size.astype(dtype), np.asarray(np.inf, dtype)), columns[0]
        )
        return columns

    length = ds / g
    c = [
        *cast(emitted, j, length),
        *cast(tau, a, length),
        *(np.asarray(v / length, dtype) for v in rho),
    ]
    return [*c, np.asarray(ds, dtype), np.asarray(g, dtype), *cast(behind, light, 1.0)]


@functools.cache
def light_and_slopes(method, compiled):
    """A program: Stokes [4], its change along relative changes of all arguments, the gradient of
    its weighted sum.
    """

    def light(cells):
        c = SkyCoefficients(*(v[:, None] for v in cells[:11]))
        found = transfer.solve(
            c, cells[11][:, None], g=cells[12][:, None], background=tuple(cells[13:]), method=method
        )
        return tuple(found)

    def both_ways(cells, relative, weights):
        change = jax.jvp(light, (cells,), ([v * r for v, r in zip(cells, relative, strict=True)],))[
            1
        ]
        value, pull = jax.vjp(light, cells)
        return value, change, pull(weights)[0]

    return compiled(both_ways)


def check_every_cell(dtype, cells, seed, method, compiled):
    """Every bar of such cells."""
    program = light_and_slopes(method, compiled)
    rng, n = np.random.default_rng(seed), len(cells[0])
    relative = [np.asarray(rng.normal(size=n), dtype) for _ in cells]
    weights = tuple(np.asarray(rng.normal(size=n), dtype) for _ in range(4))
    with jax.enable_x64(dtype == np.float64):
        found = program(cells, relative, weights)
    assert all(v.dtype == dtype for v in jax.tree.leaves(found))
    value, change, slopes = ([np.asarray(v, np.float64) for v in part] for part in found)
    for what, part in (("value", value), ("forward", change), ("reverse", slopes)):
        broken = np.flatnonzero(~np.all(np.isfinite(part), axis=0))
        assert not len(broken), (what, len(broken), [v[broken[0]] for v in cells])
    intensity = value[0]
    # below, squares of subnormal numbers are zero
    polarized = np.sqrt(sum((v / np.maximum(intensity, 1e-300)) ** 2 for v in value[1:]))
    worst = np.argmax(np.where(intensity > 0.0, polarized, 0.0))
    assert np.all(intensity >= 0.0), [v[np.argmin(intensity)] for v in cells]
    assert polarized[worst] <= 1.0 + 1e-5, (
        polarized[worst],
        intensity[worst],
        [v[worst] for v in cells],
    )
    if dtype == np.float32:
        with jax.enable_x64(True):
            wide = [v.astype(np.float64) for v in cells]
            right = program(wide, [0.0 * v for v in wide], tuple(map(np.float64, weights)))[0]
        rotation = np.sqrt(sum(v**2 for v in wide[8:11])) * wide[11] / wide[12]
        # subnormal numbers count as zero
        lost = sum((v != 0.0) & (np.abs(v) < np.finfo(np.float32).tiny) for v in cells) > 0
        use = (rotation <= 1e3) & (np.abs(right[0]) > 1e-30) & (np.abs(right[0]) < 1e37) & ~lost
        assert use.mean() > 0.5
        error = np.max(np.abs(np.array(value) - np.array(right)), 0)
        error = np.where(use, error / np.where(use, np.abs(right[0]), 1.0), 0.0)
        worst = np.argmax(error)
        assert error[worst] <= 1e-4, (error[worst], [v[worst] for v in cells])
    else:
        # of less, digits are lost on the way in subnormal numbers
        terms = [g * (v * r) for g, v, r in zip(slopes, cells, relative, strict=True)]
        size = sum(map(np.abs, terms))
        difference = np.abs(sum(t * w for t, w in zip(change, weights, strict=True)) - sum(terms))
        difference = np.where(size > 1e-260, difference / np.where(size > 1e-260, size, 1.0), 0.0)
        worst = np.argmax(difference)
        assert difference[worst] <= 1e-6, (difference[worst], [v[worst] for v in cells])


DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", transfer.METHODS)
def test_cells_of_every_size(dtype, method):
    """Values, bounds and both gradients."""
    check_every_cell(dtype, every_cell(dtype, 20_000, seed=17), 18, method, quick_jit)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", transfer.METHODS)
def test_a_million_cells_of_every_size(dtype, method):
    for part in range(50):
        check_every_cell(
            dtype, every_cell(dtype, 20_000, seed=100 + part), 200 + part, method, jax.jit
        )


# A cell as plain numbers; those of the reports that these tests come from -----------------------


def test_thin_cells_have_gradients():
    """alpha ds and rho ds whose squares are below the smallest number."""

    def intensity(v):
        return transfer.solve(
            Coefficients(jnp.ones(1), *jnp.zeros((2, 1)), jnp.ones(1), *[v] * 4), 1.0, psi=0.0
        ).I

    mean = 1.0 - np.exp(-1.0)
    slope = quick_jit(jax.value_and_grad(intensity))
    for v in (0.0, 1e-18, 1e-12, 1e-10):
        value, change = slope(jnp.array([v], jnp.float32))
        assert float(value) == pytest.approx(mean, rel=1e-6)
        # without polarized emission I is even in alpha_QV and rho
        assert np.abs(float(change[0])) < 1e-6


def test_a_faint_thermal_cell(model):
    """dI/dn_e of light that is thin in everything, against float64 and the closed law."""
    rest = {"nu": 230e9, "B": 30.0, "theta": 1.0, "theta_e": 10.0}

    def intensity(n_e):
        c = model.coefficients({**rest, "n_e": n_e[None]})
        return transfer.solve(c, 1e8, psi=0.0).I

    single = quick_jit(jax.grad(intensity))(jnp.float32(1.0))
    j = model.coefficients({**rest, "n_e": 1.0}).j_I
    assert np.isfinite(single)
    assert float(single) == pytest.approx(1e8 * float(j), rel=1e-5)


def test_thick_cells_end_at_the_source_function(precision):
    """I = j / (alpha_I - alpha_Q^2 / alpha_I), Q = - alpha_Q / alpha_I I."""
    c = sky(j_I=1.0, alpha_I=1.0, alpha_Q=0.05)
    c = SkyCoefficients(*(jnp.asarray(v, precision) for v in c))
    found = quick_jit(transfer.solve)(c, jnp.asarray([4e4], precision))
    right = 1.0 / (1.0 - 0.05**2)
    assert right == pytest.approx(1.0025, rel=1e-5)
    np.testing.assert_allclose(
        np.array(found), [right, -0.05 * right, 0.0, 0.0], rtol=1e-6, atol=1e-7
    )


def test_a_thick_cell_of_kappa_electrons(precision):
    model = synchrojax.load("kappa_pitch")
    params = {"nu": 1e10, "B": 30.0, "n_e": 1e6, "theta": 1.0, "kappa": 4.0, "w": 10.0, "k": 0.5}
    params = {n: jnp.full(1, v, precision) for n, v in params.items()}
    assert quick_jit(model.flags)(params)[0] == 0
    c = quick_jit(model.coefficients)(params)
    ds = jnp.asarray(5.7e4, precision) / c.alpha_I
    found = np.array(quick_jit(transfer.solve)(synchrojax.rotate(c, 0.0), ds))
    here = SkyCoefficients(*(np.float64(v[0]) for v in synchrojax.rotate(c, 0.0)))
    right = np.linalg.solve(matrix(here), here[:4])
    np.testing.assert_allclose(
        found, right, rtol=0, atol=right[0] * (1e-4 if precision == "float32" else 1e-10)
    )


def test_one_length_for_many_cells_is_refused(model, point):
    """A spectrum is no ray: its frequencies are rays of one cell each."""
    nu = np.geomspace(1e11, 1e12, 20)
    c = model.coefficients({**point, "nu": nu})
    with pytest.raises(ValueError, match=r"ds is one length.*20 long.*\[\.\.\., None\]"):
        transfer.solve(c, 1e12, psi=0.0)
    with pytest.raises(ValueError, match=r"\[\.\.\., None\]"):
        jax.eval_shape(lambda ds: transfer.solve(c, ds, psi=0.0), 1e12)
    spectrum = transfer.solve(jax.tree.map(lambda x: x[..., None], c), 1e12, psi=0.0)
    before = transfer.solve(model.coefficients({**point, "nu": nu[..., None]}), 1e12, psi=0.0)
    single = [
        transfer.solve(model.coefficients({**point, "nu": nu[i : i + 1]}), 1e12, psi=0.0)
        for i in range(20)
    ]
    assert spectrum.I.shape == (20,)
    right = np.array(single).T
    np.testing.assert_allclose(np.array(spectrum), right, rtol=1e-5, atol=1e-6 * right[0].min())
    np.testing.assert_allclose(np.array(before), right, rtol=1e-5, atol=1e-6 * right[0].min())


THICK = {"j_I": 1.0, "j_Q": -0.6, "j_U": 0.2, "j_V": 0.1, "alpha_I": 1.0, "alpha_Q": -0.6}
THICK |= {"alpha_U": 0.2, "alpha_V": 0.1, "rho_Q": 2.0, "rho_U": -3.0, "rho_V": 1.0}


@pytest.mark.parametrize("length", [1e43, 1e300, 10**45])
def test_cells_longer_than_float32_can_hold(length):
    """They are as long as it can hold: thick, and as bright as the source function."""
    c = sky(**{n: np.full(2, 1e-14 * v, np.float32) for n, v in THICK.items()})
    found = transfer.solve(c, [length, length], background=(1e-5, 0.0, 0.0, 0.0))
    assert found.I.dtype == np.float32
    k = matrix(sky(**THICK))
    wanted = np.linalg.solve(k, [THICK[n] for n in ("j_I", "j_Q", "j_U", "j_V")])
    assert np.allclose(np.array(found), wanted, rtol=1e-4, atol=1e-5 * wanted[0])


@pytest.mark.parametrize("method", ["scan", "associative"])
def test_depths_larger_than_float32_can_hold(method):
    """The slowest mode is thick, too: what is seen is the source function, as g shifts it."""
    wanted = np.linalg.solve(matrix(sky(**THICK)), [THICK[f"j_{n}"] for n in "IQUV"])
    for size, g in ((1.0, 0.1), (1e20, 10.0), (1e-14, 0.1)):
        c = sky(**{n: np.full(2, size * v, np.float32) for n, v in THICK.items()})
        light = transfer.solve(c, [1e38, 1e38], g=g, method=method, background=(1e-5, 0, 0, 0))
        assert np.allclose(np.array(light) / g**3, wanted, rtol=1e-5, atol=1e-6 * wanted[0])


def test_positions_beyond_float32():
    assert np.array_equal(transfer.lengths([0.0, 1e43]), [np.finfo(np.float32).max])


@pytest.mark.parametrize("along", ["yes", 1, None, np.array([1, 0])])
def test_along_is_yes_or_no(along):
    c = sky(j_I=np.ones(2), alpha_I=np.ones(2))
    for call in (transfer.solve, transfer.depths):
        with pytest.raises(ValueError, match=r"along must be True, .* or False, .*, got"):
            call(c, np.ones(2), along=along)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_second_derivatives_of_an_empty_cell(dtype):
    """Whichever mode comes first, where K is zero or next to it and alpha and rho grow from it."""
    values = (1.0, -0.5, 0.1, 1.0, -0.4, 0.1, 0.3, 0.5)
    with jax.enable_x64(dtype == "float64"):

        def total(scale):
            c = Coefficients(*(jnp.full(1, v, dtype) * scale for v in values))
            return jnp.sum(jnp.stack(transfer.solve(c, jnp.ones(1, dtype), psi=0.3)))

        for scale in (0.0, 1e-30):
            at = jnp.asarray(scale, dtype)
            forward, back = (jax.jit(f(jax.jacfwd(total)))(at) for f in (jax.jacfwd, jax.jacrev))
            assert np.allclose(
                [forward, back], -0.23201380015, rtol=1e-9 if at.dtype == float else 1e-5
            )
