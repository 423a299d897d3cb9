"""What the few nodes of the integrals over energies leave of rho_Q, in parts of its scale."""

import jax.numpy as jnp
import numpy as np
import pytest

from synchrojax.families import FAMILIES
from synchrojax.families._learning import FLOOR
from synchrojax.families.kappa import _physics as kappa
from synchrojax.families.powerlaw import _anisotropy as anisotropy
from synchrojax.families.powerlaw import _cumulative as powerlaw

pytestmark = pytest.mark.usefixtures("x64")


def points(name):
    family = FAMILIES[name]
    cube = np.random.default_rng(1).random((2048, family.dimensions))
    rows = {k: jnp.asarray(v) for k, v in family.sample_to_learn(cube, 1.0).items()}
    return family, family.point(rows["s"], rows["theta"], rows)


def largest(difference, scale):
    """The 99th percentile and the maximum."""
    return np.quantile(np.abs(np.asarray(difference / scale)), [0.99, 1.0])


def test_energies_of_the_power_law(monkeypatch):
    family, p = points("powerlaw_pitch")
    edge = powerlaw.edge_at(p, p.gamma_min)
    unit = jnp.abs(powerlaw.rotation_unit(p, p.gamma_min)) * jnp.exp(powerlaw.log_norm(p))
    scale = family.error_scale(p, jnp.zeros((len(p.p), 8)))[:, 6] / (FLOOR * unit)
    few = anisotropy.off_cone(p, edge)
    root, weight = np.polynomial.legendre.leggauss(64)
    monkeypatch.setattr(anisotropy, "_ROOTS", 0.5 * (1.0 + root))
    monkeypatch.setattr(anisotropy, "_WEIGHTS", 0.5 * weight)
    many = anisotropy.off_cone(p, edge)
    assert np.all(largest(few - many, scale) < (3.5e-4, 2e-3))
    monkeypatch.setattr(anisotropy, "_REACH", 12.0)
    assert np.all(largest(anisotropy.off_cone(p, edge) - many, scale) < (1e-5, 3e-4))


@pytest.mark.parametrize(
    ("name", "step_bars", "start_bars"),
    [
        ("kappa", (1e-4, 1.5e-4), (3e-4, 5e-4)),
        ("kappa_pitch", (2e-4, 7e-4), (1.2e-3, 4e-3)),
    ],
)
def test_energies_of_kappa(monkeypatch, name, step_bars, start_bars):
    _, p = points(name)
    frame = kappa.frame_of(p)
    few = kappa.conversion(p, frame)
    ratio = np.asarray(few.size / few.uncancelled)
    assert np.all((ratio > 0.4) & (ratio < 2.3))
    for start, step, bars in ((-7.0, 0.175, step_bars), (-11.9, 0.35, start_bars)):
        monkeypatch.setattr(kappa, "_NODES", np.arange(start, 26.51, step))
        many = kappa.conversion(p, frame)
        error = largest(many.value - few.value, few.uncancelled)
        assert np.all(error < bars), (start, step, error)
        # a network is multiplied by the size: steps between nodes would be ripples of the result
        error = largest(many.size - few.size, few.size)
        assert np.all(error < bars), (start, step, error)
