"""The truth: all eight transfer coefficients of any gyrotropic f(gamma, mu), by quadrature.

The wave crosses B at right angles in a frame boosted along B by cos(theta); there, with
s' = s sin(theta), Lorentz factor g' and parallel momentum u' = sinh(v), the Bessel order is
a = s' g' and a^2 - z^2 = (s' w)^2, w = cosh(v). The kernels and prefactors follow from Leung,
Gammie & Noble 2011 (ApJ 737, 21) and Heyvaerts et al. 2013 (MNRAS 430, 3320); the leading Debye
terms are subtracted from the rotativities, where they integrate to zero for every f.

Two outer rules share one integrand: Gauss-Legendre in the laboratory Lorentz factor where
harmonics overlap, and the sum over harmonics n = a where they do not. There the rotativities
gain the principal value of cot(pi a) times the absorption kernels (Newberger's sum rule).
"""

import concurrent.futures
import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax._bessel import bessel, debye_angle, debye_products, scaled_bessel
from synchrojax._coefficients import Coefficients
from synchrojax._constants import ABSORPTION, EMISSION, GYRO
from synchrojax._inputs import is_traced
from synchrojax._params import COMMON, broadcast, describe, unphysical
from synchrojax._quadrature import gregory_weights, maximise, panel, scan, trim
from synchrojax._quick import quick_jit
from synchrojax.distributions import HIGHEST_GAMMA, get_distribution

__all__ = ["bessel", "coefficients", "hatted"]

_DROP = 28.0  # the integrand is trimmed where it is below e^-28 of its peak
_GROWTH = 7.0 / 3.0  # kernels, measure and width of a slice grow with this power of gamma
_DEBYE_FROM = 25.0  # xi from which the Debye products are used
_SMALL_S = 5.0  # Bessel orders below this need the series
FEW = 64  # points up to which compilation costs more than what it saves; also the size of a block
_PHASES = 8, 16  # samples of the harmonic phase in the principal value: s' >= 5, below


class Resolution(NamedTuple):
    """Gauss-Legendre nodes: outer and inner, emission and (per half) rotativities.

    ``harmonics``: twice this many are summed one by one; of more, this many, and as many nodes for their tail.
    ``rotation_cluster``: nodes gather towards momenta along B like this power.
    ``principal``: the same and the inner nodes for the principal value, a small part of the rotativities.
    """

    outer: int = 40
    inner: int = 48
    harmonics: int = 40
    principal: tuple[int, int] = (24, 40)
    rotation_outer: int = 56
    rotation_inner: tuple[int, int] = (32, 24)
    rotation_cluster: int = 1


# tails over many decades of gamma, and pitch angles that f may favour
_EXTENDED = Resolution(outer=80, rotation_outer=160, rotation_inner=(36, 48), rotation_cluster=4)


class _Integrand(NamedTuple):
    """One direction and one distribution: s' = s sin(theta), ln f(gamma, mu) up to its norm, bounds and jumps."""

    s_perp: jax.Array
    sine: jax.Array
    cosine: jax.Array
    log_f: Callable
    bounds: tuple[jax.Array, jax.Array]
    jumps: tuple[tuple[jax.Array, float], ...]
    edges: str


def _integrand(distribution, parameters, s, theta):
    sine = jnp.maximum(jnp.abs(jnp.sin(theta)), 1e-9)

    def log_f(gamma, mu, across):
        return distribution.log_shape(gamma, mu, across, **parameters)

    bounds = tuple(jnp.asarray(b, float) for b in distribution.gamma_bounds(**parameters))
    jumps = tuple(distribution.jumps(**parameters))
    return _Integrand(s * sine, sine, jnp.cos(theta), log_f, bounds, jumps, distribution.edges)


class _Node(NamedTuple):
    """A point of phase space in both frames."""

    g: jax.Array  # g'
    u: jax.Array  # u' = sinh v
    w: jax.Array  # cosh v
    u_perp: jax.Array
    gamma: jax.Array
    mu: jax.Array
    across: jax.Array  # 1 - mu^2


def _node(here, g, gap, v, gamma):
    """From g', g' - w (kept apart to save digits), v and gamma."""
    w, u = jnp.cosh(v), jnp.sinh(v)
    u_perp = jnp.sqrt(jnp.maximum(gap, 1e-20 * w) * (g + w))  # the floor is met only at zero weight
    u_par = here.sine * u + here.cosine * gamma
    gamma = jnp.broadcast_to(gamma, jnp.shape(u))
    total = jnp.hypot(u_par, u_perp)
    return _Node(g, u, w, u_perp, gamma, u_par / total, (u_perp / total) ** 2)


def _bessel_at(here, node, **options):
    return scaled_bessel(here.s_perp * node.g, node.u_perp / node.g, node.w / node.g, **options)


def _exponent(here, node):
    """xi, with J ~ exp(-xi) and Y ~ exp(xi)."""
    return here.s_perp * node.g * debye_angle(node.u_perp / node.g, node.w / node.g)[1]


def _log_weight(here, node):
    """ln of f exp(-2 xi), the part of the emission integrand that spans many decades."""
    return here.log_f(node.gamma, node.mu, node.across) - 2.0 * _exponent(here, node)


def _log_slope(here, node):
    """D ln f = (d/dgamma at fixed u_par + cos(theta) d/du_par at fixed gamma) ln f."""
    gamma, mu, across = node.gamma, node.mu, node.across
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    one = jnp.ones_like(gamma)
    along_gamma = jax.jvp(lambda t: here.log_f(t, mu, across), (gamma,), (one,))[1]
    along_mu = jax.jvp(lambda t, sq: here.log_f(gamma, t, sq), (mu, across), (one, -2.0 * mu))[1]
    # (cos(theta) - mu gamma / u) / u, without cancellation along B
    return along_gamma - along_mu * (here.cosine + here.sine * node.u * gamma) / u**3


# Slices of phase space at a fixed outer coordinate: limits in v, nodes and measure ----------


class _LabSlices:
    """gamma = cosh(chi) fixed; dg' du' = sinh(chi) sin(theta) dchi cosh(v) dv."""

    @staticmethod
    def limits(here, chi):
        tilt = jnp.arcsinh(here.cosine / here.sine)
        return -tilt - chi, -tilt + chi

    @staticmethod
    def node(here, chi, v):
        delta = v + jnp.arcsinh(here.cosine / here.sine)  # rapidity along B in the laboratory
        gap = 2.0 * here.sine * jnp.sinh(0.5 * (chi - delta)) * jnp.sinh(0.5 * (chi + delta))
        gap = jnp.maximum(gap, 0.0)
        return _node(here, jnp.cosh(v) + gap, gap, v, jnp.cosh(chi))

    @staticmethod
    def measure(here, chi):
        return jnp.sinh(chi) * here.sine


class _HarmonicSlices:
    """a = s' g' = s' cosh(eta) fixed; the measure is that of a sum over harmonics."""

    @staticmethod
    def limits(here, a):
        eta = _arccosh(a / here.s_perp)
        cosine = jnp.where(jnp.abs(here.cosine) < 1e-200, 1e-200, here.cosine)
        ends = [jnp.arcsinh((here.sine * b - a / here.s_perp) / cosine) for b in here.bounds]
        lo = jnp.clip(jnp.minimum(*ends), -eta, eta)
        return lo, jnp.clip(jnp.maximum(*ends), lo, eta)

    @staticmethod
    def node(here, a, v):
        g, eta = a / here.s_perp, _arccosh(a / here.s_perp)
        gap = jnp.maximum(2.0 * jnp.sinh(0.5 * (eta - v)) * jnp.sinh(0.5 * (eta + v)), 0.0)
        gamma = (g + here.cosine * jnp.sinh(v)) / here.sine
        return _node(here, g, gap, v, jnp.maximum(gamma, 1.0 + 1e-15))

    @staticmethod
    def measure(here, a):
        return jnp.ones_like(a) / here.s_perp


def _arccosh(gamma):
    return 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * jnp.maximum(gamma - 1.0, 1e-300)))


def _best(frozen, slices, outer):
    def along(v):
        return _log_weight(frozen, slices.node(frozen, outer, v))

    return maximise(along, *slices.limits(frozen, outer), 26)[1]


def _absorption_sums(here, frozen, slices, outer, weight, top, nodes, small_orders):
    """[f k_I, f k_Q, f k_V, Df k_I, Df k_Q, Df k_V] summed over slices, divided by exp(top)."""

    def row(outer, weight):
        def along(v):
            return _log_weight(frozen, slices.node(frozen, outer, v))

        v, dv = panel(*trim(along, *slices.limits(frozen, outer), _DROP), nodes)
        node = slices.node(here, outer, v)
        pair = _bessel_at(here, node, small_orders=small_orders, second_kind=False)
        f = slices.measure(here, outer) * weight * dv * node.w
        # the bound matters only where exp(top) underflows and the scan missed a needle of a peak
        f = f * jnp.exp(jnp.minimum(here.log_f(node.gamma, node.mu, node.across) - 2.0 * pair.xi - top, 300.0))
        parallel, perpendicular = (node.u * pair.j) ** 2, (node.u_perp * pair.dj) ** 2
        cross = -2.0 * node.u * node.u_perp * pair.j * pair.dj
        kernels = jnp.stack([parallel + perpendicular, parallel - perpendicular, cross])
        return jnp.concatenate([jnp.sum(kernels * f, -1), jnp.sum(kernels * (f * _log_slope(here, node)), -1)])

    return jnp.sum(jax.vmap(row)(outer, weight), 0)


def _jump_rows(here):
    """Outer nodes and weights that turn sums over slices of Df into the delta functions at the jumps of f.

    df/dgamma = +-f delta(gamma - edge), and dgamma = sinh(chi) dchi. No electron moves at gamma = 1.
    """
    for gamma, sign in here.jumps if here.edges == "keep" else ():
        moving = gamma > 1.0 + 1e-12
        chi = _arccosh(jnp.where(moving, gamma, 2.0))
        yield chi[None], jnp.where(moving, sign / jnp.sinh(chi), 0.0)[None]


def _absorption_jumps(here, frozen, top, nodes, small_orders):
    """What the jumps of f add to the last three of ``_absorption_sums``, harmonics averaged."""
    total = jnp.zeros(3)
    for chi, weight in _jump_rows(here):
        total += _absorption_sums(here, frozen, _LabSlices, chi, weight, top, nodes, small_orders)[:3]
    return jnp.concatenate([jnp.zeros(3), total])


def _continuous(here, frozen, resolution, small_orders):
    """The six absorption integrals and the logarithm of their unit."""
    lo, hi = map(_arccosh, frozen.bounds)
    lo, hi, top = scan(lambda chi: _best(frozen, _LabSlices, chi) + _GROWTH * chi, lo, hi, _DROP)
    chi, weight = panel(lo, hi, resolution.outer)
    return _absorption_sums(here, frozen, _LabSlices, chi, weight, top, resolution.inner, small_orders), top


def _harmonics(here, frozen, resolution, small_orders):
    """The same as sums over harmonics, and the principal values that the rotativities gain."""
    highest = _arccosh(jnp.maximum(2.0 * frozen.bounds[1], 2.0 + 4.0 / frozen.s_perp))

    def order(eta):
        return frozen.s_perp * jnp.cosh(eta)

    lo, hi, top = scan(
        lambda eta: _best(frozen, _HarmonicSlices, order(eta)) + _GROWTH * eta, jnp.zeros(()), highest, _DROP
    )

    def total(phase, count, nodes):
        """Sum of K(n + phase) over integers n."""
        start = jnp.floor(order(lo) - phase) + phase
        start = jnp.where(start <= frozen.s_perp, start + 1.0, start)
        end = jnp.maximum(order(hi), start) + 2.0
        each = start + jnp.arange(2 * count)
        each_weight = jnp.where(each <= end, 1.0, 0.0)
        # more harmonics than that: the first few, then an integral with Gregory's correction
        corner = start + (count - 1.0)
        log_a, tail_weight = panel(jnp.log(corner), jnp.log(jnp.maximum(end, corner)), count)
        mixed = jnp.concatenate([each[:count], jnp.exp(log_a)])
        mixed_weight = jnp.concatenate([gregory_weights(count, 9), tail_weight * jnp.exp(log_a)])
        few = end - start < 2 * count
        a, weight = jnp.where(few, each, mixed), jnp.where(few, each_weight, mixed_weight)
        return _absorption_sums(here, frozen, _HarmonicSlices, a, weight, top, nodes, small_orders)

    count = _PHASES[small_orders]
    phases = (np.arange(count) + 0.5) / count
    shifted = jax.lax.map(lambda phase: total(phase, *resolution.principal)[3:], jnp.asarray(phases))
    # principal value of Int da cot(pi a) K(a): exact for the first count - 1 Fourier modes
    cot = jnp.asarray(1.0 / np.tan(np.pi * phases)) / count
    return total(0.0, resolution.harmonics, resolution.inner), top, jnp.tensordot(cot, shifted, 1)


def _without_end(here):
    """f continued above its upper jump, and the part above, or None without such a jump.

    A sharp end far up, where harmonics overlap by far, would cut single ones off: it is taken by the integral.
    """
    tops = [gamma for gamma, sign in here.jumps if sign < 0.0]
    if not tops:
        return here, None
    end = jnp.full_like(tops[0], 10.0 * HIGHEST_GAMMA)
    return here._replace(bounds=(here.bounds[0], end)), here._replace(bounds=(tops[0], end))


def _rotativities(here, frozen, resolution, small_orders):
    """Int dg' du' Df {rho_Q, rho_V kernels}, harmonics averaged, and the logarithm of the unit."""

    def height(chi):
        mu = jnp.array([-1.0, -0.7, 0.0, 0.7, 1.0])
        return jnp.max(frozen.log_f(jnp.cosh(chi) + 0.0 * mu, mu, 1.0 - mu**2)) + 3.0 * jnp.log(jnp.sinh(chi) + 1e-300)

    lo, hi = map(_arccosh, frozen.bounds)
    _, hi, top = scan(height, lo, hi, _DROP + 6.0)
    chis, weights = panel(lo, hi, resolution.rotation_outer)

    def kernels(node, debye):
        """The kernels of rho_Q and rho_V, leading Debye terms removed."""
        root = here.s_perp * node.w  # sqrt(a^2 - z^2)
        if debye:
            jy, both, slope = debye_products((node.u_perp / node.w) ** 2, 1.0 / root)
        else:
            z = here.s_perp * node.u_perp
            pair = _bessel_at(here, node, small_orders=small_orders)
            jy = -pair.j * pair.y * root * jnp.pi - 1.0
            both = jy + pair.dj * pair.dy * jnp.pi * z * z / root - 1.0
            slope = (pair.dj * pair.y + pair.j * pair.dy) * jnp.pi * z
        # u'^2 = w^2 - 1: each term is small where the wave runs along B, as rho_Q is
        k_q = (both * node.w - jy / node.w) / (jnp.pi * here.s_perp)
        return jnp.stack([k_q, node.u * slope / (jnp.pi * here.s_perp)])

    def row(chi, weight, slope):
        def exponent(v):
            return _exponent(frozen, _LabSlices.node(frozen, chi, v))

        def transition(middle, end):
            """The rapidity between middle and end at which xi, rising, reaches _DEBYE_FROM."""

            def bisect(_, state):
                inside, outside = state
                half = 0.5 * (inside + outside)
                far = exponent(half) > _DEBYE_FROM
                return jnp.where(far, inside, half), jnp.where(far, half, outside)

            outside = jax.lax.fori_loop(0, 20, bisect, (middle, end))[1]
            return jnp.where(exponent(middle) > _DEBYE_FROM, middle, outside)

        def integrate(outer, inner, nodes, debye):
            # along B, f may vanish like a fractional power of the distance from the end of the slice
            x, dx = panel(0.0, 1.0, nodes)
            cluster = resolution.rotation_cluster if debye else 1
            v = outer + (inner - outer) * x**cluster
            dv = jnp.abs(inner - outer) * cluster * x ** (cluster - 1) * dx
            node = _LabSlices.node(here, chi, v)
            f = weight * dv * node.w * jnp.exp(here.log_f(node.gamma, node.mu, node.across) - top)
            return jnp.sum(kernels(node, debye) * (f * slope(here, node)), -1)

        left, right = _LabSlices.limits(frozen, chi)
        middle = maximise(lambda v: -exponent(v), left, right, 22)[0]
        near_left, near_right = transition(middle, left), transition(middle, right)
        left, right = _LabSlices.limits(here, chi)
        near, far = resolution.rotation_inner
        return _LabSlices.measure(here, chi) * (
            integrate(near_left, middle, near, False)
            + integrate(middle, near_right, near, False)
            + integrate(left, near_left, far, True)
            + integrate(right, near_right, far, True)
        )

    total = jnp.sum(jax.vmap(lambda chi, weight: row(chi, weight, _log_slope))(chis, weights), 0)
    for chi, weight in _jump_rows(here):
        total += row(chi[0], weight[0], lambda here, node: 1.0)
    return total, top


def _hatted_point(distribution, parameters, s, theta, mode, resolution):
    """Array of the eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 for one point.

    mode 0: continuous; 1: harmonics, s' >= 5; 2: harmonics, any s'.
    """
    here = _integrand(distribution, parameters, s, theta)
    # places the nodes, so that derivatives act on the integrand alone
    frozen = _integrand(distribution, *jax.lax.stop_gradient((parameters, s, theta)))
    rotation, rotation_top = _rotativities(here, frozen, resolution, mode == 2)
    rotation = rotation * jnp.exp(rotation_top)
    if mode == 0:
        sums, top = _continuous(here, frozen, resolution, False)
    else:
        (endless, above), (frozen_endless, frozen_above) = _without_end(here), _without_end(frozen)
        sums, top, principal = _harmonics(endless, frozen_endless, resolution, mode == 2)
        rotation = rotation + principal[1:] * jnp.exp(top)
        if above is not None:
            excess, excess_top = _continuous(above, frozen_above, resolution, mode == 2)
            sums -= excess * jnp.exp(excess_top - top)
    sums += _absorption_jumps(here, frozen, top, resolution.inner, mode == 2)
    norm = distribution.log_norm(**parameters)
    unit, rotation = jnp.exp(top - norm) * s, rotation * (jnp.exp(-norm) * s)
    return jnp.concatenate([EMISSION * unit * sums[:3], -ABSORPTION * unit * sums[3:], -ABSORPTION * rotation])


def _mode(distribution, parameters, s, theta):
    sine = jnp.abs(jnp.sin(theta))
    harmonics = distribution.harmonics_matter(s, sine, **parameters)
    return jnp.where(harmonics, jnp.where(s * sine >= _SMALL_S, 1, 2), 0)


@functools.lru_cache(maxsize=64)
def _modes(distribution):
    """Compiled ``_mode``, [point, input] -> [point]."""

    def modes(x):
        parameters = dict(zip(distribution.parameters, x.T[2:], strict=True))
        return jnp.broadcast_to(_mode(distribution, parameters, x[:, 0], x[:, 1]), len(x))

    return jax.jit(modes)


@functools.lru_cache(maxsize=64)
def _block(distribution, mode, resolution, batch):
    """Compiled evaluation of a block of points, (block [point, input], how many of them count) -> [point, 8].

    ``batch``: so many at a time, all of the block; 0: one after another, as many as count, and compiled quickly.
    """

    def one(x):
        return _hatted_point(
            distribution, dict(zip(distribution.parameters, x[2:], strict=True)), x[0], x[1], mode, resolution
        )

    def few(block, count):
        def step(i, out):
            return out.at[i].set(one(block[i]))

        return jax.lax.fori_loop(0, count, step, jnp.zeros((len(block), 8)))

    def many(block, count):
        return jax.lax.map(one, block, batch_size=batch)

    return jax.jit(many) if batch else quick_jit(few)


def _evaluate(distribution, x, resolution):
    """Concrete points: sorted by mode, in blocks, on all cores."""
    padded = x[np.resize(np.arange(len(x)), 1 << (len(x) - 1).bit_length())]  # few sizes to compile
    mode = np.asarray(_modes(distribution)(padded))[: len(x)]
    out = np.zeros((len(x), 8))
    size, batch, cores = FEW, 4, os.cpu_count() or 1
    few = len(x) <= size
    if few:  # less to compile and to wait for, and mode 2 holds for mode 1, too
        batch, mode = 0, np.where(mode > 0, 2, 0)
    jobs = []
    for m in np.unique(mode):
        where = np.flatnonzero(mode == m)
        each = -(-len(where) // cores) if few else size
        jobs += [(k, m, where[k : k + each]) for k in range(0, len(where), each)]
    jobs.sort(key=lambda job: job[:2])  # the modes are compiled side by side
    programs = {m: _block(distribution, int(m), resolution, batch) for _, m, _ in jobs}

    def run(job):
        _, m, index = job
        block = x[np.resize(index, size)]  # the last block is filled up by repetition
        with jax.enable_x64(True):
            out[index] = np.asarray(programs[m](block, len(index)))[: len(index)]

    if len(jobs) == 1:
        run(jobs[0])
    else:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, jobs))
    return out


def _evaluate_traced(distribution, x, resolution):
    """Inside someone else's jit, grad or vmap: one point after another, by a real branch.

    Mode 2 stands in for mode 1: one branch less to compile.
    """

    def one(row):
        parameters = dict(zip(distribution.parameters, row[2:], strict=True))

        def branch(mode):
            return lambda: _hatted_point(distribution, parameters, row[0], row[1], mode, resolution)

        return jax.lax.cond(_mode(distribution, parameters, row[0], row[1]) > 0, branch(2), branch(0))

    return jax.lax.map(one, x)


def _require_x64():
    if not jax.config.jax_enable_x64:
        raise RuntimeError(
            'the exact integrals need float64: call jax.config.update("jax_enable_x64", True) first, '
            "or use them inside `with jax.enable_x64(True):`"
        )


def _resolution(distribution):
    return _EXTENDED if distribution.extended else Resolution()


def hatted(distribution, s, theta, *, resolution=None, **parameters):
    """The eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 as a NumPy array [point, 8].

    ``s`` = nu / nu_c, ``theta`` [rad] and the distribution's own ``parameters`` are one-dimensional
    arrays of one length. Every input must be physical.
    """
    _require_x64()
    distribution = get_distribution(distribution)
    columns = [s, theta, *(parameters[n] for n in distribution.parameters)]
    resolution = resolution or _resolution(distribution)
    return _evaluate(distribution, np.stack([np.asarray(c, float) for c in columns], -1), resolution)


def coefficients(distribution, params, *, resolution=None):
    """All eight coefficients from the integrals: the truth that everything else is held to.

    ``distribution``: a name (``"thermal"``, ``"powerlaw"``, ``"kappa"``, ``"powerlaw_pitch"``, ``"kappa_pitch"``), a
    ``synchrojax.distributions`` object, or your own f(gamma, mu) written in JAX (further arguments
    become entries of ``params``).
    ``params``: nu [Hz], B [G], n_e [cm^-3], theta [rad] and the distribution's own parameters; any
    shapes that broadcast. Returns ``Coefficients`` of that shape in CGS, float64.

    Relative error for thermal electrons: below 1e-7 (rho_Q: 1e-6) for theta_e from 0.03 to 100,
    1 <= s <= 1e8, s sin(theta) >= 5 (``tests/test_exact.py``); for the others see ``tests/test_distributions.py``.
    Concrete input runs on all cores; traced input (jit, grad, vmap) takes long to compile and runs one
    point after another. theta = 0 is taken as 1e-9.
    Unphysical nu, B, n_e and NaN give NaN, B = 0 or n_e = 0 gives zeros. ValueError for wrong names or shapes, for
    concrete parameters that break a condition of the distribution and for a user's f that is negative, not finite or
    not normalisable (a warning where it does not integrate to 1); RuntimeError where float64 is switched off.
    """
    _require_x64()
    distribution = get_distribution(distribution)
    resolution = resolution or _resolution(distribution)
    names = (*COMMON, *distribution.parameters)
    values, _, shape = broadcast(params, names, distribution.defaults)
    nu, b, n_e, theta, *own = (jnp.broadcast_to(jnp.asarray(v, float), shape) for v in values)
    parameters = distribution.canonical(**dict(zip(distribution.parameters, own, strict=True)))
    violated, own = distribution.violated(**parameters), list(parameters.values())
    for condition, broken in violated.items():
        if not is_traced([broken]) and np.any(broken):
            raise ValueError(f"params: {condition} does not hold; the distribution takes {describe(names)}")
    bad = unphysical(nu, b, n_e, theta, own, violated)
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = jnp.where(empty, 1e3, nu / (GYRO * jnp.where(empty, 1.0, b)))
    inputs = [s, jnp.where(empty, 1.0, theta), *(jnp.where(bad, 1.0, v) for v in own)]
    x = jnp.stack([v.ravel() for v in inputs], -1)
    if is_traced([x]):
        flat = _evaluate_traced(distribution, x, resolution)
    else:
        flat = np.zeros((len(x), 8))
        live = np.flatnonzero(~np.asarray(empty).ravel())
        if len(live):
            rows = np.asarray(x)[live]
            distribution.check(**dict(zip(distribution.parameters, rows.T[2:], strict=True)))
            flat[live] = _evaluate(distribution, rows, resolution)
    hats = jnp.moveaxis(jnp.asarray(flat).reshape(*nu.shape, 8), -1, 0)
    safe_nu = jnp.where(empty, 1.0, nu)
    scale = [n_e * safe_nu] * 3 + [n_e / safe_nu] * 5
    values = (jnp.where(empty, jnp.where(bad, jnp.nan, 0.0), h * f) for h, f in zip(hats, scale, strict=True))
    return Coefficients(*values)
