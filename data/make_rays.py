"""The rays of ``synchrojax test-ray``: smooth, made-up profiles with their exact coefficients.

``python data/make_rays.py``. Each looks like a place where such electrons are met; all have a field
that twists on the sky and passes through the plane of the sky, and most are neither thin nor
Faraday-thin.
"""

import pathlib
import time

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from synchrojax import exact
from synchrojax.core import GYRO
from synchrojax.tables import table_files

HERE = pathlib.Path(__file__).parent / "rays"
SAMPLES = 240


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


def main():
    HERE.mkdir(exist_ok=True)
    x = np.linspace(0.0, 1.0, SAMPLES)
    for profile in (thermal, powerlaw, kappa, powerlaw_pitch, kappa_pitch):
        name, p = profile.__name__, profile(x)
        own = {
            n: v for n, v in p.items() if n not in ("nu", "length", "B", "n_e", "theta", "psi", "g")
        }
        s = p["nu"] / p["g"] / (GYRO * p["B"])
        exact.at_unit_frequency(name, s, p["theta"], **own)  # compiled here, timed below
        start = time.perf_counter()
        values = exact.at_unit_frequency(name, s, p["theta"], **own)
        elapsed = 1e3 * (time.perf_counter() - start) / SAMPLES
        columns = {"s(log)": s, "theta(lin)": p["theta"]}
        columns |= {
            f"{n}({'lin' if n in ('p', 'kappa', 'k') else 'log'})": v for n, v in own.items()
        }
        columns |= {f"{n}(res)": v for n, v in zip(table_files.RESULTS, values.T, strict=True)}
        columns |= {"d(meta)": p["length"] * x, **{f"{n}(meta)": p[n] for n in ("psi", "n_e", "g")}}
        columns |= {
            "nu(meta)": np.full(SAMPLES, p["nu"]),
            "time_ms(meta)": np.full(SAMPLES, float(f"{elapsed:.3g}")),
        }
        table_files.write_part(HERE / f"{name}.txt.gz", columns)
        print(f"{HERE / name}.txt.gz: {SAMPLES} samples, {elapsed:.3g} ms each")


if __name__ == "__main__":
    main()
