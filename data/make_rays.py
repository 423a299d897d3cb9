"""The rays of ``synchrojax test-ray``: smooth, made-up profiles with their exact coefficients.

``python data/make_rays.py [NAME ...]``, without names all of them. Each looks like a place where
such electrons are met; all have a field that twists on the sky and passes through the plane of the
sky, and most are neither thin nor Faraday-thin. ``transfer.rays.read_ray`` says what the columns of
mixtures and of electrons on a grid are.
"""

import pathlib
import sys
import time

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from synchrojax import exact
from synchrojax.core import GYRO
from synchrojax.distributions import Mixture
from synchrojax.tables import table_files

HERE = pathlib.Path(__file__).parent / "rays"
SAMPLES, FEW = 240, 48  # few: of mixtures and of electrons on a grid
PLACE = ("nu", "length", "B", "theta", "psi", "g")  # the rest of a profile is of the electrons


def bump(x, middle, width):
    return np.exp(-0.5 * ((x - middle) / width) ** 2)


def thermal(x):
    """Hot accretion flow near a black hole of 4e6 suns at 230 GHz, in orbit: shifted both ways."""
    return {
        "nu": 230e9,
        "length": 8e12,
        "B": 8.0 + 25.0 * bump(x, 0.5, 0.25),
        "n_e": 3e6 * (1.0 + 3.0 * x),
        "theta": 1.1 + 0.7 * np.cos(4.0 * x),
        "psi": 0.3 + 2.2 * x,
        "g": 0.85 + 0.4 * np.sin(3.0 * x - 1.2),
        "theta_e": 0.6 + 22.0 * bump(x, 0.45, 0.15),
    }


def powerlaw(x):
    """Knot of a jet at 15 GHz, approaching."""
    return {
        "nu": 15e9,
        "length": 3e17,
        "B": 0.05 + 0.25 * bump(x, 0.4, 0.2),
        "n_e": 3.0 + 60.0 * bump(x, 0.45, 0.15),
        "theta": 1.2 + 0.7 * np.sin(5.0 * x),
        "psi": -0.5 + 1.6 * np.sin(2.5 * x),
        "g": 3.0 + 1.5 * x,
        "p": 2.1 + 0.9 * x,
        "gamma_min": 5.0 + 60.0 * bump(x, 0.7, 0.2),
        "gamma_max": 1e4 * (1.0 + 20.0 * bump(x, 0.3, 0.2)),
    }


def kappa(x):
    """Flare in a hot corona at 86 GHz."""
    return {
        "nu": 86e9,
        "length": 2e12,
        "B": 4.0 + 20.0 * bump(x, 0.5, 0.25),
        "n_e": 1e5 + 3e6 * bump(x, 0.5, 0.2),
        "theta": 0.9 + 0.9 * x,
        "psi": 1.0 - 1.5 * x,
        "g": np.ones_like(x),
        "kappa": 3.5 + 2.0 * x,
        "w": 3.0 + 9.0 * bump(x, 0.45, 0.2),
    }


def powerlaw_pitch(x):
    """Radiation belt of an ultracool dwarf at 8.4 GHz: electrons trapped around right angles."""
    return {
        "nu": 8.4e9,
        "length": 2e10,
        "B": 15.0 + 60.0 * bump(x, 0.5, 0.2),
        "n_e": 3e2 + 4e4 * bump(x, 0.5, 0.18),
        "theta": 1.3 + 0.6 * np.cos(3.0 * x),
        "psi": 0.4 * np.sin(6.0 * x),
        "g": np.ones_like(x),
        "p": 2.6 + 0.8 * bump(x, 0.6, 0.3),
        "gamma_min": 1.5 + 3.0 * x,
        "gamma_max": 300.0 + 700.0 * x,
        "k": 3.5 * bump(x, 0.5, 0.25),
    }


def kappa_pitch(x):
    """Loop of a stellar flare at 35 GHz with a loss cone."""
    return {
        "nu": 35e9,
        "length": 3e9,
        "B": 60.0 + 240.0 * bump(x, 0.2, 0.3),
        "n_e": 1e4 + 3e6 * bump(x, 0.5, 0.2),
        "theta": 0.7 + 1.3 * x,
        "psi": 0.8 * x,
        "g": np.ones_like(x),
        "kappa": 4.0 + 1.5 * np.sin(3.0 * x),
        "w": 0.5 + 2.5 * bump(x, 0.5, 0.2),
        "k": 2.0 * bump(x, 0.3, 0.3),
    }


def thermal_and_powerlaw(x):
    """Flare in a hot accretion flow at 230 GHz: a shock puts up to a tenth into a tail."""
    tail, n_e = 0.002 + 0.1 * bump(x, 0.55, 0.15), 2e6 * (1.0 + 3.0 * x)
    return {
        "nu": 230e9,
        "length": 8e12,
        "B": 8.0 + 20.0 * bump(x, 0.5, 0.25),
        "theta": 1.1 + 0.7 * np.cos(4.0 * x),
        "psi": 0.3 + 2.2 * x,
        "g": 0.85 + 0.4 * np.sin(3.0 * x - 1.2),
        "thermal": {"n_e": (1.0 - tail) * n_e, "theta_e": 2.0 + 12.0 * bump(x, 0.45, 0.2)},
        "powerlaw": {
            "n_e": tail * n_e,
            "p": 2.5 + 0.8 * x,
            "gamma_min": 20.0 + 30.0 * bump(x, 0.5, 0.2),
            "gamma_max": 1e3 * (1.0 + 30.0 * bump(x, 0.55, 0.15)),
        },
    }


def tabulated(x):
    """Jet at 15 GHz behind a shock: electrons cool on their way from the far end, on 32 nodes."""
    gamma = np.geomspace(3.0, 1e5, 32)
    highest = 1.0 / (1.0 / 3e4 + x / 3e2)
    return {
        "nu": 15e9,
        "length": 3e17,
        "B": 0.05 + 0.25 * bump(x, 0.4, 0.2),
        "n_e": 10.0 + 190.0 * bump(x, 0.45, 0.15),
        "theta": 1.2 + 0.7 * np.sin(5.0 * x),
        "psi": -0.5 + 1.6 * np.sin(2.5 * x),
        "g": 3.0 + 1.5 * x,
        "gamma": gamma,
        "N": gamma**-2.2 * np.exp(-gamma / highest[:, None]),
    }


RAYS = {
    "thermal": (thermal, SAMPLES),
    "powerlaw": (powerlaw, SAMPLES),
    "kappa": (kappa, SAMPLES),
    "powerlaw_pitch": (powerlaw_pitch, SAMPLES),
    "kappa_pitch": (kappa_pitch, SAMPLES),
    "thermal+powerlaw": (thermal_and_powerlaw, FEW),
    "tabulated": (tabulated, FEW),
}


def exact_values(names, s, theta, electrons):
    """The eight at nu = 1 Hz and n_e = 1 cm^-3 of all electrons, [sample, 8]."""
    own = [{n: v for n, v in part.items() if n != "n_e"} for part in electrons]
    if len(names) == 1:
        return exact.at_unit_frequency(names[0], s, theta, **own[0])
    rows = []
    for i in range(len(s)):  # each has its own shares
        here = slice(i, i + 1)
        shares = [part["n_e"][i] for part in electrons]
        mixture = Mixture(list(zip(names, shares, strict=True)))
        given = {
            mixture.names[k][n]: v[here] for k, part in enumerate(own) for n, v in part.items()
        }
        rows.append(exact.at_unit_frequency(mixture, s[here], theta[here], **given))
    return np.concatenate(rows)


def on_nodes(part):
    """``part`` with a column for each node of ``gamma`` and ``N``, if it has them."""
    if "N" not in part:
        return part
    grid = {"gamma": np.broadcast_to(part["gamma"], part["N"].shape), "N": part["N"]}
    nodes = {f"{n}_{i}": v for n, each in grid.items() for i, v in enumerate(each.T, 1)}
    return {n: v for n, v in part.items() if n not in grid} | nodes


def columns_of(electrons):
    """{"name(kind)": column}: of the parameters, and of the densities."""
    inputs, densities = {}, {}
    for k, part in enumerate(electrons, 1):
        ending = f"_{k}" if len(electrons) > 1 else ""
        for n, v in on_nodes(part).items():
            if n == "n_e":
                densities[f"n_e{ending}(meta)"] = v
            else:
                kind = "lin" if n in ("p", "kappa", "k") else "log"
                inputs[f"{n}{ending}({kind})"] = v
    return inputs, densities


def make(name):
    profile, samples = RAYS[name]
    x = np.linspace(0.0, 1.0, samples)
    p, names = profile(x), name.split("+")
    one = {n: v for n, v in p.items() if n not in PLACE}
    electrons = [p[n] for n in names] if len(names) > 1 else [one]
    s = p["nu"] / p["g"] / (GYRO * p["B"])
    exact_values(names, s, p["theta"], electrons)  # compiled here, timed below
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        values = exact_values(names, s, p["theta"], electrons)
        seconds.append(time.perf_counter() - start)
    elapsed = 1e3 * min(seconds) / samples
    inputs, densities = columns_of(electrons)
    columns = {"s(log)": s, "theta(lin)": p["theta"], **inputs}
    columns |= {f"{n}(res)": v for n, v in zip(table_files.RESULTS, values.T, strict=True)}
    columns |= {"d(meta)": p["length"] * x, "psi(meta)": p["psi"], **densities, "g(meta)": p["g"]}
    columns |= {
        "nu(meta)": np.full(samples, p["nu"]),
        "time_ms(meta)": np.full(samples, float(f"{elapsed:.3g}")),
    }
    table_files.write_part(HERE / f"{name}.txt.gz", columns)
    print(f"{HERE / name}.txt.gz: {samples} samples, {elapsed:.3g} ms each")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:] or RAYS:
        make(name)
