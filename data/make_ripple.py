"""Print the constants of the harmonic ripple in ``families/thermal/_saddle.py``.

``python data/make_ripple.py``. The exponent of the first Poisson term of the sum over harmonics, at
its saddle sinh(2 b) - 2 b = y - 2 pi i, has the square s'^2 G(y) with G = (coth^2(b) - 1) y^2 + 4 H
coth(b) y + 4 H^2, H = (b - i pi) coth(b) - 1. Poles of G / (1 + y) as a function of t = ln(1 + y)
by AAA (Nakatsukasa et al. 2018, SIAM J. Sci. Comput. 40, A1494), then residues and a parabola by
least squares. Needs mpmath.
"""

import mpmath as mp
import numpy as np
from scipy.interpolate import AAA


def scaled_square(t):
    """G / (1 + y), to 20 digits."""
    y = mp.expm1(mp.mpf(float(t)))
    z = mp.mpc(y, -2 * mp.pi)
    b = mp.log(2 * z + mp.mpc(5.6, -2.2)) / 2
    b = mp.log(2 * z + 4 * b) / 2
    for _ in range(30):
        b -= (mp.sinh(2 * b) - 2 * b - z) / (4 * mp.sinh(b) ** 2)
    coth = mp.coth(b)
    h = (b - 1j * mp.pi) * coth - 1
    return complex(((coth * coth - 1) * y * y + 4 * h * coth * y + 4 * h * h) / (1 + y))


def main():
    mp.mp.dps = 30
    highest = np.log1p(1e9)
    t = np.unique(np.concatenate([np.linspace(0.0, highest, 400), np.linspace(0.0, 4.0, 300)]))
    truth = np.array([scaled_square(v) for v in t])
    poles = AAA(t, truth, max_terms=8).poles()
    poles = poles[np.abs(poles) < 100.0]  # one far away stands for a parabola

    def basis(t):
        return np.concatenate([1.0 / (t[:, None] - poles), t[:, None] ** np.arange(3)], 1)

    size = np.abs(truth)
    found = np.linalg.lstsq(basis(t) / size[:, None], truth / size, rcond=None)[0]
    fresh = np.linspace(0.003, 0.999 * highest, 500)
    error = np.max(np.abs(basis(fresh) @ found / np.array([scaled_square(v) for v in fresh]) - 1.0))
    print(f"largest relative error {error:.1e}; pole, residue:")
    for pole, residue in zip(poles, found, strict=False):
        print(f"    ({pole.real:.9f}, {pole.imag:.9f}, {residue.real:.8f}, {residue.imag:.8f}),")
    print("parabola:", [f"{v.real:.9f} {v.imag:+.9f}j" for v in found[len(poles) :]])


if __name__ == "__main__":
    main()
