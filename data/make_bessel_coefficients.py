"""Fit the tables behind ``synchrojax.special``.

Writes ``synchrojax/special/_bessel_coefficients.npz``. Run from the repository root (needs the
``test`` extra for mpmath; about 10 s):

    python data/make_bessel_coefficients.py

Olver's uniform expansion (DLMF 10.20.4-10.20.9) writes J, Y and their derivatives
through Airy functions and four slowly varying functions A, B, C, D of (zeta, 1/a^2).
Instead of truncating their divergent series, we solve for them exactly at Chebyshev
nodes with 40 digits and interpolate; they are smooth down to a = 5.
"""

import pathlib

import mpmath as mp
import numpy as np

mp.mp.dps = 40
ORDER_MIN = 5
ORDER_TERMS = 6  # polynomial terms in 1/a^2
OUT = pathlib.Path(__file__).parent.parent / "synchrojax" / "special" / "_bessel_coefficients.npz"


def olver_functions(a, alpha):
    """The exact A, B, C, D of DLMF 10.20.4-10.20.9 at z = a sech(alpha), and zeta."""
    x, y = mp.sech(alpha), mp.tanh(alpha)
    z = a * x
    j, yy = mp.besselj(a, z), mp.bessely(a, z)
    dj = (mp.besselj(a - 1, z) - mp.besselj(a + 1, z)) / 2
    dy = (mp.bessely(a - 1, z) - mp.bessely(a + 1, z)) / 2
    zeta = (mp.mpf(3) / 2 * (alpha - y)) ** (mp.mpf(2) / 3)
    eta = a ** (mp.mpf(2) / 3) * zeta
    ai, dai = mp.airyai(eta), mp.airyai(eta, derivative=1)
    bi, dbi = mp.airybi(eta), mp.airybi(eta, derivative=1)
    phi = mp.root(4 * zeta / y**2, 4)
    c = phi / mp.cbrt(a) / mp.pi
    d = -2 / (x * phi) / mp.cbrt(a) ** 2 / mp.pi
    return (
        (j * dbi + yy * dai) / c,
        -(j * bi + yy * ai) / c * mp.cbrt(a) ** 4,
        (dj * dbi + dy * dai) / d * mp.cbrt(a) ** 2,
        -(dj * bi + dy * ai) / d,
        zeta,
    )


def chebyshev_nodes(n):
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)


def to_monomials(values):
    """Interpolate values at Chebyshev nodes (along axis 0), return powers of t in [-1, 1]."""
    n = len(values)
    c = np.linalg.solve(np.polynomial.chebyshev.chebvander(chebyshev_nodes(n), n - 1), values)
    return np.apply_along_axis(
        lambda k: np.pad(p := np.polynomial.chebyshev.cheb2poly(k), (0, n - len(p))), 0, c
    )


def fit_olver(n, lo, hi, alpha_of, scaled):
    """Coefficients [function, power of position, power of 1/a^2] on lo < position < hi."""
    values = np.zeros((4, n, ORDER_TERMS))
    for i, k in enumerate(chebyshev_nodes(n)):
        for m, q in enumerate(chebyshev_nodes(ORDER_TERMS)):
            position = mp.mpf((lo + hi) / 2 + (hi - lo) / 2 * k)
            a = ORDER_MIN / mp.sqrt((1 + mp.mpf(q)) / 2)
            *abcd, zeta = olver_functions(a, alpha_of(position))
            if scaled:  # B and C fall and grow as a power of zeta
                abcd[1] *= mp.sqrt(zeta)
                abcd[2] /= mp.sqrt(zeta)
            values[:, i, m] = [float(v) for v in abcd]
    return np.stack([to_monomials(to_monomials(v).T).T for v in values])


def fit_airy(n, lo, hi, eta_of, functions):
    rows = [
        [float(f(eta_of(mp.mpf((lo + hi) / 2 + (hi - lo) / 2 * k)))) for f in functions]
        for k in chebyshev_nodes(n)
    ]
    return to_monomials(np.array(rows)).T


def airy_functions(decay):
    """Ai, Ai', Bi, Bi' with the exponential and, far out, the power removed."""

    def xi(e):
        return mp.mpf(2) / 3 * e ** mp.mpf(1.5)

    def power(e):
        return mp.root(e, 4) if decay else mp.mpf(1)

    return [
        lambda e: mp.airyai(e) * mp.exp(xi(e)) * power(e),
        lambda e: mp.airyai(e, derivative=1) * mp.exp(xi(e)) / power(e),
        lambda e: mp.airybi(e) * mp.exp(-xi(e)) * power(e),
        lambda e: mp.airybi(e, derivative=1) * mp.exp(-xi(e)) / power(e),
    ]


def fit_modified(n):
    """e^x sqrt(x) K_0 and K_1 for x > 2, in powers of 4 / x - 1."""
    rows = []
    for k in chebyshev_nodes(n):
        x = 4 / (1 + mp.mpf(k))
        rows.append([float(mp.besselk(m, x) * mp.exp(x) * mp.sqrt(x)) for m in (0, 1)])
    return to_monomials(np.array(rows)).T


def main():
    plain = [
        mp.airyai,
        lambda e: mp.airyai(e, derivative=1),
        mp.airybi,
        lambda e: mp.airybi(e, derivative=1),
    ]
    np.savez_compressed(
        OUT,
        olver_near=fit_olver(20, 0.0, 4.0, mp.sqrt, False),  # in alpha^2
        olver_middle=fit_olver(16, 2.0, 4.0, lambda p: p, True),  # in alpha
        olver_far=fit_olver(22, 0.0, 0.25, lambda p: 1 / p, True),  # in 1 / alpha
        airy_near=fit_airy(20, 0.0, 2.0, lambda p: p, plain),  # in eta, unscaled
        airy_middle=fit_airy(26, 2.0, 10.0, lambda p: p, airy_functions(True)),  # in eta
        # eta^-3/2
        airy_far=fit_airy(
            12, 0.0, 10.0**-1.5, lambda p: (1 / p) ** (mp.mpf(2) / 3), airy_functions(True)
        ),
        modified_far=fit_modified(24),
    )


if __name__ == "__main__":
    main()
