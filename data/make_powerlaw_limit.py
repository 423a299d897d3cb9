"""Fit the limit of large s sin(theta) of the power law's cumulative functions and write synchrojax/_powerlaw_limit.npz.

``python data/make_powerlaw_limit.py`` (a minute): 4,096 pairs of exact integrals at s = 1e8 over x and p, Chebyshev
polynomials in m = (x^(2/3) - 1) / (x^(2/3) + 1) and in p by least squares.
"""

import pathlib

import jax
import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.stats import qmc

jax.config.update("jax_enable_x64", True)
from synchrojax import _powerlaw, _scale_free, exact  # noqa: E402

POINTS, DEGREE_P, SLOPES = 4096, 12, 10


def draw(highest_log_x, seed):
    """The point, its edge and C and D of the eight."""
    u = qmc.Sobol(2, scramble=True, rng=seed).random(POINTS)
    s, theta, one = np.full(POINTS, 1e8), np.full(POINTS, 1.5), np.ones(POINTS)
    log_x, p = -11.5 + (11.5 + highest_log_x) * u[:, 0], 1.35 + 5.85 * u[:, 1]
    gamma = np.sqrt(s / np.sin(theta)) * np.exp(-0.5 * log_x)
    family = _powerlaw.POWERLAW
    above = {"s": s, "theta": theta, "p": p, "gamma_min": gamma, "gamma_max": 1e12 * one}
    below = {**above, "gamma_min": _powerlaw.NEARLY_ONE * one, "gamma_max": gamma}
    values = (
        exact.hatted("powerlaw", **v) / np.exp(_powerlaw.log_norm(family.point(**v)))[:, None] for v in (above, below)
    )
    point = family.point(**above)
    return point, _powerlaw.edge_at(point, gamma), *values


def fit(basis, target, weight, name):
    found = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=1e-10)[0]
    error = np.abs(basis @ found - target) * weight
    print(f"{name}: median {np.median(error):.1e}, p99 {np.quantile(error, 0.99):.1e}, max {np.max(error):.1e}")
    return found


def polynomials(mapped, degree, point):
    by_x, by_p = chebvander(mapped, degree), chebvander(_powerlaw.mapped_p(point.p), DEGREE_P)
    return (by_x[:, :, None] * by_p[:, None, :]).reshape(POINTS, -1)


def main():
    point, edge, c, d = draw(5.2, seed=5)
    odds = np.log(c[:, :6] / d[:, :6])
    target, weight = (
        odds - np.asarray(_powerlaw.log_odds(point, edge)).T,
        1.0 / (1.0 + np.maximum(odds / 8.0, 0.0) ** 2),
    )
    names = "j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V"
    basis = polynomials(_powerlaw.mapped(edge.log_x), 20, point)
    fits = [fit(basis, target[:, k], weight[:, k], name) for k, name in enumerate(names)]

    point, edge, c, _ = draw(11.0, seed=6)
    unit = np.asarray(_powerlaw.rotation_unit(point, edge.gamma))
    inside, constant, envelope, _ = (np.asarray(v) for v in _powerlaw.rotation_q_parts(point, edge))
    c = np.asarray(c[:, 6] / unit)
    basis = np.concatenate(
        [
            constant[:, None] * chebvander(_powerlaw.mapped_p(point.p), SLOPES),
            envelope[:, None] * polynomials(_powerlaw.mapped_far(edge.log_x), 40, point),
        ],
        -1,
    )
    size = np.asarray(_powerlaw.rotation_size(inside, constant, envelope))
    weight = 1.0 / np.maximum(np.abs(c), _scale_free.FLOOR * size)
    found = fit(basis, c - inside, weight, "rho_Q")
    np.savez_compressed(
        pathlib.Path(_powerlaw.__file__).with_name("_powerlaw_limit.npz"),
        odds=np.stack(fits, -1).reshape(-1, DEGREE_P + 1, 6),
        constant=found[: SLOPES + 1],
        conversion=found[SLOPES + 1 :].reshape(-1, DEGREE_P + 1),
    )


if __name__ == "__main__":
    main()
