"""Fit how electrons of one gamma smear sin^k of the pitch angle in rho_Q.

``python data/make_pitch_smear.py`` prints the tables of families/_pitch.py (seconds; ``_CONE`` goes
to families/_single_electron.py). At high frequency the kernel is rational: with e = u_perp^2 / w^2,
the leading Debye terms of J Y and J' Y' give A = e / 2 + 5 e^2 / 8 and B = -e^2 / 4, and by parts
in g' a shell of electrons contributes Int dv w M f, M = -d/dg' (B w - A / w) / w^2. Its ratio to
the isotropic shell is a mean of (1 - mu^2)^(k/2).
"""

import numpy as np
from scipy.special import airye

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(600)
LOWEST_K, HIGHEST_K = -0.15, 4.15


def smeared(gamma, theta, k):
    """Mean of sin^k of the pitch angle that the high-frequency rho_Q of a shell sees."""
    u, sine, cosine = np.sqrt(gamma**2 - 1), np.sin(theta), np.cos(theta)
    low, high = (np.arcsinh((side * u - cosine * gamma) / sine) for side in (-1.0, 1.0))
    v = 0.5 * (high - low) * _NODES + 0.5 * (high + low)
    w, along = np.cosh(v), sine * np.sinh(v) + cosine * gamma
    g = (gamma - cosine * along) / sine
    e = g * g / (w * w) - 1
    m = 2 * g / w**4 * ((0.5 + 1.25 * e) / w + 0.5 * e * w) * w * _WEIGHTS
    return np.sum(np.maximum(1 - (along / u) ** 2, 0) ** (0.5 * k) * m) / np.sum(m)


def ends(gamma, k):
    """The limits along and across B, and what joins them in ``_pitch.log_smeared``."""
    along = smeared(gamma, 1e-3 / gamma, k) ** (2 / k) * gamma**2
    across = smeared(gamma, 0.5 * np.pi, k) ** (2 / k)
    theta = np.arctan(
        np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0, 8.0, 16.0]) / gamma
    )
    s2 = np.sin(theta) ** 2
    c2 = (1 - s2) / gamma**2
    truth = np.array([smeared(gamma, t, k) for t in theta]) ** (4 / k)
    rest, term = 1 - ((across * s2) ** 2 + (along * c2) ** 2) / truth, s2 * c2 / truth
    return (
        along,
        (1 - across) * gamma**2,
        np.sum(rest * term) / np.sum(term * term) / along / across,
    )


def airy_product(xi):
    """Ai Bi - 1 / (2 pi sqrt(xi)), its derivative, and -Ai' Bi' - sqrt(xi) / (2 pi)."""
    ai, ai1, bi, bi1 = airye(xi)
    lead = 1 / (2 * np.pi * np.sqrt(xi))
    near = ai * bi - lead, ai1 * bi + ai * bi1 + 0.5 * lead / xi, -ai1 * bi1 - lead * xi
    # far out, where they cancel, by the series in xi^-3 from w''' = 4 xi w' + 2 w (DLMF 9.11.2)
    large, order, term = np.maximum(xi, 12.0), 0.5, lead
    value, first, second = 0.0 * xi, 0.0 * xi, 0.75 * lead / xi**2
    for _ in range(6):
        term = term * order * (order + 1) * (order + 2) / (4 * order + 10) / large**3
        order += 3
        value, first, second = (
            value + term,
            first - order * term / large,
            second + order * (order + 1) * term / large**2,
        )
    return np.where(xi > 12, (value, first, xi * value - 0.5 * second), near)


def moment(x, power):
    """Mean of rho_Q u'^(2 power) of an ultrarelativistic electron, to a factor.

    x = (gamma_0 / gamma)^2. Near the turning point J, Y are Airy functions of xi = (x / 2)^(2/3) (1
    + u'^2); an electron contributes the derivative of the kernel with g' at fixed u', and u' /
    gamma is its angle from the line of sight.
    """
    scale = (x / 2) ** (2 / 3)
    highest = np.arcsinh(1e6 / np.sqrt(min(scale, 1.0)))
    v = 0.5 * highest * (_NODES + 1)
    u2 = np.sinh(v) ** 2
    a, slope, c = airy_product(xi := scale * (1 + u2))
    kernel = u2 / scale * (a + 2 * xi * slope) + (2 * xi * xi * -slope - c) / scale**2
    return x**3 * np.sum(kernel * u2**power * np.cosh(v) * _WEIGHTS) * highest


def cone(x):
    """That with the square of the angle, which goes to its limit for x -> infinity."""
    return moment(x, 1)


def fit_cone():
    """c = m h(m) with two pairs of poles: the constant and (a, b, c, d) of each.

    m = x^(2/3) / (1 + x^(2/3)).
    """
    x = np.exp(np.linspace(np.log(1e-7), np.log(1e5), 241))
    m = x ** (2 / 3) / (1 + x ** (2 / 3))
    h, weight = np.array([cone(one) for one in x]) / cone(1e8) / m, np.ones_like(x)
    powers = m[:, None] ** np.arange(5)
    for _ in range(100):  # Sanathanan & Koerner 1963: the denominator before as the weight
        basis = np.concatenate([powers, -h[:, None] * powers[:, 1:]], 1)
        found = np.linalg.lstsq(basis * weight[:, None], h * weight, rcond=None)[0]
        weight = 1 / np.abs(1 + powers[:, 1:] @ found[5:])
    poles = [z for z in np.roots([*found[:4:-1], 1.0]) if z.imag > 0]
    quadratics = [(-2 * z.real, abs(z) ** 2) for z in poles]
    parts = [np.ones_like(m)] + [
        t / ((m + c) * m + d) for c, d in quadratics for t in (m, np.ones_like(m))
    ]
    basis = np.stack(parts, 1)
    k = np.linalg.lstsq(basis / h[:, None], np.ones_like(h), rcond=None)[0]
    print(f"_CONE: largest relative error {np.max(np.abs(basis @ k / h - 1)):.1e}")
    rows = np.concatenate([k[1:].reshape(-1, 2), quadratics], 1)
    print(np.round(k[0], 9), np.array2string(rows, precision=9, separator=", "), sep="\n")


def main():
    fit_cone()
    k = 2 + 0.5 * (HIGHEST_K - LOWEST_K) * np.sort(np.cos(np.pi * (np.arange(12) + 0.5) / 12))
    gamma = 1 + np.exp(np.linspace(np.log(3e-3), np.log(1e4), 36))
    along, across, between = np.moveaxis(
        np.array([[ends(g, one) for one in k] for g in gamma]), -1, 0
    )
    log_gamma = np.log(gamma)[:, None]
    spread = 0.05 * k**2 * np.expm1((k - 4) * log_gamma) / (k - 4)
    along = np.log(along) - 2 * spread * np.log1p(k * spread) / (k * spread)
    v, q = 1 / (1 + np.log(gamma)), 0.5 * k - 1
    size = np.abs(k) + np.zeros_like(along)
    for name, target, weight, degrees in (
        ("_ALONG", along, 0.5 * size + 0.05, (4, 3)),
        ("_ACROSS", across, (0.5 * size + 0.1) / gamma[:, None] ** 2, (3, 2)),
        ("_BETWEEN", between, 0.1 * size + 0.1, (3, 3)),
    ):
        by_gamma, by_k = (
            x[:, None] ** np.arange(degree + 1) for x, degree in zip((v, q), degrees, strict=True)
        )
        basis = (by_gamma[:, None, :, None] * by_k[None, :, None, :]).reshape(target.size, -1)
        weight = weight.ravel()
        found = np.linalg.lstsq(basis * weight[:, None], target.ravel() * weight, rcond=None)[0]
        print(
            f"{name}: largest weighted error "
            f"{np.max(np.abs(basis @ found - target.ravel()) * weight):.1e}"
        )
        print(
            np.array2string(
                found.reshape(degrees[0] + 1, -1), precision=4, suppress_small=True, separator=", "
            )
        )


if __name__ == "__main__":
    main()
