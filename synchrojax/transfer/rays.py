"""A ray from a table of exact coefficients, solved with those and with those of models."""

import functools
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import (
    COMMON,
    GYRO,
    Arrays,
    Coefficients,
    SkyCoefficients,
    number,
    rotate,
)
from synchrojax.transfer._ray_files import Ray, read_ray
from synchrojax.transfer._solve import Depths, Stokes, depths, lengths, solve

__all__ = [
    "Comparison",
    "Ray",
    "compare",
    "packaged",
    "read_ray",
    "report_lines",
    "solve_samples",
]


class Comparison(NamedTuple):
    """What ``compare`` finds; Stokes parameters in erg s^-1 cm^-2 Hz^-1 sr^-1."""

    nu: float
    exact: Stokes
    model: Stokes
    depths: Depths
    samples: int
    # entry of a model's domain, or "dtype" (see ``Model.flags``), with the number of the population
    # where there are several -> samples
    outside: dict
    exact_ms: float
    model_ms: float  # a compiled call: coefficients of all samples

    @property
    def difference(self) -> Float[np.ndarray, "4"]:
        """|model - exact| of each Stokes parameter relative to the exact I."""
        return np.abs(np.array(self.model) - np.array(self.exact)) / abs(float(self.exact.I))


def packaged() -> dict[str, pathlib.Path]:
    """{name: path} of the rays that come with the package."""
    here = pathlib.Path(__file__).parent
    # in a wheel they lie beside this file, in the repository in data/
    found = next(
        (p for p in (here / "packaged_rays", here.parents[1] / "data" / "rays") if p.is_dir()), None
    )
    return (
        {p.name.removesuffix(".txt.gz"): p for p in sorted(found.glob("*.txt.gz"))} if found else {}
    )


def _between(values: SkyCoefficients) -> SkyCoefficients:
    return jax.tree.map(lambda v: 0.5 * (v[..., 1:] + v[..., :-1]), values)


def solve_samples(
    c: Coefficients,
    d: Float[Arrays, " samples"],
    psi: Float[Arrays, " samples"],
    g: Float[Arrays, " samples"],
) -> tuple[Stokes, Depths]:
    """(Stokes, Depths) of coefficients in the frame of the fluid at samples.

    A cell has the mean of its two ends.
    """
    # Lorentz invariants, so that g may change from sample to sample
    sky = rotate(c, psi)
    names = SkyCoefficients._fields
    sky = SkyCoefficients(
        *(v * (g * g if n[0] == "j" else 1.0 / g) for n, v in zip(names, sky, strict=True))
    )
    cells, ds = _between(sky), lengths(d)
    return solve(cells, ds), depths(cells, ds)


def compare(model: Any, ray: Ray, *, nu: Any = None) -> Comparison:
    """``Comparison`` of a ray solved with its exact coefficients and with those of ``model``.

    Needs float64. ``model``: one, or a list with one for each population of electrons, whose
    coefficients are added. ``nu`` [Hz]: observed frequency (default: that in the table); fields
    and densities scale so that s stays. Raises ValueError where the models take other inputs than
    the ray has, and for unphysical samples.
    """
    nu = ray.nu if nu is None else nu
    if nu is None:
        raise ValueError("the ray names no frequency: give one, or a column nu(meta)")
    nu = number(nu, "nu", "Hz")
    if not (np.isfinite(nu) and nu > 0.0):
        raise ValueError(f"the frequency must be positive [Hz], got {nu}")
    models = model if isinstance(model, list | tuple) else [model]
    _require_fit(models, ray)
    fluid = nu / ray.g
    scale = [ray.n_e * fluid] * 3 + [ray.n_e / fluid] * 5
    truth = Coefficients(*(v * f for v, f in zip(ray.coefficients, scale, strict=True)))
    exact, found_depths = solve_samples(truth, ray.d, ray.psi, ray.g)
    shared = {"nu": fluid, "B": fluid / (GYRO * ray.inputs["s"]), "theta": ray.inputs["theta"]}
    params = [{k: jnp.asarray(v) for k, v in (shared | own).items()} for own in ray.electrons]
    outside = _outside(models, params)
    found, model_ms = _timed(models, params)
    approximate, _ = solve_samples(found, ray.d, ray.psi, ray.g)
    return Comparison(
        nu,
        exact,
        approximate,
        found_depths,
        len(ray.d),
        outside,
        float(np.sum(ray.time_ms)),
        model_ms,
    )


def _ending(number: int, populations: Sequence[Any]) -> str:
    """What the names of one of several populations end in."""
    return f"_{number}" if len(populations) > 1 else ""


def _require_fit(models: Sequence[Any], ray: Ray) -> None:
    """Raise ValueError where the models take other inputs than the ray has."""
    if len(models) != len(ray.electrons):
        raise ValueError(
            "one model for each population of electrons: populations in the ray: "
            f"{len(ray.electrons)}, models: {len(models)}"
        )
    for k, (model, known) in enumerate(zip(models, ray.electrons, strict=True), 1):
        own, given = set(model.inputs) - set(COMMON), set(known) - set(COMMON)
        missing, unknown = (
            ", ".join(f"{n}{_ending(k, models)}" for n in sorted(names))
            for names in (own - given - set(model.defaults), given - own)
        )
        if missing or unknown:
            parts = [f"the ray has no {missing}"] * bool(missing)
            parts += [f"the model does not take {unknown}"] * bool(unknown)
            raise ValueError(f"model {model.distribution!r}: {'; '.join(parts)}")


@functools.partial(jax.jit, static_argnums=0)
def _total(models: tuple[Any, ...], params: Sequence[Mapping[str, Any]]) -> Coefficients:
    """A mixture of electrons is a sum."""
    return sum(model.coefficients(own) for model, own in zip(models, params, strict=True))


def _timed(
    models: Sequence[Any], params: Sequence[Mapping[str, Any]]
) -> tuple[Coefficients, float]:
    """(the coefficients of all populations together, milliseconds of a compiled call)."""
    call = functools.partial(_total, tuple(models))
    jax.block_until_ready(call(params))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        found = jax.block_until_ready(call(params))
        seconds.append(time.perf_counter() - start)
    return found, 1e3 * min(seconds)


def _outside(models: Sequence[Any], params: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """{entry: how many samples set its flag}, of those entries that any sample does.

    Raises ValueError for unphysical samples.
    """
    found = {}
    for k, (model, own) in enumerate(zip(models, params, strict=True), 1):
        flags, ending = np.asarray(model.flags(own)), _ending(k, models)
        entries = [*model.domain, "dtype"]  # the bits from below; the next is unphysical input
        unphysical = np.flatnonzero(flags >> len(entries) & 1)
        if len(unphysical):
            i = int(unphysical[0])
            names = [n for n in own if n not in ("nu", "B", "theta", "gamma", "N")]
            values = ", ".join(f"{n}{ending} = {own[n][i]:g}" for n in names)
            raise ValueError(f"sample {i + 1} of {len(flags)} is unphysical: {values}")
        for i, entry in enumerate(entries):
            found[entry + ending] = int(np.count_nonzero(flags >> i & 1))
    return {entry: count for entry, count in found.items() if count}


def report_lines(found: Comparison) -> Iterator[str]:
    """Lines for people."""
    yield f"{found.nu:.6g} Hz, {found.samples} samples"
    absorption, rotation, conversion = (float(v) for v in found.depths)
    faraday = f"Faraday rotation {rotation:.3g}, conversion {conversion:.3g}"
    yield f"depths: absorption {absorption:.3g}, {faraday}"
    titles = f"{'':<4}{'exact':>18}{'model':>18}{'relative':>12}{'of I':>12}"
    yield f"{titles}   erg s^-1 cm^-2 Hz^-1 sr^-1"
    for name, exact, model, of_i in zip(
        "IQUV", found.exact, found.model, found.difference, strict=True
    ):
        relative = abs(float(model - exact) / float(exact)) if exact != 0.0 else float("nan")
        yield f"{name:<4}{float(exact):>18.9e}{float(model):>18.9e}{relative:>12.1e}{of_i:>12.1e}"
    counts = "; ".join(
        f"{count} of {found.samples} samples outside: {name}"
        for name, count in found.outside.items()
    )
    yield counts or "all samples in the box of the model"
    times = (
        f"exact {found.exact_ms:.4g} ms (recorded in the table), model {found.model_ms:.3g} "
        "ms (compiled)"
    )
    yield f"coefficients: {times}: {found.exact_ms / found.model_ms:.3g} times as fast"
