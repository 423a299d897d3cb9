"""Sources: pure functions from labels to the Stokes spectrum that arrives.

Every source here is uniform, or a row of uniform slices, in closed form: coefficients of a model in
the frame of the source at nu (1 + z) / doppler, their light, and what distance, motion and a
Faraday screen before the source make of it.
"""

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    SPEED_OF_LIGHT,
    LogCoefficients,
    Masks,
    Numbers,
    Reals,
    Shape,
    as_mapping,
    broadcast_shapes,
    in_dtype,
    low_and_high,
    own_settings,
    pointwise,
    reals,
    require_names,
    unit_of,
)
from synchrojax.model import Model, load
from synchrojax.transfer import Stokes, cylinder, solve
from synchrojax.transfer import sphere as over_sphere

# of labels beside those of the model
UNITS = {
    **dict.fromkeys(("length", "radius", "distance", "base"), "cm"),
    **dict.fromkeys(("psi", "viewing"), "rad"),
    "solid_angle": "sr",
    "rotation_measure": "rad m^-2",
    "N": "cm^-3",
}
_SKY = {"psi": 0.0, "doppler": 1.0, "z": 0.0, "rotation_measure": 0.0}
_JANSKY = 1e-23  # erg s^-1 cm^-2 Hz^-1
_GRID = ("gamma", "N")  # of electrons on a grid, which has an axis of its own
_SLICES = 96  # of a jet: nodes of a Gauss rule in the logarithm of the distance from its apex


class Source:
    """A pure function of labels and frequencies that gives Stokes I, Q, U, V [Jy].

    ``function(params, nu)``: ``params`` {label: array} and ``nu`` [Hz], as observed, broadcast
    against each other; it returns four arrays, or ``Stokes``, and works under jit. ``labels``:
    their names in order; ``units``: as many units, or a mapping; "" for what is dimensionless.
    ``defaults``: {label: value} of those that may be left out, None where the function goes without
    them. ``ranges``: {label: (low, high)} that the function holds for, which fits do not leave.

    ``slab``, ``sphere`` and ``cone`` make sources of every model.
    """

    labels: Mapping[str, str]
    """name -> unit, in the order of the labels."""
    defaults: Mapping[str, float | None]
    ranges: Mapping[str, tuple[float, float]]

    def __init__(
        self,
        function: Callable,
        labels: Sequence[str],
        units: Any = None,
        defaults: Mapping[str, float | None] | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        if not callable(function):
            raise ValueError(f"Source: function must be callable, got {type(function).__name__}")
        names = [labels] if isinstance(labels, str) else list(labels)
        if not names or len(set(names)) != len(names) or "nu" in names:
            raise ValueError(f"Source: labels must be different names beside nu, got {names}")
        if isinstance(units, Mapping) or units is None:
            units = [(units or {}).get(n, unit_of(n)) for n in names]
        if isinstance(units, str) or len(units) != len(names):
            raise ValueError(f"Source: {len(names)} labels need as many units, got {units!r}")
        for what, given in (("defaults", defaults), ("ranges", ranges)):
            unknown = sorted(set(given or ()) - set(names))
            if unknown:
                raise ValueError(f"Source: {what} of unknown labels: {', '.join(unknown)}")
        self.function, self.labels = function, dict(zip(names, units, strict=True))
        self.defaults = dict(defaults or {})
        self.ranges = {
            n: low_and_high(ends, f"Source: range of {n}", self.labels[n])
            for n, ends in (ranges or {}).items()
        }

    def __repr__(self) -> str:
        return f"Source({self.described()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Hashable, ...]:
        parts = (self.labels, self.defaults, self.ranges)
        return self.function, *(tuple(part.items()) for part in parts)

    @property
    def turns(self) -> bool:
        """Whether ``psi`` is known to turn Q + iU by twice its value, and nothing else."""
        return isinstance(self.function, _Uniform)

    def described(self) -> str:
        """The labels with their units and defaults, in one line."""
        return ", ".join(
            f"{n}{f' [{unit}]' if unit else ''}"
            + (
                f" = {'any' if (d := self.defaults[n]) is None else f'{d:g}'}"
                if n in self.defaults
                else ""
            )
            for n, unit in self.labels.items()
        )

    @own_settings
    def stokes(self, params: Any, nu: Any) -> Stokes:
        """Flux densities [Jy] of I, Q, U, V at ``nu`` [Hz] as observed.

        ``params``: a mapping of labels to numbers, quantities with a unit, or arrays that broadcast
        against each other, [...]; ``nu`` [n_nu], or [..., n_nu]. The result is [..., n_nu] in the
        promoted float dtype. NaN where no source has such labels: what is not finite, nu <= 0,
        negative lengths, densities, distances. Raises ValueError for missing or unknown labels,
        units and shapes that do not fit.
        """
        alone = np.ndim(nu) == 0
        values, dtype, shape = self._read(params, nu)
        if isinstance(self.function, _Uniform) and not set(_GRID) & set(values):
            subject, inline = self.function, self.function.model.is_traced
            found = pointwise(_at_points, subject, values, dtype, shape, inline=inline)
        else:
            found = _compiled(self.function, dtype)(in_dtype(values, dtype))
        return Stokes(*(v[..., 0] if alone else v for v in found))

    def _read(self, params: Any, nu: Any) -> tuple[dict[str, Numbers], np.dtype, Shape]:
        """({label: array with an axis more, for nu}, dtype, the shape of all with that axis)."""
        given = as_mapping(params, tuple(self.labels))
        require_names(given, self.labels, self.defaults, "source", f"it takes {self.described()}")
        units = {**self.labels, "nu": "Hz"}
        every = {n: given.get(n, self.defaults.get(n)) for n in self.labels}
        values, dtype = reals(
            {n: v for n, v in every.items() if v is not None} | {"nu": nu},
            lambda n: f"source: {n}",
            units.__getitem__,
        )
        values["nu"] = values["nu"].reshape(np.shape(values["nu"]) or (1,))
        values = {n: v if n in ("nu", *_GRID) else v[..., None] for n, v in values.items()}
        if "N" in values:
            values["N"] = values["N"][..., None, :]
        shapes = _shapes(values)
        try:
            shape = broadcast_shapes(list(shapes.values()))
        except ValueError:
            told = ", ".join(f"{n} {s if n == 'nu' else s[:-1]}" for n, s in shapes.items())
            raise ValueError(
                f"source: labels [...] and nu [..., n_nu] do not broadcast: {told}"
            ) from None
        return values, dtype, shape


def _shapes(values: Mapping[str, Numbers]) -> dict[str, Shape]:
    """{name: shape} of what broadcasts: of N without its own axis, and not of gamma."""
    shapes = {n: v.shape for n, v in values.items() if n not in _GRID}
    return shapes | ({"N": values["N"].shape[:-1]} if "N" in values else {})


@functools.lru_cache(maxsize=256)
def _compiled(function: Callable, dtype: np.dtype) -> Callable:
    """A function of labels and nu that broadcast, compiled."""

    def program(values: Mapping[str, Numbers]) -> tuple[Any, ...]:
        arrays = {n: jnp.asarray(v, dtype) for n, v in values.items()}
        shape = broadcast_shapes(list(_shapes(arrays).values()))
        for n in set(arrays) - set(_GRID):  # of one rank
            arrays[n] = arrays[n].reshape((1,) * (len(shape) - arrays[n].ndim) + arrays[n].shape)
        nu = arrays.pop("nu")
        found = function(arrays, nu)
        if len(found) != 4:
            raise ValueError(f"Source: function must return I, Q, U and V, got {len(found)} values")
        return tuple(jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in found)

    return jax.jit(program)


def _at_points(function: "_Uniform", values: Mapping[str, Any]) -> tuple[Any, ...]:
    nu = values["nu"]
    return function({n: v for n, v in values.items() if n != "nu"}, nu)


# Sources of a model -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Uniform:
    """The light of one kind of source with the electrons of a model, [Jy]."""

    light: Callable
    model: Model

    def __call__(self, params: Mapping[str, Any], nu: Reals) -> tuple[Any, ...]:
        shift = (1.0 + params["z"]) / params["doppler"]
        turn = params["rotation_measure"] * (SPEED_OF_LIGHT / 100.0 / nu) ** 2
        light, per_area = self.light(self.model, params, nu * shift, params["psi"] + turn)
        factor = per_area / _JANSKY / (shift * shift * shift)
        bad = ~jnp.isfinite(nu) | (nu <= 0.0) | _impossible(params)
        return tuple(jnp.where(bad, jnp.nan, factor * v) for v in light)


def _impossible(params: Mapping[str, Reals]) -> Masks:
    """Where no source has such labels; the electrons are left to their model."""
    bad = jnp.asarray((params["doppler"] <= 0.0) | (params["z"] <= -1.0))
    for name, value in params.items():
        if name in _GRID:
            continue
        bad = bad | ~jnp.isfinite(value)
        if name in ("length", "solid_angle", "radius"):
            bad = bad | (value < 0.0)
        if name in ("distance", "base"):
            bad = bad | (value <= 0.0)
    return bad


def _logarithms(model: Model, params: Mapping[str, Any], nu: Any) -> LogCoefficients:
    return model.log_coefficients({"nu": nu} | {n: params[n] for n in model.inputs if n in params})


def _slab_light(model: Model, params: Mapping[str, Any], nu: Any, psi: Any) -> tuple[Stokes, Any]:
    c = jax.tree.map(lambda v: v[..., None], _logarithms(model, params, nu))
    light = solve(c, params["length"][..., None], psi=psi[..., None])
    return light, params["solid_angle"]


def _sphere_light(model: Model, params: Mapping[str, Any], nu: Any, psi: Any) -> tuple[Stokes, Any]:
    c = _logarithms(model, params, nu)
    # the distance by its angle is less than that by its light
    angle = params["radius"] / params["distance"] * (1.0 + params["z"]) ** 2
    return over_sphere(c, 2.0 * params["radius"], psi=psi), np.pi * angle * angle


def _cone_light(model: Model, params: Mapping[str, Any], nu: Any, psi: Any) -> tuple[Stokes, Any]:
    sliced = {n: v[..., None] for n, v in params.items()}
    whole = jnp.log(sliced["extent"])
    nodes, weights = (
        jnp.asarray(v, whole.dtype).reshape((1,) * (whole.ndim - 1) + (_SLICES,))
        for v in np.polynomial.legendre.leggauss(_SLICES)
    )
    log_x = 0.5 * whole * (nodes + 1.0)
    away = {n: jnp.exp(log_x * sliced[f"slope_{n}"]) for n in ("B", "n_e", "radius")}
    radius = sliced["radius"] * away["radius"]
    sliced |= {n: sliced[n] / away[n] for n in ("B", "n_e")}
    c = _logarithms(model, sliced, nu[..., None])
    sine = jnp.abs(jnp.sin(sliced["viewing"]))
    # aberration turns the line of sight in the frame of the jet
    chord = 2.0 * radius / (sine * sliced["doppler"])
    light = cylinder(c, chord, psi=psi[..., None])
    # along the jet, and across it
    angle = sliced["base"] * jnp.exp(log_x) * sine / sliced["distance"]
    angle = angle * (radius / sliced["distance"]) * (1.0 + sliced["z"]) ** 4
    share = angle * whole * weights
    return Stokes(*(jnp.sum(share * v, axis=-1) for v in light)), 1.0


def _source(
    light: Callable, model: Any, own: Sequence[str], defaults: Mapping[str, float]
) -> Source:
    model = model if isinstance(model, Model) else load(model)
    electrons = [n for n in model.inputs if n != "nu"]
    names = [*electrons, *own, *_SKY]
    units = [UNITS.get(n, unit_of(n)) for n in names]
    usual: dict = {**model.defaults, **defaults, **_SKY}
    usual |= {"n_e": None} if "N" in names else {}
    return Source(_Uniform(light, model), names, units, {n: usual[n] for n in names if n in usual})


def slab(model: Any) -> Source:
    """A uniform slab that covers a solid angle.

    ``model``: a name, a path, or what ``synchrojax.load`` gave. Labels: those of the model but nu,
    ``length`` [cm] along the line of sight, ``solid_angle`` [sr] as observed, and, with defaults,
    ``psi`` [rad] (0), the angle of the projection of B from the axis of Q > 0 counter-clockwise,
    ``doppler`` (1), ``z`` (0) and ``rotation_measure`` [rad m^-2] (0) of a Faraday screen before
    the source, chi = chi_0 + RM lambda^2 of the wavelength observed. The flux density is that of
    the light of one cell (``transfer.solve``) at nu (1 + z) / doppler, times solid_angle doppler^3
    / (1 + z)^3.
    """
    return _source(_slab_light, model, ("length", "solid_angle"), {})


def sphere(model: Any) -> Source:
    """A uniform sphere in a uniform field, integrated over its face in closed form.

    As ``slab``, with ``radius`` [cm] in the frame of the sphere and the luminosity ``distance``
    [cm] in place of length and solid angle: pi radius^2 (1 + z)^4 / distance^2.
    """
    return _source(_sphere_light, model, ("radius", "distance"), {})


def cone(model: Any) -> Source:
    """A conical jet whose field, density and radius are powers of the distance from its apex.

    After Blandford and Koenigl (1979, ApJ 232, 34): slices across the jet, each as a uniform
    cylinder, from the distance ``base`` [cm] from the apex to ``extent`` (1000) times that, where
    B and n_e fall with that distance to the powers ``slope_B`` (1) and ``slope_n_e`` (2) and the
    radius grows with it to the power ``slope_radius`` (1); B, n_e and ``radius`` [cm] are those at
    the base. ``viewing`` [rad]: between the axis and the line of sight as observed; theta, between
    line of sight and field in the frame of the jet, and psi are the same everywhere. Other labels
    as in ``sphere``. Summed by a Gauss rule of 96 nodes in the logarithm of the distance, to
    1e-3 of I where Faraday rotation differs by turns between slices, and better elsewhere
    (``tests/spectra/test_sources.py``).
    """
    own = (
        "base",
        "radius",
        "viewing",
        "distance",
        "extent",
        "slope_B",
        "slope_n_e",
        "slope_radius",
    )
    defaults = {"extent": 1e3, "slope_B": 1.0, "slope_n_e": 2.0, "slope_radius": 1.0}
    return _source(_cone_light, model, own, defaults)
