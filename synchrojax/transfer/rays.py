"""A ray from a table of exact coefficients, solved with those and with a model's."""

import pathlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import (
    GYRO,
    Arrays,
    Coefficients,
    PathLike,
    SkyCoefficients,
    number,
    rotate,
)
from synchrojax.tables import table_files
from synchrojax.tables.network_space import RHO_Q_SIGN
from synchrojax.transfer._solve import Depths, Stokes, depths, lengths, solve

RESULTS = table_files.RESULTS
_NEEDED = ("d", "psi", "n_e", "time_ms")


class Ray(NamedTuple):
    """Samples along a ray, the farthest first; all arrays of one length."""

    inputs: dict  # s = nu / nu_c, theta [rad] and the parameters of the distribution
    coefficients: Coefficients  # at nu = 1 Hz and n_e = 1 cm^-3, our signs
    d: np.ndarray  # [cm], growing towards the observer
    psi: np.ndarray  # [rad], as ``rotate`` takes it
    n_e: np.ndarray  # [cm^-3]
    time_ms: np.ndarray  # what each sample took
    g: np.ndarray  # nu_observed / nu_fluid
    nu: float | None  # [Hz], the observed frequency that the table names


class Comparison(NamedTuple):
    """What ``compare`` finds; Stokes parameters in erg s^-1 cm^-2 Hz^-1 sr^-1."""

    nu: float
    exact: Stokes
    model: Stokes
    depths: Depths
    samples: int
    outside: dict  # entry of the model's domain, or "unphysical" -> samples
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


def read_ray(path: PathLike, *, convention: str = "synchrojax") -> Ray:
    """``Ray`` from a file.

    It has the inputs, the eight as ``(res)`` and d, psi, n_e, time_ms (and g, nu, if any) as
    ``(meta)``. ``convention``: sign of rho_Q in the table. Raises TableError.
    """
    path = pathlib.Path(path)
    if path.is_dir() and len(table_files.parts(path)) > 1:
        raise table_files.TableError(
            f"{path}: a ray is one file, here are {len(table_files.parts(path))}"
        )
    path = table_files.parts(path)[0]
    kinds = table_files.header_of(path)
    inputs = [n for n, kind in kinds.items() if kind in ("log", "lin")]
    names = [*inputs, *RESULTS, *_NEEDED, *(n for n in ("g", "nu") if n in kinds)]
    absent = [n for n in ("s", "theta", *RESULTS, *_NEEDED) if n not in kinds]
    if absent:
        hints = {
            "d": "d(meta): position along the ray [cm]",
            "psi": "psi(meta): angle of B on the sky [rad]",
            "n_e": "n_e(meta): electron density [cm^-3]",
            "time_ms": "time_ms(meta): time that the coefficients took",
        }
        raise table_files.TableError(
            f"{path}: missing columns {', '.join(hints.get(n, n) for n in absent)}"
        )
    columns = table_files.read_named(path, names)
    if len(columns["s"]) < 2:
        raise table_files.TableError(
            f"{path}: a ray needs two samples or more, got {len(columns['s'])}"
        )

    def refuse(name: str, broken: Bool[np.ndarray, " samples"], what: str) -> None:
        if np.any(broken):
            first = int(np.flatnonzero(broken)[0])
            raise table_files.TableError(
                f"{path}, line {first + 2}, column {name}: {columns[name][first]:g} {what}"
            )

    for name, values in columns.items():
        refuse(name, ~np.isfinite(values), "is not finite")
    refuse("d", np.diff(columns["d"], prepend=-np.inf) < 0.0, "is less than in the line before")
    refuse("s", columns["s"] <= 0.0, "is not positive")
    refuse("n_e", columns["n_e"] < 0.0, "is negative")
    g = columns.get("g", np.ones_like(columns["d"]))
    refuse("g", g <= 0.0, "is not positive")
    nu = columns.get("nu")
    if nu is not None:
        refuse("nu", nu <= 0.0, "is not positive")
        refuse("nu", nu != nu[0], "differs from the first line")
    columns["rho_Q"] *= RHO_Q_SIGN[convention]
    coefficients = Coefficients(*(columns[n] for n in RESULTS))
    known = {n: columns[n] for n in inputs}
    d, psi, n_e, time_ms = (columns[n] for n in _NEEDED)
    observed = None if nu is None else float(nu[0])
    return Ray(known, coefficients, d, psi, n_e, time_ms, g, observed)


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

    Needs float64. ``nu`` [Hz]: observed frequency (default: that in the table); fields and
    densities scale so that s stays. Raises ValueError where the model takes other inputs than the
    ray has.
    """
    nu = ray.nu if nu is None else nu
    if nu is None:
        raise ValueError("the ray names no frequency: give one, or a column nu(meta)")
    nu = number(nu, "nu", "Hz")
    if not (np.isfinite(nu) and nu > 0.0):
        raise ValueError(f"the frequency must be positive [Hz], got {nu}")
    own, given = set(model.inputs) - {"nu", "B", "n_e", "theta"}, set(ray.inputs) - {"s", "theta"}
    missing = own - given - set(model.defaults)
    if missing or given - own:
        parts = [f"the ray has no {', '.join(sorted(missing))}"] * bool(missing)
        parts += [f"the model does not take {', '.join(sorted(given - own))}"] * bool(given - own)
        raise ValueError(f"model {model.distribution!r}: {'; '.join(parts)}")
    fluid = nu / ray.g
    scale = [ray.n_e * fluid] * 3 + [ray.n_e / fluid] * 5
    truth = Coefficients(*(v * f for v, f in zip(ray.coefficients, scale, strict=True)))
    exact, found_depths = solve_samples(truth, ray.d, ray.psi, ray.g)
    params = {"nu": fluid, "B": fluid / (GYRO * ray.inputs["s"]), "n_e": ray.n_e}
    params = {
        k: jnp.asarray(v)
        for k, v in (params | {k: v for k, v in ray.inputs.items() if k != "s"}).items()
    }
    call = jax.jit(model.coefficients)
    jax.block_until_ready(call(params))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        found = jax.block_until_ready(call(params))
        seconds.append(time.perf_counter() - start)
    approximate, _ = solve_samples(found, ray.d, ray.psi, ray.g)
    flags = np.asarray(model.flags(params))
    entries = [*model.domain, "unphysical"]
    outside = {n: int(np.count_nonzero(flags >> i & 1)) for i, n in enumerate(entries)}
    return Comparison(
        nu,
        exact,
        approximate,
        found_depths,
        len(ray.d),
        {n: count for n, count in outside.items() if count},
        float(np.sum(ray.time_ms)),
        1e3 * min(seconds),
    )


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
