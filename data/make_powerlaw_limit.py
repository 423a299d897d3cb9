"""Fit the limit of large s sin(theta) of the power law's cumulative functions.

``python data/make_powerlaw_limit.py`` writes families/powerlaw/_limit.npz (minutes): 4,096 pairs of
exact integrals at s = 1e8 over x and p, Chebyshev polynomials in m = (x^(2/3) - 1) / (x^(2/3) + 1)
and in p by least squares; those of emission and absorption are then turned into a small network,
which costs less.
"""

import pathlib

import jax
import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.stats import qmc

jax.config.update("jax_enable_x64", True)
from synchrojax import exact
from synchrojax.families import Rows
from synchrojax.families._learning import FLOOR
from synchrojax.families.powerlaw import POWERLAW, _cumulative
from synchrojax.families.powerlaw._learning import NEARLY_ONE
from synchrojax.networks import Perceptron, initial, tensors_of
from synchrojax.train import Options
from synchrojax.train import fit as fit_network

POINTS, DEGREE, DEGREE_P, SLOPES = 4096, 20, 12, 10
WIDTHS, ITERATIONS = (24, 24), 300


def draw(highest_log_x, seed):
    """The point, its edge and C and D of the eight."""
    u = qmc.Sobol(2, scramble=True, rng=seed).random(POINTS)
    s, theta, one = np.full(POINTS, 1e8), np.full(POINTS, 1.5), np.ones(POINTS)
    log_x, p = -11.5 + (11.5 + highest_log_x) * u[:, 0], 1.35 + 5.85 * u[:, 1]
    gamma = np.sqrt(s / np.sin(theta)) * np.exp(-0.5 * log_x)
    above = {"s": s, "theta": theta, "p": p, "gamma_min": gamma, "gamma_max": 1e12 * one}
    below = {**above, "gamma_min": NEARLY_ONE * one, "gamma_max": gamma}
    values = (
        exact.at_unit_frequency("powerlaw", **v)
        / np.exp(_cumulative.log_norm(POWERLAW.point(s, theta, v)))[:, None]
        for v in (above, below)
    )
    point = POWERLAW.point(s, theta, above)
    return point, _cumulative.edge_at(point, gamma), *values


def fit(basis, target, weight, name):
    found = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=1e-10)[0]
    error = np.abs(basis @ found - target) * weight
    print(
        f"{name}: median {np.median(error):.1e}, p99 {np.quantile(error, 0.99):.1e}, max "
        f"{np.max(error):.1e}"
    )
    return found


def polynomials(mapped, degree, point):
    by_x, by_p = chebvander(mapped, degree), chebvander(_cumulative.mapped_p(point.p), DEGREE_P)
    return (by_x[:, :, None] * by_p[:, None, :]).reshape(POINTS, -1)


def steepness(odds):
    """Large L are of no consequence."""
    return 1.0 / (1.0 + np.maximum(odds / 8.0, 0.0) ** 2)


def network(found):
    """The polynomials ``found`` [term, coefficient] of L as a network."""

    def rows(count, seed):
        u = qmc.Sobol(2, scramble=True, rng=seed).random(count)
        log_x, p, one = -14.5 + 20.0 * u[:, 0], 1.35 + 5.85 * u[:, 1], np.ones(count)
        point = _cumulative.Point(one, one, one, p, one, one)
        x = np.minimum(log_x, 5.0)
        basis = (
            chebvander(np.tanh(x / 3.0), DEGREE)[:, :, None]
            * chebvander(_cumulative.mapped_p(p), DEGREE_P)[:, None]
        )
        target = basis.reshape(count, -1) @ found
        low = 0.5 * np.logaddexp(0.0, -log_x)
        edge = _cumulative.Edge(one, 0.0 * one, one, log_x, low, np.exp(log_x) / 1.5)
        weight = steepness(np.asarray(_cumulative.log_odds(point, edge)).T + target)
        features = np.asarray(_cumulative.limit_features(p, log_x)).T
        return Rows(np.arange(count), features, np.zeros((count, 1)), target, weight)

    learn, check = rows(8192, 3), rows(2048, 4)
    options = Options(iterations=ITERATIONS, rows=8192, patience=80)
    fresh = initial(Perceptron, inputs=3, outputs=6, widths=WIDTHS, seed=options.seed)
    fitted, history = fit_network(
        (learn, check), lambda output, extra: output, fresh, options, title="limit"
    )
    print(f"network: rms {history[:, 1].min():.1e}")
    return {
        f"odds.{name.removeprefix('layers.')}": value for name, value in tensors_of(fitted).items()
    }


def main():
    point, edge, c, d = draw(5.2, seed=5)
    odds = np.log(c[:, :6] / d[:, :6])
    target, weight = odds - np.asarray(_cumulative.log_odds(point, edge)).T, steepness(odds)
    names = "j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V"
    basis = polynomials(np.tanh(np.minimum(edge.log_x, 5.0) / 3.0), DEGREE, point)
    fits = [fit(basis, target[:, k], weight[:, k], name) for k, name in enumerate(names)]

    point, edge, c, _ = draw(11.0, seed=6)
    unit = np.asarray(_cumulative.rotation_unit(point, edge.gamma))
    inside, constant, envelope, _ = (
        np.asarray(v) for v in _cumulative.rotation_q_parts(point, edge)
    )
    c = np.asarray(c[:, 6] / unit)
    basis = np.concatenate(
        [
            constant[:, None] * chebvander(_cumulative.mapped_p(point.p), SLOPES),
            envelope[:, None] * polynomials(_cumulative.mapped_far(edge.log_x), 40, point),
        ],
        -1,
    )
    size = np.asarray(_cumulative.rotation_size(inside, constant, envelope))
    weight = 1.0 / np.maximum(np.abs(c), FLOOR * size)
    found = fit(basis, c - inside, weight, "rho_Q")
    np.savez_compressed(
        pathlib.Path(_cumulative.__file__).with_name("_limit.npz"),
        **network(np.stack(fits, -1)),
        constant=found[: SLOPES + 1],
        conversion=found[SLOPES + 1 :].reshape(-1, DEGREE_P + 1),
    )


if __name__ == "__main__":
    main()
