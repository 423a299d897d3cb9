"""The integrals as users call them."""

import functools
import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NoReturn, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    COMMON,
    GYRO,
    STEPS,
    Arrays,
    Coefficients,
    Numbers,
    Points,
    Shape,
    as_mapping,
    broadcast,
    describe,
    float64_is_on,
    is_traced,
    one_mapping,
    own_settings,
    pointwise,
    unphysical,
)
from synchrojax.distributions import (
    Distribution,
    Mixture,
    Spectra,
    Tabulated,
    get_distribution,
    written_in_jax,
)
from synchrojax.exact._errors import estimated_errors, judge, with_rules
from synchrojax.exact._evaluate import Ruled, evaluate_traced, mode_of_point
from synchrojax.exact._phase_space import Resolution, resolution_of


def _require_x64() -> None:
    if not float64_is_on():
        raise RuntimeError(
            'the exact integrals need float64: call jax.config.update("jax_enable_x64", True) '
            "first, "
            "or use them inside `with jax.enable_x64(True):`"
        )


@own_settings
def at_unit_frequency(
    distribution: Any,
    s: Any,
    theta: Any,
    *,
    resolution: Resolution | None = None,
    **parameters: Any,
) -> Float[np.ndarray, "points 8"]:
    """The eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 as a NumPy array [point, 8].

    ``s`` = nu / nu_c, ``theta`` [rad] and the distribution's own ``parameters`` are one-dimensional
    arrays of one length. Every input must be physical.
    """
    _require_x64()
    distribution, parameters = _with_grid(distribution, parameters)
    if isinstance(distribution, Mixture):
        parts = [
            at_unit_frequency(
                part, s, theta, resolution=resolution, **distribution.own(k, parameters)
            )
            for k, part in enumerate(distribution.parts)
        ]
        return np.tensordot(np.asarray(distribution.shares()), np.stack(parts), 1)
    columns = [s, theta, *(parameters[n] for n in distribution.parameters)]
    resolution = resolution or resolution_of(distribution)
    x: Any = np.stack([np.asarray(c, float) for c in columns], -1)
    distribution, x = _with_rows(distribution, x, x.shape[:1])
    with written_in_jax(distribution):
        return judge(distribution, x, resolution, False)[0]


@overload
def coefficients(
    distribution: Any,
    params: Any = None,
    *,
    resolution: Resolution | None = None,
    error: Literal[False] = False,
    **named: Any,
) -> Coefficients: ...


@overload
def coefficients(
    distribution: Any,
    params: Any = None,
    *,
    resolution: Resolution | None = None,
    error: bool,
    **named: Any,
) -> Coefficients | tuple[Coefficients, Coefficients]: ...


@own_settings
def coefficients(
    distribution: Any,
    params: Any = None,
    *,
    resolution: Resolution | None = None,
    error: bool = False,
    **named: Any,
) -> Coefficients | tuple[Coefficients, Coefficients]:
    """All eight coefficients from the integrals: the truth that everything else is held to.

    ``distribution``: a name (``"thermal"``, ``"powerlaw"``, ``"kappa"``, ``"powerlaw_pitch"``,
    ``"kappa_pitch"``), a ``synchrojax.distributions`` object, or your own f(gamma, mu) written in
    JAX (further arguments become entries of ``params``). ``params``: nu [Hz], B [G], n_e [cm^-3],
    theta [rad] and the distribution's own parameters; any shapes that broadcast. Returns
    ``Coefficients`` of that shape in CGS, float64.

    Relative error for thermal electrons: below 1e-7 (rho_Q: 1e-6) for theta_e from 0.03 to 100, 1
    <= s <= 1e8, s sin(theta) >= 5 (``tests/exact/test_exact.py``); for the others see
    ``tests/exact/test_distributions.py``. Concrete input runs on all cores; traced input (jit,
    grad, vmap) takes long to compile and runs one point after another. theta = 0 is taken as 1e-9.
    Emission and absorption are for s sin(theta) >= 1, the cyclotron line: below it few resonances
    are left, which the rules of the integrals miss more and more. ``error=True`` says so: below
    1e-3 at 1, up to a tenth at 0.3, above a half at 0.03 (``pytest -m slow tests/exact -k line``).
    Unphysical nu, B, n_e and NaN give NaN, B = 0 or n_e = 0 gives zeros. ValueError for wrong names
    or shapes, for concrete parameters that break a condition of the distribution and for a user's f
    that is negative, not finite or not normalisable (a warning where it does not integrate to 1);
    RuntimeError where float64 is switched off.

    ``error=True``: returns (coefficients, estimates of their relative errors), both
    ``Coefficients``: how far the values move when every panel of the integrals is cut in two, the
    larger of the moves by two such cuts. It takes three times as long and, for packaged
    distributions, compiles another program. For kinks and jumps that ``breaks`` leaves out it is
    about the true error (nine in ten are above half of it); a peak of f between the points that are
    scanned for the range that matters stays unseen. A user's f (``distributions.Function``,
    ``Distribution``) is judged so on up to four points of each call with concrete input (after the
    first, a call with few points only where that costs no time); if an estimate exceeds 1e-5, one
    warning per f names ``breaks`` and, if it finds them, their places.
    """
    one_mapping(params, named)
    distribution, params = _with_grid(distribution, params)
    names = (*COMMON, *distribution.parameters)
    values, _, shape = broadcast(params, names, distribution.defaults)
    if isinstance(distribution, Mixture):
        return _of_mixture(distribution, values, resolution, error)
    if isinstance(distribution, Tabulated):
        shape = distribution.shape_with(shape)
    _require_x64()
    resolution = resolution or resolution_of(distribution)
    with written_in_jax(distribution):
        return _coefficients(distribution, values, shape, resolution, error)


def _of_mixture(
    mixture: Mixture, values: Mapping[str, Any], resolution: Resolution | None, error: bool
) -> Coefficients | tuple[Coefficients, Coefficients]:
    """``coefficients`` of all parts, summed by their shares."""
    parts, errors = [], []
    for k, share in enumerate(mixture.shares()):
        params = {n: values[n] for n in COMMON} | mixture.own(k, values)
        found: Any = coefficients(mixture.parts[k], params, resolution=resolution, error=error)
        parts.append((found[0] if error else found) * share)
        if error:
            errors.append([jnp.abs(c) * e for c, e in zip(parts[-1], found[1], strict=True)])
    total = functools.reduce(operator.add, parts)
    if not error:
        return total
    sums = [functools.reduce(operator.add, each) for each in zip(*errors, strict=True)]
    return total, Coefficients(
        *(
            jnp.where(wrong == 0.0, 0.0, wrong / jnp.where(c == 0.0, 1e-300, jnp.abs(c)))
            for wrong, c in zip(sums, total, strict=True)
        )
    )


def _with_grid(distribution: Any, params: Any) -> tuple[Distribution, Any]:
    """The distribution, and ``params`` without what it is made of: gamma and N of "tabulated"."""
    found = get_distribution(distribution)
    if not isinstance(found, Spectra):
        return found, params
    given = as_mapping(params, (*COMMON, *found.parameters))
    missing = [n for n in found.parameters if n not in given]
    if missing:
        raise ValueError(
            f"params: missing {' and '.join(missing)}; the distribution takes "
            f"{describe((*COMMON, *found.parameters))}"
        )
    return Tabulated(*(given.pop(n) for n in found.parameters)), given


def _with_rows(
    distribution: Distribution, x: Float[Arrays, "points inputs"], shape: Shape
) -> tuple[Distribution, Float[Arrays, "points columns"]]:
    """What the integrals see of a grid: its nodes, and N there, as columns of every point."""
    if not isinstance(distribution, Tabulated):
        return distribution, x
    gamma, n = distribution.gamma, distribution.N
    xp = jnp if is_traced([x, gamma, n]) else np
    count = gamma.shape[0]
    rows = [xp.broadcast_to(v, (*shape, count)).reshape(-1, count) for v in (gamma, n)]
    return get_distribution("tabulated"), xp.concatenate([x, *rows], -1)


def _refuse_where(
    distribution: Distribution,
    values: Mapping[str, Numbers],
    shape: Shape,
    condition: str,
    broken: Float[Arrays, "*points"],
) -> NoReturn:
    """Raise ValueError for concrete parameters, with those of the first point ``broken``."""
    own = [k for k in distribution.parameters if re.search(rf"\b{k}\b", condition)]
    i = int(np.argmax(broken))
    given = ", ".join(
        f"{k} = {np.broadcast_to(values[k], shape).reshape(-1)[i]:g}"
        for k in own or distribution.parameters
    )
    where = f" at the point {list(map(int, np.unravel_index(i, shape)))}" if shape else ""
    names = (*COMMON, *distribution.parameters)
    raise ValueError(
        f"params: {condition} does not hold for {given}{where}; the distribution takes "
        f"{describe(names)}"
    )


def _prepared(distribution: Distribution, values: Mapping[str, Points]) -> tuple[Points, ...]:
    """What ``_coefficients`` needs of its input, as numbers of one dtype.

    s, theta and own parameters, harmless where there is nothing to compute; n_e nu and n_e / nu;
    the mode; 1 where the input is unphysical, where there is nothing, and where each condition of
    the distribution is broken.
    """
    nu, b, n_e, theta = (values[name] for name in COMMON)
    parameters = distribution.canonical(**{name: values[name] for name in distribution.parameters})
    violated = distribution.violated(**parameters)
    bad = unphysical(nu, b, n_e, theta, parameters.values(), violated)
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = jnp.where(empty, 1e3, nu / (GYRO * jnp.where(empty, 1.0, b)))
    inputs = [
        s,
        jnp.where(empty, 1.0, theta),
        *(jnp.where(bad, 1.0, v) for v in parameters.values()),
    ]
    nu = jnp.where(empty, 1.0, nu)
    mode = mode_of_point(distribution, dict(zip(parameters, inputs[2:], strict=True)), *inputs[:2])
    masks = (
        jnp.broadcast_to(m, nu.shape).astype(float) for m in (mode, bad, empty, *violated.values())
    )
    return *(jnp.broadcast_to(v, nu.shape) for v in inputs), n_e * nu, n_e / nu, *masks


def _coefficients(
    distribution: Distribution, values: Any, shape: Shape, resolution: Resolution, error: bool
) -> Coefficients | tuple[Coefficients, Coefficients]:
    """``coefficients`` for checked arguments."""
    found = pointwise(
        _prepared, distribution, values, np.dtype(float), shape, host=True, steps=STEPS[-1:]
    )
    count = 2 + len(distribution.parameters)
    inputs, (n_nu, n_per_nu, mode, bad, empty, *violated) = found[:count], found[count:]
    own = dict(zip(distribution.parameters, inputs[2:], strict=True))
    first = {k: v.ravel()[:1] for k, v in own.items()}
    grid = isinstance(distribution, Tabulated)
    parts: Any
    if isinstance(distribution, Tabulated):
        parts = distribution.gamma, distribution.N
    else:
        parts = distribution.breaks(**first)
    traced = is_traced([*found, *parts])
    conditions = distribution.violated(**first)
    for condition, broken in zip(conditions, violated, strict=True):
        if not is_traced([broken]) and np.any(broken):
            _refuse_where(distribution, values, shape, condition, broken)
    xp = jnp if traced else np
    bad, empty = bad > 0.0, empty > 0.0
    x: Any = xp.stack([v.ravel() for v in inputs], -1)
    distribution, x = _with_rows(distribution, x, shape)
    flat, errors = (
        _traced(distribution, x, resolution, error)
        if traced
        else (np.zeros((len(x), 8)) for _ in range(2))
    )
    live = np.zeros(0) if traced else np.flatnonzero(~empty.ravel())
    if len(live):
        if not grid:
            distribution.check(**dict(zip(distribution.parameters, x[live].T[2:], strict=True)))
        known = None if grid else mode.ravel()[live]
        flat[live], estimates = judge(distribution, x[live], resolution, error, known)
        errors[live] = estimates if error else 0.0
    scale, nothing = [n_nu] * 3 + [n_per_nu] * 5, xp.where(bad, np.nan, 0.0)

    def shaped(columns: Iterable[Any]) -> list[Any]:
        return [xp.where(empty, nothing, c.reshape(shape)) for c in columns]

    values = shaped(h * f.ravel() for h, f in zip(flat.T, scale, strict=True))
    found = [Coefficients(*values), *([Coefficients(*shaped(errors.T))] if error else [])]
    # not jnp.asarray, which is compiled for every shape
    found = found if traced else jax.device_put(found)
    return tuple(found) if error else found[0]


def _traced(
    distribution: Distribution,
    x: Float[Array, "points inputs"],
    resolution: Resolution,
    error: bool,
) -> tuple[Float[Array, "points 8"], Float[Arrays, "points 8"]]:
    """(values, estimated errors) [point, 8] inside someone else's program."""
    if not error:
        return evaluate_traced(distribution, x, resolution), jnp.zeros((len(x), 8))
    every = np.arange(len(x))
    rows = evaluate_traced(Ruled(distribution), with_rules(x, every), resolution)
    return rows[: len(x)], estimated_errors(rows, len(x), every)
