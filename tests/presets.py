"""Places where radio, X-ray and solar astronomers need coefficients, with exact values.

``python tests/presets.py`` writes ``presets.json``: for every place the eight exact coefficients in
float64.
"""

import json
import pathlib

import numpy as np

_FILE = pathlib.Path(__file__).with_name("presets.json")
_GRID = np.geomspace(1.0, 1e6, 48)

# name -> (model, params); CGS
PRESETS = {
    "radio lobe": (
        "powerlaw",
        {"nu": 1e9, "B": 1e-5, "n_e": 1e-6, "theta": 1.2, "p": 3.0, "gamma_max": 1e9},
    ),
    "radio lobe, cooled": (
        "tabulated",
        {"nu": 5e9, "B": 3e-6, "n_e": 1e-5, "theta": 0.7, "gamma": _GRID, "N": "cooled"},
    ),
    "interstellar": (
        "powerlaw",
        {"nu": 408e6, "B": 6e-6, "n_e": 1e-9, "theta": 1.0, "p": 2.6, "gamma_min": 10.0},
    ),
    "interstellar, along the field": (
        "powerlaw_pitch",
        {"nu": 1.4e9, "B": 5e-6, "n_e": 1e-9, "theta": 0.3, "p": 2.8, "gamma_min": 5.0, "k": 1.0},
    ),
    "supernova remnant, radio": (
        "powerlaw",
        {"nu": 1e9, "B": 1e-4, "n_e": 1e-4, "theta": 0.9, "p": 2.2, "gamma_max": 1e8},
    ),
    "supernova remnant, X-rays": (
        "powerlaw",
        {"nu": 2.4e17, "B": 1e-4, "n_e": 1e-4, "theta": 0.9, "p": 2.2, "gamma_max": 3e8},
    ),
    "X-ray knot": ("powerlaw", {"nu": 2.4e18, "B": 1e-5, "n_e": 1.0, "theta": 1.0, "p": 2.5}),
    "blazar, X-rays": (
        "powerlaw",
        {"nu": 2.4e17, "B": 0.3, "n_e": 10.0, "theta": 0.5, "p": 2.4, "gamma_min": 100.0},
    ),
    "jet, X-rays": (
        "kappa",
        {"nu": 2.4e17, "B": 1e-3, "n_e": 1e-3, "theta": 0.4, "kappa": 3.5, "w": 5.0},
    ),
    "jet, far infrared": (
        "powerlaw",
        {"nu": 1e12, "B": 1e-5, "n_e": 1.0, "theta": 1.0, "p": 3.0, "gamma_min": 100.0},
    ),
    "black hole": ("thermal", {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 10.0}),
    "black hole, cool": (
        "thermal",
        {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 1.0},
    ),
    "black hole, flare": (
        "kappa",
        {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 2.0, "kappa": 4.0, "w": 10.0},
    ),
    "black hole, anisotropic": (
        "kappa_pitch",
        {"nu": 345e9, "B": 10.0, "n_e": 1e5, "theta": 1.3, "kappa": 4.0, "w": 10.0, "k": 2.0},
    ),
    "solar flare, hot loop": (
        "thermal",
        {"nu": 17e9, "B": 400.0, "n_e": 1e9, "theta": 0.9, "theta_e": 0.12},
    ),
    "solar flare": (
        "kappa",
        {"nu": 9.4e9, "B": 600.0, "n_e": 1e7, "theta": 1.1, "kappa": 4.0, "w": 0.2},
    ),
    "solar flare, electrons on a grid": (
        "tabulated",
        {"nu": 34e9, "B": 500.0, "n_e": 1e6, "theta": 1.0, "gamma": _GRID, "N": "flare"},
    ),
    "radiation belt": (
        "powerlaw_pitch",
        {"nu": 1.4e9, "B": 0.5, "n_e": 1e-2, "theta": 1.5, "p": 3.0, "k": 3.0, "gamma_max": 1e4},
    ),
}

_SPECTRA = {
    "cooled": _GRID**-2.2 / (1.0 + _GRID / 1e4),
    "flare": np.where(_GRID < 1e2, (_GRID + 0.1) ** -3.5, (_GRID + 0.1) ** -5.0 * 10.0**3),
}


def params_of(name):
    """(model, params) of a place, its spectrum as numbers."""
    model, params = PRESETS[name]
    return model, {k: _SPECTRA[v] if isinstance(v, str) else v for k, v in params.items()}


def exact_values():
    """name -> the eight exact coefficients."""
    return {k: np.array(v) for k, v in json.loads(_FILE.read_text()).items()}


def main():
    import jax

    jax.config.update("jax_enable_x64", True)
    from synchrojax import exact

    found = {}
    for name in PRESETS:
        model, params = params_of(name)
        found[name] = [float(v) for v in exact.coefficients(model, params)]
    _FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
