"""Spectra of slabs of thermal electrons with noise, and how far fits of them are off."""

import numpy as np

from synchrojax import spectra

BOUNDS = {
    "B": (1.0, 1e3),
    "n_e": (1e4, 1e8),
    "theta": (0.15, np.pi - 0.15),
    "theta_e": (1.0, 100.0),
    "psi": (0.0, np.pi),
}
FIXED = {"length": 1e13, "solid_angle": 1e-18}
# as near a black hole; and down to cool, dense gas, whose Faraday rotation is by many turns
HOT = {"B": (3.0, 100.0), "n_e": (1e5, 3e6), "theta_e": (5.0, 50.0)}
COOL = {"B": (3.0, 300.0), "n_e": (1e5, 1e7), "theta_e": (2.0, 50.0)}


def slabs(count, rng, ranges=HOT):
    """(truth, spectra): 20 frequencies, signal to noise 100 at the peak, errors of 1 % of I."""
    slab, nu = spectra.slab("thermal"), np.geomspace(1e9, 1e12, 20)
    truth = {n: np.exp(rng.uniform(*np.log(ends), count)) for n, ends in ranges.items()}
    truth["theta"] = np.arccos(rng.uniform(-0.9, 0.9, count))
    truth["psi"] = rng.uniform(0.0, np.pi, count)
    light = np.array(slab.stokes({**truth, **FIXED}, nu), float)
    errors = np.hypot(0.01 * light[0], 0.01 * np.max(light[0], axis=-1, keepdims=True))
    noisy = light + errors * rng.normal(size=light.shape)
    data = [
        spectra.StokesSpectrum(nu, **dict(zip("IQUV", noisy[:, k], strict=True)), errors=errors[k])
        for k in range(count)
    ]
    return truth, data


def pulls(fits, truth):
    """(value - truth) / error, [label, spectrum]."""
    found = []
    for n in fits.names:
        apart = fits.values[n] - truth[n]
        if n == "psi":
            apart = (apart + 0.5 * np.pi) % np.pi - 0.5 * np.pi
        found.append(apart / fits.errors[n])
    return np.array(found)
