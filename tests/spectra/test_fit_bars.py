"""Fits of slabs by the thousand: ``pytest -m slow -s tests/spectra/test_fit_bars.py``."""

import time

import numpy as np
import pytest
from stokes_spectra import BOUNDS, COOL, FIXED, HOT, pulls, slabs

from synchrojax import spectra

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("ranges", "found", "wrong"), [(HOT, 0.99, 0), (COOL, 0.96, 5)], ids=["hot", "cool"]
)
def test_a_thousand_slabs(ranges, found, wrong):
    truth, data = slabs(1000, np.random.default_rng(11), ranges)
    slab = spectra.slab("thermal")
    spectra.fit_many(slab, data[:4], BOUNDS, fixed=FIXED)  # compiles
    begin = time.monotonic()
    fits = spectra.fit_many(slab, data, BOUNDS, fixed=FIXED, starts=8)
    seconds = time.monotonic() - begin
    off = pulls(fits, truth)
    near = np.all(np.abs(off) < 5.0, axis=0)
    good = off[:, fits.ok]
    print(f"\n1000 spectra, 8 starts: {seconds:.0f} s; within 5 errors {np.mean(near):.1%}")
    print(f"ok {np.mean(fits.ok):.1%}, of them wrong {np.sum(~near & fits.ok)}")
    for n, row in zip(fits.names, good, strict=True):
        print(f"pulls of {n}: mean {np.mean(row):+.3f}, width {np.std(row):.3f}")
    print(f"reduced chi2 {np.mean(fits.reduced_chi2):.3f}")
    assert np.mean(near) >= found
    assert np.sum(~near & fits.ok) <= wrong
    if ranges is HOT:
        assert np.all(np.abs(np.mean(good, axis=1)) < 0.1)
        assert np.all(np.abs(np.std(good, axis=1) - 1.0) < 0.1)


@pytest.mark.parametrize("label", ["B", "n_e", "theta_e", "theta"])
def test_truths_outside_the_bounds(label):
    truth, data = slabs(300, np.random.default_rng(12))
    edge = np.median(truth[label])
    away = np.flatnonzero(truth[label] > (edge + 0.3 if label == "theta" else 1.3 * edge))[:100]
    bounds = {**BOUNDS, label: (BOUNDS[label][0], edge)}
    fits = spectra.fit_many(spectra.slab("thermal"), [data[k] for k in away], bounds, fixed=FIXED)
    print(f"\n{label}: {np.sum(~fits.ok)} of {len(away)} flagged")
    assert not np.any(fits.ok)
