"""Polarized transfer along rays: dS/ds = j - K S with the matrix of the README, exact in every cell.

K = alpha_I + M, where M is made of a = (alpha_Q, alpha_U, alpha_V) and rho = (rho_Q, rho_U, rho_V) as the field
tensor is of E and B: M (I, P) = (a . P, a I + P x rho). So a + i rho = w n with a complex number w = l_1 + i l_2 and a
complex unit vector n turns M into a boost and a rotation that commute, M = l_1 B + l_2 R with B R = 0, and every
function of K follows from its values at alpha_I +- l_1 and alpha_I +- i l_2 (Landi Degl'Innocenti & Landi
Degl'Innocenti 1985, Solar Physics 97, 239; here in closed form for the emission, too). Where the four eigenvalues are
close to each other n does not exist; there powers of M are summed.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax._params import is_traced, reals
from synchrojax._sky import rotate

METHODS = ("scan", "associative")
# powers of M are summed where l_1^2 + l_2^2 <= max(_SERIES, _NEAR tau^2): 8 even and 8 odd ones give float64 there,
# and elsewhere |n|^2 stays below a thousand
_SERIES, _NEAR, _TERMS = 0.5, 0.005, 8


class Stokes(NamedTuple):
    """Specific intensities [erg s^-1 cm^-2 Hz^-1 sr^-1], or whatever j ds has; V is IAU/IEEE."""

    I: jax.Array
    Q: jax.Array
    U: jax.Array
    V: jax.Array


class Depths(NamedTuple):
    """Integrals along the ray: alpha_I ds, rho_V ds (twice the angle by which Q, U turn), |rho_Q + i rho_U| ds."""

    absorption: jax.Array
    rotation: jax.Array
    conversion: jax.Array


def _factorial(n):
    return float(math.factorial(n))


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _generator(a, rho, v):
    """M v for one vector (I, Q, U, V)."""
    i, q, u, v = v
    return (
        a[0] * q + a[1] * u + a[2] * v,
        a[0] * i + u * rho[2] - v * rho[1],
        a[1] * i + v * rho[0] - q * rho[2],
        a[2] * i + q * rho[1] - u * rho[0],
    )


def _mean_exp(x):
    """int_0^1 exp(-x h) dh = (1 - exp(-x)) / x."""
    small = jnp.abs(x) < 0.1  # there the closed form loses digits, in its slope first
    near, far = jnp.where(small, x, 0.0), jnp.where(small, 1.0, x)
    series = jnp.ones_like(near)
    for n in range(9, 0, -1):
        series = 1.0 - near * series / (n + 1)
    return jnp.where(small, series, -jnp.expm1(-far) / far)


def _mean_wave(x, y):
    """Real and imaginary part of int_0^1 exp(-(x + i y) h) dh."""
    small = x * x + y * y < 0.01
    xs, ys = jnp.where(small, x, 0.0), jnp.where(small, y, 0.0)
    re, im = jnp.ones_like(xs), jnp.zeros_like(ys)
    for n in range(9, 0, -1):
        re, im = 1.0 - (re * xs - im * ys) / (n + 1), -(re * ys + im * xs) / (n + 1)
    xl, yl = jnp.where(small, 1.0, x), jnp.where(small, 0.0, y)
    e = jnp.exp(-xl)
    p, q = -jnp.expm1(-xl) + 2.0 * e * jnp.sin(0.5 * yl) ** 2, e * jnp.sin(yl)  # 1 - exp(-x - i y) = p + i q
    over = 1.0 / (xl * xl + yl * yl)
    return jnp.where(small, re, (p * xl + q * yl) * over), jnp.where(small, im, (q * xl - p * yl) * over)


def _taylor_mean(tau):
    """(1 / n!) int_0^1 h^n exp(-tau h) dh for n = 0 .. 2 _TERMS - 1."""
    last = 2 * _TERMS - 1
    small = jnp.abs(tau) < 1.5
    t, e = jnp.where(small, tau, 0.0), jnp.exp(-jnp.where(small, tau, 0.0))
    # downwards every step is a sum of positive numbers; the start need not be exact, it fades as 1 / n!
    down = [e / (_factorial(last + 1) * (1.0 - t / (last + 2)))]
    for n in range(last, 0, -1):
        down.append(t * down[-1] + e / _factorial(n))
    t = jnp.where(small, 2.0, tau)
    e, up = jnp.exp(-t), [-jnp.expm1(-t) / t]
    for n in range(1, last + 1):
        up.append((up[-1] - e / _factorial(n)) / t)
    return [jnp.where(small, d, u) for d, u in zip(reversed(down), up, strict=True)]


def _cell(tau, a, rho):
    """Of one cell K = tau + M(a, rho), all times its length: v -> exp(-K) v and v -> int_0^1 exp(-K h) dh v."""
    d, c = _dot(a, a) - _dot(rho, rho), _dot(a, rho)  # w^2 = d + 2 i c
    # l_1^2 + l_2^2 = |w^2|; squares of large rotations leave float32 before the numbers do: hypot
    harmless = (d == 0.0) & (c == 0.0)
    theta = jnp.hypot(jnp.where(harmless, 1.0, d), 2.0 * c)
    series = harmless | (theta <= jnp.maximum(_SERIES, _NEAR * tau * tau))

    # powers of M, from M^4 = d M^2 + c^2
    near_a, near_rho = (tuple(jnp.where(series, x, 0.0) for x in vector) for vector in (a, rho))
    near_d, near_c2 = jnp.where(series, d, 0.0), jnp.where(series, c, 0.0) ** 2
    near_tau = jnp.where(series, tau, 1.0)
    symmetric = [jnp.ones_like(near_d), near_d]  # h_n(l_1^2, -l_2^2)
    for _ in range(_TERMS - 3):
        symmetric.append(near_d * symmetric[-1] + near_c2 * symmetric[-2])

    def summed(taylor):
        even, odd = taylor[0::2], taylor[1::2]
        return (
            even[0] + near_c2 * _dot(even[2:], symmetric[:-1]),
            -odd[0] - near_c2 * _dot(odd[2:], symmetric[:-1]),
            _dot(even[1:], symmetric),
            -_dot(odd[1:], symmetric),
            jnp.zeros_like(near_d),
        )

    decay = jnp.exp(-near_tau)
    near_exp = summed([decay / _factorial(n) for n in range(2 * _TERMS)])
    near_mean = summed(_taylor_mean(near_tau))

    # boost and rotation
    unit = tuple(jnp.where(series, x, y) for x, y in zip((1.0, 0.0, 0.0), a, strict=True))
    turn = tuple(jnp.where(series, 0.0, x) for x in rho)
    d, c, theta = jnp.where(series, 1.0, d), jnp.where(series, 0.0, c), jnp.where(series, 1.0, theta)
    tau = jnp.where(series, 1.0, tau)
    large = jnp.sqrt(0.5 * (theta + jnp.abs(d)))
    boosts = d > 0.0
    l1, l2 = jnp.where(boosts, large, c / large), jnp.where(boosts, c / large, large)
    n_boost = tuple((l1 * x + l2 * y) / theta for x, y in zip(unit, turn, strict=True))
    n_turn = tuple((l1 * y - l2 * x) / theta for x, y in zip(unit, turn, strict=True))

    def closed(plus, minus, turned):
        even, odd = 0.5 * (plus + minus), 0.5 * (plus - minus)
        return turned[0], odd, even - turned[0], jnp.zeros_like(d), turned[1]

    whirl = jnp.exp(-tau)
    far_exp = closed(jnp.exp(-tau - l1), jnp.exp(l1 - tau), (whirl * jnp.cos(l2), -whirl * jnp.sin(l2)))
    far_mean = closed(_mean_exp(tau + l1), _mean_exp(tau - l1), _mean_wave(tau, l2))

    boost = tuple(jnp.where(series, x, y) for x, y in zip(near_a, n_boost, strict=True))
    other = tuple(jnp.where(series, x, y) for x, y in zip(near_rho, n_turn, strict=True))
    dual = tuple(-x for x in n_turn)

    def function(near, far):
        weights = [jnp.where(series, x, y) for x, y in zip(near, far, strict=True)]

        def apply(v):
            first = _generator(boost, other, v)
            second = _generator(boost, other, first)
            third = _generator(boost, other, second)
            whirled = _generator(dual, n_boost, v)
            return tuple(_dot(weights, parts) for parts in zip(v, first, second, third, whirled, strict=True))

        return apply

    return function(near_exp, far_exp), function(near_mean, far_mean)


def _operators(cell):
    """The two functions of a cell, and the light that it adds."""
    c, ds, psi, g = cell
    # Lorentz invariants: I / nu^3, j / nu^2, alpha nu, and ds / nu along the ray
    ds = jnp.where((ds >= 0.0) & (g > 0.0), ds, jnp.nan)
    sky = c if psi is None else rotate(c, psi)
    depth = ds / g
    emitted = tuple(j * (ds * g * g) for j in sky[:4])
    through, mean = _cell(
        sky.alpha_I * depth,
        (sky.alpha_Q * depth, sky.alpha_U * depth, sky.alpha_V * depth),
        (sky.rho_Q * depth, sky.rho_U * depth, sky.rho_V * depth),
    )
    return through, mean(emitted)


@jax.checkpoint
def _step(stokes, cell):
    through, added = _operators(cell)
    return tuple(x + y for x, y in zip(through(stokes), added, strict=True))


def _composed(first, second):
    """Two stretches of a ray as one: matrices [cells, 4, 4, ...] and light [cells, 4, ...]."""
    (matrix, light), (later, later_light) = first, second
    # sums of products, since a library call for every 4 x 4 block costs more than the block
    both = sum(later[:, :, k, None] * matrix[:, None, k] for k in range(4))
    return both, sum(later[:, :, k] * light[:, k, None] for k in range(4)) + later_light


def _associative(start, cells, along):
    """Every cell as a matrix, composed in a tree."""
    through, light = _operators(cells)
    unit = tuple(jnp.broadcast_to(row.reshape(4, *([1] * light[0].ndim)), (4, *light[0].shape)) for row in jnp.eye(4))
    columns = jax.vmap(through)(tuple(row.astype(light[0].dtype) for row in unit))
    ray = (jnp.moveaxis(jnp.stack(columns), 2, 0), jnp.stack(light, 1))
    if along:
        ray = jax.lax.associative_scan(_composed, ray)
    else:
        while (count := ray[0].shape[0]) > 1:
            joined = _composed(*(jax.tree.map(lambda x, k=k: x[k : count - count % 2 : 2], ray) for k in (0, 1)))
            ray = jax.tree.map(lambda x, y: jnp.concatenate([x, y[count - count % 2 :]]), joined, ray)
        ray = jax.tree.map(lambda x: x[0], ray)
    matrix, light = ray
    passed = sum(matrix[..., :, k, *[slice(None)] * start[k].ndim] * start[k] for k in range(4))
    return tuple(jnp.moveaxis(passed + light, -1 - start[0].ndim, 0))


def _refuse(name, array, broken, what):
    if np.any(broken):
        where = tuple(int(i) for i in np.argwhere(broken)[0])
        raise ValueError(f"transfer: {name}{list(where) if where else ''} = {np.asarray(array)[where]}: {what}")


def _arranged(c, ds, psi, g, background):
    """Coefficients, lengths, angles, factors [cells, ...] and the background (...), checked, in one float dtype."""
    if not (hasattr(c, "_fields") and {"j_I", "rho_V"} <= set(c._fields)):
        raise ValueError(
            f"transfer: needs Coefficients with psi, or SkyCoefficients (synchrojax.rotate), got {type(c).__name__}"
        )
    eleven = "j_U" in c._fields
    if eleven == (psi is not None):
        hint = "SkyCoefficients are in a basis on the sky: leave psi out" if eleven else "Coefficients need psi [rad]"
        raise ValueError(f"transfer: {hint}")
    named = {f"c.{n}": v for n, v in zip(c._fields, c, strict=True)} | {"ds": ds}
    named |= {} if psi is None else {"psi": psi}
    named |= {"g": 1.0 if g is None else g}
    light = {}
    if background is not None:
        try:
            light = dict(zip(("I", "Q", "U", "V"), background, strict=True))
        except (TypeError, ValueError):
            raise ValueError("transfer: background must be the four Stokes parameters I, Q, U, V") from None
        light = {f"background.{n}": v for n, v in light.items()}
    values, dtype = reals(named | light, lambda n: f"transfer: {n} must be real numbers")
    try:
        shape = np.broadcast_shapes(*(values[n].shape for n in named))
        rays = np.broadcast_shapes(shape[:-1], *(values[n].shape for n in light))
    except ValueError:
        shapes = ", ".join(f"{n} {values[n].shape}" for n in values if values[n].shape)
        raise ValueError(f"transfer: shapes do not fit (rays..., cells; background rays...): {shapes}") from None
    if not shape:
        raise ValueError("transfer: the last axis counts the cells of a ray; got numbers only")
    if not is_traced(values.values()):
        for n, v in values.items():
            _refuse(n, v, ~np.isfinite(v), "not finite")
        _refuse("ds", values["ds"], np.asarray(values["ds"]) < 0.0, "path lengths of cells must not be negative")
        _refuse("g", values["g"], np.asarray(values["g"]) <= 0.0, "the frequency ratio must be positive")
    full = (*rays, shape[-1])
    moved = {n: jnp.moveaxis(jnp.broadcast_to(values[n].astype(dtype), full), -1, 0) for n in named}
    start = tuple(
        jnp.broadcast_to(values[f"background.{n}"].astype(dtype) if light else jnp.zeros((), dtype), rays)
        for n in ("I", "Q", "U", "V")
    )
    return (type(c)(*(moved[f"c.{n}"] for n in c._fields)), moved["ds"], moved.get("psi"), moved["g"]), start


def solve(c, ds, *, psi=None, g=None, background=None, method="scan", along=False):
    """Stokes parameters where the rays leave the last of their cells.

    ``c``: ``SkyCoefficients``, or ``Coefficients`` together with ``psi`` [rad] (see ``synchrojax.rotate``); all [...,
    cells], constant within a cell, the cell farthest from the observer first. ``ds`` [cm]: lengths of the cells, >= 0
    (``lengths`` makes them from positions). Everything broadcasts.
    ``g``: nu_observed / nu_fluid per cell, redshift and Doppler shift together. ``c`` then is in the frame of the fluid
    at nu / g, ``ds`` in the observer's frame (in curved space: the affine parameter that makes the energy of a
    photon 1 at the observer), and the result is I = g^3 I' at nu.
    ``background``: I, Q, U, V that enter the first cell, each broadcasting over the rays (default: dark).
    ``method``: ``"scan"`` goes cell by cell; ``"associative"`` composes 4 x 4 matrices in a tree, for long rays on
    accelerators. ``along``: the result after every cell [..., cells] instead of after the last.

    Exact for constant coefficients (error of a cell below 1e-12, in float32 1e-4, wherever K could be physical); cells
    as large as alpha ds or |rho| ds = 1e4 are no exception. Light with I^2 >= Q^2 + U^2 + V^2 stays so, if alpha_I >=
    |alpha_QUV| and j_I >= |j_QUV|. With coefficients at the middles of cells, rays converge to second order.

    ValueError for shapes that do not fit and, for concrete input, for values that are not finite, negative lengths and
    g <= 0; under jit these give NaN in the rays that hold them. Reverse-mode derivatives of a scan keep one vector per
    cell, not its steps.
    """
    if method not in METHODS:
        raise ValueError(f"transfer: unknown method {method!r}; available: {', '.join(METHODS)}")
    cells, start = _arranged(c, ds, psi, g, background)
    if cells[1].shape[0] == 0:
        return Stokes(*(jnp.zeros((*x.shape, 0), x.dtype) for x in start)) if along else Stokes(*start)
    return Stokes(*_solved(cells, start, method, along))


@functools.partial(jax.jit, static_argnames=("method", "along"))
def _solved(cells, start, method, along):
    if method == "associative":
        found = _associative(start, cells, along)
    else:

        def body(stokes, cell):
            after = _step(stokes, cell)
            return after, (after if along else None)

        last, every = jax.lax.scan(body, start, cells)
        found = every if along else last
    return tuple(jnp.moveaxis(x, 0, -1) for x in found) if along else found


def depths(c, ds, *, psi=None, g=None, along=False):
    """Optical and Faraday ``Depths`` of rays; arguments as in ``solve``.

    ``along``: of what lies between the near end of every cell and the observer [..., cells].
    """
    (c, ds, _, g), _ = _arranged(c, ds, psi, g, None)
    rho_u = getattr(c, "rho_U", jnp.zeros_like(c.rho_Q))
    size = jnp.maximum(jnp.abs(c.rho_Q), jnp.abs(rho_u))
    safe = jnp.where(size > 0.0, size, 1.0)
    conversion = jnp.where(size > 0.0, safe * jnp.hypot(c.rho_Q / safe, rho_u / safe), 0.0)
    found = []
    for rate in (c.alpha_I, c.rho_V, conversion):
        piece = rate * ds / g
        beyond = jnp.cumsum(piece[::-1], 0)[::-1] - piece
        found.append(jnp.moveaxis(beyond, 0, -1) if along else jnp.sum(piece, 0))
    return Depths(*found)


def lengths(positions):
    """Lengths of cells [..., cells] between ``positions`` [..., cells + 1] that grow towards the observer.

    ValueError for concrete positions that are not sorted.
    """
    positions = jnp.asarray(positions)
    if positions.ndim == 0 or positions.shape[-1] < 2:
        raise ValueError("transfer: positions need a last axis of at least two")
    ds = jnp.diff(positions, axis=-1)
    if not is_traced([positions]):
        _refuse("positions", positions, ~np.isfinite(positions), "not finite")
        _refuse("positions", positions, np.diff(np.asarray(positions), axis=-1, append=np.inf) < 0.0, "not sorted")
    return ds
