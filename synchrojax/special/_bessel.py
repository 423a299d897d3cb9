"""Bessel functions J_a(z), Y_a(z) and derivatives for real order a > 0 and 0 < z < a.

Three representations, all differentiable and vectorised:

* a >= 5: Olver's uniform Airy form (DLMF 10.20.4-10.20.9) with its four slowly varying
  functions interpolated instead of summed (``data/make_bessel_coefficients.py``);
* a < 5: the power series for J and Temme's series with upward recurrence for Y
  (Temme 1976, J. Comput. Phys. 21, 343);
* Debye's series of the *products* J Y, J' Y', (J Y)' (DLMF 10.19.3), with the leading
  terms that physics cancels left out.

Everything is scaled: J carries exp(-xi), Y carries exp(+xi), with
xi = a (alpha - tanh alpha) and z = a sech(alpha); the scaled values never over- or underflow.
"""

import functools
import math
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from synchrojax.core import Points, Reals
from synchrojax.special._modified_bessel import horner

ORDER_SPLIT = 5.0  # the interpolated form starts here

_TABLES = dict(
    np.load(pathlib.Path(__file__).with_name("_bessel_coefficients.npz"), allow_pickle=False)
)


class BesselPair(NamedTuple):
    """Scaled J e^xi, J' e^xi, Y e^-xi, Y' e^-xi and xi; ' is d/dz at fixed order."""

    j: Points
    dj: Points
    y: Any  # like j, or none where it is left out
    dy: Any
    xi: Points


def _centre(value: Points, lo: float, hi: float) -> Float[Array, "*points"]:
    """Map lo..hi to -1..1, and hold values outside at the ends."""
    return (2.0 * jnp.clip(value, lo, hi) - (lo + hi)) / (hi - lo)


def _stack_tables(*names: str) -> Float[np.ndarray, "powers tables functions *inner"]:
    """Highest power first: [power, table, function, ...], short tables padded with zeros."""
    tables = [_TABLES[n] for n in names]
    terms = max(t.shape[1] for t in tables)
    padded = [
        np.pad(t, [(0, 0), (0, terms - t.shape[1])] + [(0, 0)] * (t.ndim - 2)) for t in tables
    ]
    return np.moveaxis(np.stack(padded), 2, 0)[::-1].copy()


_OLVER = _stack_tables("olver_near", "olver_middle", "olver_far")
_AIRY = _stack_tables("airy_near", "airy_middle", "airy_far")


def _polynomials(
    table: Float[np.ndarray, "powers tables functions *inner"],
    positions: Sequence[Points],
    inner: Points | None = None,
) -> Float[Array, "tables functions *points"]:
    """[table, function, ...]: every polynomial of a stack at its position.

    A scan, not an unrolled Horner: XLA would duplicate shared subexpressions without bound.
    """
    u = jnp.stack(positions)[:, None]
    shape = table.shape[1:3] + (1,) * (u.ndim - 2)

    def step(
        value: Float[Array, "tables functions *points"], row: Any
    ) -> tuple[Float[Array, "tables functions *points"], None]:
        if inner is not None:
            each = [row[..., k].reshape(shape) for k in range(row.shape[-1])]
            row = horner(each, inner[None, None])
        else:
            row = row.reshape(shape)
        return value * u + row, None

    start = jnp.zeros(table.shape[1:3] + u.shape[2:], u.dtype)
    return jax.lax.scan(step, start, jnp.asarray(table, u.dtype))[0]


def debye_angle(x: Reals, y: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """alpha and alpha - tanh(alpha) for x = sech(alpha), y = tanh(alpha), without cancellation."""
    small = y < 0.3
    ys = jnp.where(small, y, 0.1)
    yl = jnp.where(small, 0.5, y)
    xl = jnp.where(small, 0.8, x)
    y2 = ys * ys
    series = ys * y2 * horner([1.0 / (2 * k + 3) for k in range(15)], y2)
    alpha = jnp.log((1.0 + yl) / xl)
    return jnp.where(small, series + ys, alpha), jnp.where(small, series, alpha - yl)


def _airy(eta: Points, xi: Points, functions: int) -> list[Float[Array, "*points"]]:
    """Ai e^xi, Ai' e^xi (and Bi e^-xi, Bi' e^-xi) for eta >= 0, xi = 2/3 eta^1.5."""
    e = jnp.maximum(eta, 1.0)
    quarter = jnp.sqrt(jnp.sqrt(e))
    positions = (
        _centre(eta, 0.0, 2.0),
        _centre(e, 2.0, 10.0),
        _centre(1.0 / (e * quarter * quarter), 0.0, 10.0**-1.5),
    )
    near, middle, far = _polynomials(_AIRY[:, :, :functions], positions)
    grow = jnp.exp(jnp.minimum(xi, 2.0))
    out = []
    for k in range(functions):
        power = quarter if k % 2 else 1.0 / quarter
        unscaled = near[k] * grow if k < 2 else near[k] / grow
        out.append(jnp.where(eta < 2.0, unscaled, jnp.where(eta < 10.0, middle[k], far[k]) * power))
    return out


def _uniform(a: Points, x: Points, y: Points, second_kind: bool) -> BesselPair:
    alpha, excess = debye_angle(x, y)
    xi = a * excess
    zeta = jnp.cbrt(2.25 * excess * excess)
    third = jnp.cbrt(a)
    eta = third * third * zeta
    root_zeta = jnp.sqrt(zeta)
    positions = (
        _centre(alpha * alpha, 0.0, 4.0),
        _centre(alpha, 2.0, 4.0),
        _centre(1.0 / jnp.maximum(alpha, 1.0), 0.0, 0.25),
    )
    near, middle, far = _polynomials(
        _OLVER, positions, _centre(1.0 / (a * a), 0.0, ORDER_SPLIT**-2)
    )
    one = jnp.ones_like(root_zeta)
    scales = (one, 1.0 / root_zeta, root_zeta, one)
    fa, fb, fc, fd = (
        jnp.where(alpha < 2.0, near[k], jnp.where(alpha < 4.0, middle[k], far[k]) * scale)
        for k, scale in enumerate(scales)
    )
    phi = jnp.sqrt(2.0 * root_zeta / y)
    c, d = phi / third, 2.0 / (x * phi * third * third)
    b = fb / (third * a)
    e = fc / (third * third)
    airy = _airy(eta, xi, 4 if second_kind else 2)
    j, dj = c * (airy[0] * fa + airy[1] * b), -d * (airy[0] * e + airy[1] * fd)
    if not second_kind:
        return BesselPair(j, dj, None, None, xi)
    return BesselPair(
        j, dj, -c * (airy[2] * fa + airy[3] * b), d * (airy[2] * e + airy[3] * fd), xi
    )


# 1 / Gamma(1 + mu) = sum c_k mu^k (DLMF 5.7.1, shifted by one)
_RECIPROCAL_GAMMA = (
    1.0,
    0.5772156649015329,
    -0.6558780715202538,
    -0.0420026350340952,
    0.1665386113822915,
    -0.0421977345555443,
    -0.0096219715278770,
    0.0072189432466630,
    -0.0011651675918591,
    -0.0002152416741149,
    0.0001280502823882,
    -0.0000201348547807,
    -0.0000012504934821,
    0.0000011330272320,
    -0.0000002056338417,
    0.0000000061160950,
    0.0000000050020075,
    -0.0000000011812746,
    0.0000000001043427,
)


class _Shifted(NamedTuple):
    """An order a = mu + steps, mu in [-1/2, 1/2], with 1 / Gamma(1 + mu) and 1 / Gamma(1 - mu)."""

    mu: Points
    steps: Points
    even: Reals  # part of 1 / Gamma(1 + mu): Temme's Gamma_2
    odd: Reals  # likewise, over mu: minus Temme's Gamma_1
    inverse_gamma_p: Reals
    inverse_gamma_m: Reals


def _shifted(a: Points) -> _Shifted:
    steps = jnp.round(a)
    mu = a - steps
    mu2 = mu * mu
    even = horner(_RECIPROCAL_GAMMA[0::2], mu2)
    odd = horner(_RECIPROCAL_GAMMA[1::2], mu2)
    return _Shifted(mu, steps, even, odd, even + mu * odd, even - mu * odd)


def _first_kind(
    a: Points, z: Points, xi: Points, order: _Shifted
) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """Scaled J_a and J_a' by the power series."""
    q, gamma_ratio = 0.25 * z * z, jnp.ones_like(a)
    for k in range(1, 7):
        gamma_ratio = gamma_ratio * jnp.where(k <= order.steps, order.mu + k, 1.0)

    def power_series(k: Any, state: tuple[Points, Points, Points]) -> tuple[Points, Points, Points]:
        term, series, slope = state
        term = -term * q / (k * (a + k))
        return term, series + term, slope + term * (a + 2 * k)

    term = order.inverse_gamma_p / gamma_ratio  # 1 / Gamma(1 + a)
    _, series, slope = jax.lax.fori_loop(1, 28, power_series, (term, term, term * a))
    lift = jnp.exp(a * jnp.log(0.5 * z) + xi)
    return series * lift, slope * lift / z


def _temme(z: Points, order: _Shifted) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """-Y_mu and -z / 2 Y_(mu + 1)."""
    mu, q, log_inverse = order.mu, 0.25 * z * z, -jnp.log(0.5 * z)
    sigma = mu * log_inverse
    s2 = sigma * sigma
    tiny = jnp.abs(sigma) < 0.02
    sigma_safe = jnp.where(tiny, 1.0, sigma)
    sinhc = jnp.where(
        tiny,
        1.0 + s2 / 6.0 * (1.0 + s2 / 20.0 * (1.0 + s2 / 42.0)),
        jnp.sinh(sigma_safe) / sigma_safe,
    )
    # mu pi / sin(mu pi) = 1 / (Gamma(1+mu) Gamma(1-mu)) inverted
    reflection = 1.0 / (order.inverse_gamma_p * order.inverse_gamma_m)
    f = (
        (2.0 / jnp.pi)
        * reflection
        * (-jnp.cosh(sigma) * order.odd + sinhc * log_inverse * order.even)
    )
    power = jnp.exp(sigma)
    p = power / (jnp.pi * order.inverse_gamma_p)
    r = 1.0 / (power * jnp.pi * order.inverse_gamma_m)
    # (2 / mu) sin^2(pi mu / 2), even part of a square over mu
    w = 0.5 * jnp.pi * mu
    small = jnp.abs(w) < 0.02
    w_safe = jnp.where(small, 1.0, w)
    sinc = jnp.where(small, 1.0 - w * w / 6.0 * (1.0 - w * w / 20.0), jnp.sin(w_safe) / w_safe)
    ratio = 0.5 * jnp.pi * jnp.pi * mu * sinc * sinc

    mu2 = mu * mu

    def add_term(k: Any, state: tuple[Points, ...]) -> tuple[Points, ...]:
        f, p, r, c, y0, y1 = state
        f = (k * f + p + r) / (k * k - mu2)
        p = p / (k - mu)
        r = r / (k + mu)
        c = -c * q / k
        g = f + ratio * r
        return f, p, r, c, y0 + c * g, y1 + c * (p - k * g)

    return jax.lax.fori_loop(1, 28, add_term, (f, p, r, jnp.ones_like(f), f + ratio * r, p))[4:]


def _small_order(a: Points, x: Points, y: Points, second_kind: bool) -> BesselPair:
    """Series for 0 < a < 6: all terms are needed only for z < 6."""
    z = a * x
    xi = a * debye_angle(x, y)[1]
    order = _shifted(a)
    j, dj = _first_kind(a, z, xi, order)
    if not second_kind:
        return BesselPair(j, dj, None, None, xi)

    # y0 = Y_order, y1 = Y_(order + 1)
    def raise_order(k: Any, state: tuple[Points, Points]) -> tuple[Points, Points]:
        y0, y1 = state
        up = 2.0 * (order.mu + k) / z * y1 - y0
        return jnp.where(k <= order.steps, y1, y0), jnp.where(k <= order.steps, up, y1)

    y0, y1 = _temme(z, order)
    y0, y1 = jax.lax.fori_loop(1, 7, raise_order, (-y0, -2.0 / z * y1))
    shrink = jnp.exp(-xi)
    return BesselPair(j=j, dj=dj, y=y0 * shrink, dy=(a / z * y0 - y1) * shrink, xi=xi)


def scaled_bessel(
    a: Reals, x: Reals, y: Reals, *, small_orders: bool = True, second_kind: bool = True
) -> BesselPair:
    """Scaled Bessel functions at order ``a`` and argument ``a x``, y = sqrt(1 - x^2).

    Passing both x and y keeps full precision at either end. ``small_orders=False`` leaves the
    series for a < 5 out of the graph, ``second_kind=False`` leaves out Y (returned as None).
    """
    a, x, y = jnp.broadcast_arrays(a, x, y)
    if not small_orders:
        return _uniform(a, x, y, second_kind)
    low = a < ORDER_SPLIT
    big = _uniform(jnp.where(low, ORDER_SPLIT, a), x, y, second_kind)
    small = _small_order(jnp.where(low, a, 1.0), x, y, second_kind)
    return BesselPair._make(
        None if b is None else jnp.where(low, s, b) for s, b in zip(small, big, strict=True)
    )


def bessel(a: ArrayLike, z: ArrayLike) -> tuple[Points, Points, Points, Points]:
    """J_a(z), Y_a(z), J_a'(z), Y_a'(z) for real order 0 < a <= 1e12 and 0 < z < a.

    Arrays broadcast; float64. Relative error 1e-10 or better wherever the value is representable
    (DLMF 10.20; Temme 1976).
    """
    a, z = jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(z, float))
    x = z / a
    y = jnp.sqrt((a - z) * (a + z)) / a
    p = scaled_bessel(a, x, y)
    down, up = jnp.exp(-p.xi), jnp.exp(p.xi)
    return p.j * down, p.y * up, p.dj * down, p.dy * up


# Debye products --------------------------------------------------------------------------

Polynomial: TypeAlias = list[Fraction]  # constant first
Rows: TypeAlias = list[tuple[float, ...]]

DEBYE_ORDERS = 14


def _multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    out = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, u in enumerate(p):
        for k, v in enumerate(q):
            out[i + k] += u * v
    return out


def _derivative(p: Polynomial) -> Polynomial:
    return [k * c for k, c in enumerate(p)][1:] or [Fraction(0)]


def _add(p: Polynomial, q: Polynomial) -> Polynomial:
    n = max(len(p), len(q))
    none = Fraction(0)
    return [(p[i] if i < len(p) else none) + (q[i] if i < len(q) else none) for i in range(n)]


@functools.cache
def _debye_products() -> tuple[Rows, Rows, Rows]:
    """Rows of powers of p^2 - 1 behind ``debye_products``; U and V of DLMF 10.41.9-10.41.10.

    The products are prefactor * sum_m (p/a)^m R_m(p^2) with p = coth(alpha).
    """
    half, eighth = Fraction(1, 2), Fraction(1, 8)
    u = [[Fraction(1)]]
    v = [[Fraction(1)]]
    for _ in range(DEBYE_ORDERS):
        last = u[-1]
        inner = _multiply([Fraction(1), Fraction(0), Fraction(-5)], last)
        integral = [Fraction(0)] + [c / (k + 1) for k, c in enumerate(inner)]
        slope = _multiply([Fraction(0), Fraction(0), half, Fraction(0), -half], _derivative(last))
        u.append(_add(slope, [eighth * c for c in integral]))
        extra = _add(
            _multiply([Fraction(0), -half, Fraction(0), half], last),
            _multiply(
                [Fraction(0), Fraction(0), Fraction(-1), Fraction(0), Fraction(1)],
                _derivative(last),
            ),
        )
        v.append(_add(u[-1], extra))

    def product(left: list[Polynomial], right: list[Polynomial], order: int) -> Polynomial:
        """Coefficients of (p^2)^i in the order-th term, divided by p^order."""
        total = [Fraction(0)]
        for k in range(order + 1):
            total = _add(total, [(-1) ** k * c for c in _multiply(left[order - k], right[k])])
        return total[order::2][: order + 1]

    def about_one(row: Polynomial) -> Polynomial:
        """Powers of p^2 to powers of p^2 - 1."""
        out = [Fraction(0)] * len(row)
        for i, c in enumerate(row):
            for k in range(i + 1):
                out[k] += c * math.comb(i, k)
        return out

    def floats(rows: list[Polynomial]) -> Rows:
        return [tuple(float(c) for c in about_one(row)) for row in rows]

    even = range(2, DEBYE_ORDERS, 2)
    odd = range(1, DEBYE_ORDERS, 2)
    jy = [product(u, u, m) for m in even]
    both = [_add(r, product(v, v, m)) for r, m in zip(jy, even, strict=True)]
    return floats(jy), floats(both), floats([[2 * c for c in product(u, v, m)] for m in odd])


def debye_products(excess: Reals, inverse: Reals) -> tuple[Reals, Reals, Reals]:
    """Debye remainders of the products, for xi > 25 or so.

    With excess = p^2 - 1 = z^2 / (a^2 - z^2) and inverse = 1 / sqrt(a^2 - z^2), returns
    r = -J Y sqrt(a^2-z^2) pi - 1,  r + J' Y' pi z^2 / sqrt(a^2-z^2) - 1,  (J Y)' pi z;
    the second and third vanish with excess, which the expansion about p = 1 keeps exact.
    """
    jy, both, slope = _debye_products()
    i2 = inverse * inverse

    def total(rows: Rows) -> Reals:
        return horner([horner(row, excess) for row in rows], i2)

    return total(jy) * i2, total(both) * i2, total(slope) * inverse
