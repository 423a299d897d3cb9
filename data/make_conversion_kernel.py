"""Fit rho_Q of one ultrarelativistic electron: ``python data/make_conversion_kernel.py``.

Prints ``KERNEL`` and ``KERNEL_POLES`` of families/_single_electron.py (seconds; SciPy 1.15 or
newer). The kernel is that of an electron near the turning point, in Airy functions (``moment`` of
make_pitch_smear.py), the limit of ``exact`` for large s. AAA (Nakatsukasa et al. 2018, SIAM J. Sci.
Comput. 40, A1494) finds the poles, least squares what stands above them. The constants in use are
from ``exact`` at s = 1e8, so that those printed have other digits; the largest errors of both are
printed.
"""

import warnings

import jax
import numpy as np
from make_pitch_smear import moment
from scipy.interpolate import AAA

from synchrojax.families._single_electron import conversion_kernel

PAIRS = 5


def grid(highest, count):
    """x, m = x^(2/3) / (1 + x^(2/3)) and h = rho_Q / m^2, which goes to 1 with x."""
    x = np.exp(np.linspace(-np.log(highest), np.log(highest), count))
    m = x ** (2 / 3) / (1 + x ** (2 / 3))
    return x, m, np.array([moment(one, 0) for one in x]) / moment(1e8, 0) / m**2


def fit(m, h):
    """The constant and (a, b, c, d) of each pair of poles, and what they give at other m."""
    with warnings.catch_warnings():  # it shall have so many poles, converged or not
        warnings.simplefilter("ignore", RuntimeWarning)
        found = AAA(m, h, max_terms=2 * PAIRS + 1, rtol=1e-15, clean_up=False)
    poles = sorted((z for z in found.poles() if z.imag > 0), key=lambda z: z.real)
    quadratics = [(-2 * z.real, abs(z) ** 2) for z in poles]

    def basis(m):
        parts = [t / ((m + c) * m + d) for c, d in quadratics for t in (m, np.ones_like(m))]
        return np.stack([np.ones_like(m), *parts], 1)

    k = np.linalg.lstsq(basis(m), h, rcond=None)[0]
    rows = np.concatenate([k[1:].reshape(-1, 2), quadratics], 1)
    return k[0], rows, lambda m: basis(m) @ k


def main():
    _, m, h = grid(1e5, 401)
    constant, rows, fitted = fit(m, h)
    print(np.round(constant, 9), np.array2string(rows, precision=9, separator=", "), sep="\n")
    x, m, h = grid(1e7, 997)
    with jax.enable_x64(True):
        in_use = np.asarray(conversion_kernel(np.log(x))) / m**2
    for name, found in (("these", fitted(m)), ("those in use", in_use)):
        error = np.abs(found - h)
        print(
            f"{name}: largest error of h, itself up to {np.max(h):.2f}, {np.max(error):.1e} "
            f"(at x = {x[np.argmax(error)]:.1e})"
        )


if __name__ == "__main__":
    main()
