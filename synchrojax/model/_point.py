"""From inputs of one shape to a family's point, and from its coefficients to CGS."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from synchrojax.core import (
    COMMON,
    E2_OVER_MC,
    GYRO,
    Coefficients,
    LogCoefficients,
    Masks,
    Points,
    Reals,
    at_least,
    bounded_exp,
    bounded_product,
    cold,
    ratio,
    slopes_that_fit,
    unphysical,
)
from synchrojax.distributions import cells_of, log_number
from synchrojax.families import AbstractFamily, Dimensionless

# inputs broadcast to one shape, in a program
Values: TypeAlias = Mapping[str, Any]


class Situation(NamedTuple):
    """What the family is asked, and where there is nothing to ask: a harmless point stands there.

    ``unphysical``: no electron gas has such values; ``empty``: that, or there is no field or no
    electron. ``own``: the distribution's parameters.
    """

    unphysical: Masks
    empty: Masks
    own: Mapping[str, Reals]
    point: Any


def situation(family: AbstractFamily, values: Values, scale: Reals = 1.0) -> Situation:
    """``Situation`` of {input: array}, the field in units of ``scale`` [G]."""
    nu, b, n_e, theta = (values[name] for name in COMMON)
    own = family.distribution.canonical(**{name: values[name] for name in family.parameters})
    bad = unphysical(nu, b, n_e, theta, own.values(), family.distribution.violated(**own))
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = ratio(jnp.where(empty, 1e3, nu / (GYRO * scale)), jnp.where(empty, 1.0, b))
    safe = {
        name: jnp.where(empty, _middle(*family.domain[name]), value) for name, value in own.items()
    }
    return Situation(bad, empty, own, family.point(s, jnp.where(empty, 1.0, theta), safe))


def _middle(low: float, high: float) -> float:
    return float(np.sqrt(low * high) if low > 0.0 else 0.5 * (low + high))


def outside_of(family: AbstractFamily, here: Situation) -> dict[str, Masks]:
    """{name of ``domain``: where the point is out of its range}; nowhere where there is nothing."""
    slack = 4.0 * jnp.finfo(jax.tree.leaves(here.point)[0].dtype).eps
    coordinates = family.coordinates(here.point)
    # the edge itself is inside, whatever the rounding
    return {
        name: (
            (coordinates[name] < low - slack * abs(low))
            | (coordinates[name] > high + slack * abs(high))
        )
        & ~here.empty
        for name, (low, high) in family.domain.items()
    }


def situation_of_spectra(family: AbstractFamily, values: Values) -> tuple[Situation, Points]:
    """``Situation`` of points with a row ln(N) [K, ...] each on one grid gamma [K], and their n_e.

    Rows are in units of exp("log_unit") cm^-3, and without "n_e" say how many electrons there are.
    """
    nu, b, theta, gamma, log_n = (values[name] for name in ("nu", "B", "theta", "gamma", "log_n"))
    violated = family.distribution.violated(gamma=gamma, N=jnp.ones_like(log_n))
    broken = functools.reduce(jnp.logical_or, violated.values())
    broken = broken | jnp.any(jnp.isnan(log_n), 0)
    count = gamma.shape[0]
    usual = jnp.arange(1, count + 1, dtype=gamma.dtype)
    gamma = jnp.where(violated["gamma increases from 1 up"], usual, gamma)
    cells = cells_of(gamma, log_n)
    there = ~broken & jnp.any(cells.full, 0)
    if "n_e" in values:
        n_e = values["n_e"]
    else:
        limits = jnp.finfo(nu.dtype)
        log_number_of = log_number(gamma, cells) + values["log_unit"]
        # any electrons are some, whatever the dtype holds
        n_e = at_least(bounded_exp(log_number_of), float(limits.tiny))
        n_e = jnp.where(there, n_e, 0.0)
    bad = unphysical(nu, b, n_e, theta, (), {}) | broken
    bad = bad | (~there & (n_e > 0.0))
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = ratio(jnp.where(empty, 1e3, nu / GYRO), jnp.where(empty, 1.0, b))
    log_n = jnp.where(empty, 0.0, log_n)
    point = family.point(s, jnp.where(empty, 1.0, theta), {"gamma": gamma, "log_n": log_n})
    return Situation(bad, empty, {}, point), n_e


def _by_policy(family: AbstractFamily, policy: str, here: Situation, c: Any) -> Any:
    """``c``, six fields of emission and absorption and those of rotativities; NaN for "nan"."""
    if policy != "nan":
        return c
    emission, rotation = family.invalid(outside_of(family, here), here.point)
    wrong = [*[emission] * 6, *[rotation] * (len(c) - 6)]
    return type(c)(*(jnp.where(w, jnp.nan, v) for w, v in zip(wrong, c, strict=True)))


def in_cgs(
    family: AbstractFamily,
    policy: str,
    here: Situation,
    scaled: Values,
    b: Points,
    found: Dimensionless,
) -> Coefficients:
    nu, n_e = (jnp.where(here.empty, 1.0, scaled[name]) for name in ("nu", "n_e"))
    log_nu, log_n, per_nu = jnp.log(nu), jnp.log(n_e), ratio(n_e, nu)
    j, alpha = (
        bounded_exp(v) for v in ((found.log_j + log_nu) + log_n, (found.log_alpha - log_nu) + log_n)
    )
    cold_q, cold_v = cold(found.s, found.sine, found.cosine)
    c = Coefficients(
        j,
        bounded_product(j, found.j_q),
        bounded_product(j, found.j_v),
        alpha,
        bounded_product(alpha, found.alpha_q),
        bounded_product(alpha, found.alpha_v),
        bounded_product(per_nu, cold_q * found.rho_q),
        bounded_product(per_nu, cold_v * found.rho_v),
    )
    inputs = nu, jnp.where(here.empty, 1.0, b), n_e, *here.own.values()
    smallest = functools.reduce(jnp.minimum, map(jnp.abs, inputs))
    # the slope by the field passes through ds / dB = -s / B, which has to fit, too
    highest = 0.01 * jnp.finfo(smallest.dtype).max * jnp.minimum(smallest, 1.0)
    smallest = jnp.where(found.s < highest, smallest, 0.0)
    sizes = Coefficients(j, j, j, alpha, alpha, alpha, per_nu, per_nu)
    nothing = jnp.where(here.unphysical, jnp.nan, 0.0)

    def with_limits(value: Points, size: Points) -> Float[Array, "*points"]:
        return jnp.where(here.empty, nothing, slopes_that_fit(value, size, smallest))

    c = jax.tree.map(with_limits, c, sizes)
    return _by_policy(family, policy, here, c)


def _log_size(value: Points) -> Float[Array, "*points"]:
    """ln of the magnitude; -inf, with zero slope, for 0."""
    none = value == 0.0
    return jnp.where(none, -jnp.inf, jnp.log(jnp.where(none, 1.0, jnp.abs(value))))


def _sign_and_log(value: Points, log_unit: Points) -> tuple[Points, Points]:
    """Of ``value`` times a positive unit; 0 and -inf where either is 0."""
    log = _log_size(value) + log_unit
    none = log == -jnp.inf
    return jnp.where(none, 0.0, jnp.sign(value)), jnp.where(none, -jnp.inf, log)


def in_logarithms(
    family: AbstractFamily, policy: str, here: Situation, scaled: Values, found: Dimensionless
) -> LogCoefficients:
    """What ``in_cgs`` gives, whatever the range of the dtype."""
    log_nu, log_n = (jnp.log(jnp.where(here.empty, 1.0, scaled[name])) for name in ("nu", "n_e"))
    per_nu, log_s = log_n - log_nu, jnp.log(found.s)
    across, along = _log_size(found.sine), _log_size(found.cosine)
    unit_q = (2.0 * (across - log_s) + math.log(E2_OVER_MC)) + per_nu
    unit_v = (along - log_s + math.log(2.0 * E2_OVER_MC)) + per_nu
    turn = jnp.where(found.cosine < 0.0, -1.0, 1.0)
    c = LogCoefficients(
        (found.log_j + log_nu) + log_n,
        found.j_q,
        found.j_v,
        found.log_alpha + per_nu,
        found.alpha_q,
        found.alpha_v,
        *_sign_and_log(-found.rho_q, unit_q),
        *_sign_and_log(turn * found.rho_v, unit_v),
    )

    def where_empty(name: str, value: Points) -> Points:
        none = jnp.where(here.unphysical, jnp.nan, -jnp.inf if name.startswith("log") else 0.0)
        return jnp.where(here.empty, none, value)

    c = LogCoefficients(*map(where_empty, c._fields, c))
    return _by_policy(family, policy, here, c)


def beyond_dtype(c: LogCoefficients) -> Masks:
    """Where one of the eight is smaller or larger than what the dtype holds, but for true zeros."""
    limits = jnp.finfo(c.log_j.dtype)
    low, high = math.log(limits.tiny), math.log(limits.max)
    parts = [
        log + _log_size(part)
        for log, shares in ((c.log_j, (c.q_j, c.v_j)), (c.log_alpha, (c.q_alpha, c.v_alpha)))
        for part in shares
    ]
    every = [c.log_j, c.log_alpha, c.log_rho_Q, c.log_rho_V, *parts]
    return functools.reduce(
        jnp.logical_or, [(v > high) | ((v < low) & (v > -jnp.inf)) for v in every]
    )


def bits(masks: Sequence[Masks]) -> Int32[Array, "*points"]:
    """int32: bit i is set where ``masks[i]`` holds."""
    each = [jnp.where(mask, 1 << i, 0) for i, mask in enumerate(masks)]
    return functools.reduce(jnp.add, each).astype(jnp.int32)
