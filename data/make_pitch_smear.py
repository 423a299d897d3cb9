"""Fit how electrons of one gamma smear sin^k of the pitch angle in rho_Q; prints the tables of synchrojax/_pitch.py.

``python data/make_pitch_smear.py`` (seconds). At high frequency the kernel is rational: with e = u_perp^2 / w^2,
the leading Debye terms of J Y and J' Y' give A = e / 2 + 5 e^2 / 8 and B = -e^2 / 4, and by parts in g' a shell of
electrons contributes Int dv w M f, M = -d/dg' (B w - A / w) / w^2. Its ratio to the isotropic shell is a mean of
(1 - mu^2)^(k/2).
"""

import numpy as np

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
    """The limits along and across B, and the coefficient between them, as ``_pitch.log_smeared`` joins them."""
    along = smeared(gamma, 1e-3 / gamma, k) ** (2 / k) * gamma**2
    across = smeared(gamma, 0.5 * np.pi, k) ** (2 / k)
    theta = np.arctan(np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0, 8.0, 16.0]) / gamma)
    s2 = np.sin(theta) ** 2
    c2 = (1 - s2) / gamma**2
    truth = np.array([smeared(gamma, t, k) for t in theta]) ** (4 / k)
    rest, term = 1 - ((across * s2) ** 2 + (along * c2) ** 2) / truth, s2 * c2 / truth
    return along, (1 - across) * gamma**2, np.sum(rest * term) / np.sum(term * term) / along / across


def main():
    k = 2 + 0.5 * (HIGHEST_K - LOWEST_K) * np.sort(np.cos(np.pi * (np.arange(12) + 0.5) / 12))
    gamma = 1 + np.exp(np.linspace(np.log(3e-3), np.log(1e4), 36))
    along, across, between = np.moveaxis([[ends(g, one) for one in k] for g in gamma], -1, 0)
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
        by_gamma, by_k = (x[:, None] ** np.arange(degree + 1) for x, degree in zip((v, q), degrees, strict=True))
        basis = (by_gamma[:, None, :, None] * by_k[None, :, None, :]).reshape(target.size, -1)
        weight = weight.ravel()
        found = np.linalg.lstsq(basis * weight[:, None], target.ravel() * weight, rcond=None)[0]
        print(f"{name}: largest weighted error {np.max(np.abs(basis @ found - target.ravel()) * weight):.1e}")
        print(np.array2string(found.reshape(degrees[0] + 1, -1), precision=4, suppress_small=True, separator=", "))


if __name__ == "__main__":
    main()
