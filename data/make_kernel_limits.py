"""Fit what one ultrarelativistic electron emits, absorbs and turns.

``python data/make_kernel_limits.py`` prints the constants of families/monoenergetic/_limits.py (a
minute; SciPy). Emission and absorption are closed forms in modified Bessel functions (Rybicki &
Lightman 1979, eqs. 6.31 to 6.33; Legg & Westfold 1968, ApJ 154, 499), the rotativities ``exact`` at
s sin(theta) = 1e11. The largest error of each fit is printed beside it.
"""

import jax
import numpy as np
from scipy.integrate import quad
from scipy.special import kve

from synchrojax import exact
from synchrojax.core import cold
from synchrojax.families._single_electron import KERNEL_POLES

SCALE, DEGREE = 3.0, 10


def above(x, order):
    """e^x Int_x^inf K_order."""

    def part(one):
        end = np.arccosh(1.0 + 45.0 / one)
        return quad(
            lambda t: np.exp(-2.0 * one * np.sinh(0.5 * t) ** 2) * np.cosh(order * t) / np.cosh(t),
            *(0.0, end),
            epsabs=0.0,
            epsrel=1e-12,
            limit=400,
        )[0]

    return np.array([part(one) for one in x])


def emission(x):
    """(name, logarithm, powers of x^(1/3) and of (1 + x / SCALE)^(1/3) in front) of the six."""
    total, linear = x * above(x, 5 / 3), x * kve(2 / 3, x)
    circular = x * kve(1 / 3, x) + above(x, 1 / 3)
    # G - x dG/dx of each, what is left of d/dgamma
    taken, taken_linear = x * x * kve(5 / 3, x), x * x * kve(5 / 3, x) - 2 / 3 * linear
    taken_circular = 0.5 * (circular + x * x * (kve(2 / 3, x) + kve(4 / 3, x)))
    rest, taken_rest = (np.sqrt(a**2 - b**2) for a, b in ((total, linear), (taken, taken_linear)))
    yield "emission", total, 1.0, 0.5
    yield "emission_Q", linear / rest, 0.0, 1.5
    yield "emission_V", circular / rest, -1.0, 2.5
    yield "absorption", taken, 1.0, 3.5
    yield "absorption_Q", taken_linear / taken_rest, 0.0, 1.5
    yield "absorption_V", taken_circular / taken_rest, -1.0, 2.5


def main():
    n = 300
    m = 0.5 * (1.0 - np.cos(np.pi * (np.arange(n) + 0.5) / n))
    m = m[(m > 1e-3) & (m < 1.0 - 1e-6)]
    x = SCALE * m**3 / (1.0 - m**3)
    for name, value, near, far in emission(x):
        y = np.log(value) - near * np.log(x) / 3.0 - far * np.log1p(x / SCALE) / 3.0
        found = np.polynomial.Chebyshev.fit(m, y, DEGREE, domain=[0, 1])
        k = found.convert(kind=np.polynomial.Polynomial).coef
        print(
            name,
            np.array2string(k, precision=9, separator=", "),
            f"{np.max(np.abs(found(m) - y)):.1e}",
        )
    x = np.geomspace(1e-7, 1e4, 500)
    s_perp, theta = 1e11, 0.7
    s = s_perp / np.sin(theta)
    gamma = np.sqrt(1.0 + 2.0 * s_perp / (3.0 * x) / np.sin(theta) ** 2)
    with jax.enable_x64(True):
        exactly = exact.at_unit_frequency(
            "monoenergetic",
            np.full_like(x, s),
            np.full_like(x, theta),
            gamma=gamma,
            resolution=exact.Resolution(rotation_inner=(72, 96)),
        )
    momentum = np.sqrt((gamma - 1.0) * (gamma + 1.0))
    ratio = exactly[:, 7] / cold(s, np.sin(theta), np.cos(theta))[1]
    y = ratio * gamma * momentum - np.arccosh(gamma)
    m = (1.5 * x) ** (2 / 3) / (1.0 + (1.5 * x) ** (2 / 3))
    y = y - 0.5 * np.log(m)
    columns = [np.ones_like(m), m, m * m]
    for *_, c, d in KERNEL_POLES:
        columns += [t / ((m + c) * m + d) for t in (m, np.ones_like(m))]
    basis = np.stack(columns, -1)
    k = np.linalg.lstsq(basis, y, rcond=1e-13)[0]
    print(
        "rotation",
        np.array2string(k, precision=9, separator=", "),
        f"{np.max(np.abs(basis @ k - y)):.1e}",
    )


if __name__ == "__main__":
    main()
