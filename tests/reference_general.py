"""Independent adaptive integration for power laws, kappa distributions and pitch-angle anisotropy,
with SciPy only.

As in reference.py, whose frame, kernels and quadrature it uses, with f and its derivatives written
out by hand here. Harmonics averaged. ``python tests/reference_general.py`` rewrites
tests/reference_general.json (minutes).
"""

import json
import multiprocessing
import pathlib
import sys

import numpy as np
from reference import NAMES, C, E, M, Reference, _doubling, _products
from scipy import integrate, special
from scipy.stats import qmc

PATH = pathlib.Path(__file__).with_name("reference_general.json")
INFINITE = 1e12


class PowerLaw:
    def __init__(self, p, gamma_min, gamma_max):
        self.p, self.lo, self.hi = p, gamma_min, gamma_max
        self.norm = (p - 1) / (gamma_min ** (1 - p) - gamma_max ** (1 - p)) / (4 * np.pi)
        self.jumps = (
            ((gamma_min, 1.0), (gamma_max, -1.0)) if gamma_min > 1 else ((gamma_max, -1.0),)
        )

    def f(self, gamma):
        return self.norm * gamma ** (-self.p - 1) / np.sqrt((gamma - 1) * (gamma + 1))

    def log_slope(self, gamma):
        return -(self.p + 1) / gamma - gamma / ((gamma - 1) * (gamma + 1))


class Kappa:
    jumps = ()

    def __init__(self, kappa, w):
        self.kappa, self.w, self.lo, self.hi, self.norm = kappa, w, 1.0, INFINITE, 1.0
        self.tail, scale = kappa * w, w * kappa / (1 + kappa)
        total = 0.0
        for a, b in ((0, 1), (1, 10), (10, np.inf)):
            total += integrate.quad(
                lambda y: 4 * np.pi * (1 + y) * np.sqrt(y * (y + 2)) * self.f(1 + y),
                a * scale,
                b * scale,
                epsabs=0,
                epsrel=1e-12,
                limit=400,
            )[0]
        self.norm = 1 / total

    def f(self, gamma):
        return self.norm * (1 + (gamma - 1) / (self.kappa * self.w)) ** (-self.kappa - 1)

    def log_slope(self, gamma):
        return -(self.kappa + 1) / (self.kappa * self.w + gamma - 1)


class General(Reference):
    """One point (s, theta) of base(gamma) (1 - mu^2)^(k/2)."""

    def __init__(self, s, theta, base, k=0.0, rtol=1e-9, rotation_rtol=1e-9):
        super().__init__(s, theta, 1.0)
        self.base, self.k = base, k
        # of the outer quadratures, ten times the inner ones
        self.rtol, self.rotation_rtol = (rtol, rotation_rtol)
        self.factor = special.gamma(1.5 + k / 2) / special.gamma(1.5) / special.gamma(1 + k / 2)

    def _f(self, chi, v, near=None):
        """f and Df / f at gamma = cosh(chi); ``near``: chi -+ the rapidity along B, where v rounds
        it.
        """
        gamma, u = np.cosh(chi), np.sinh(chi)
        u_par = self.sine * np.sinh(v) + self.cosine * gamma
        mu = u_par / u
        # u^2 - u_par^2 = u_perp^2 without cancellation
        delta = v + self.tilt
        left, right = (chi + delta, chi - delta) if near is None else near
        gap = 2 * self.sine * np.sinh(left / 2) * np.sinh(right / 2)
        across = np.maximum(gap, 1e-300) * (gap + 2 * np.cosh(v)) / u**2
        f = self.base.f(gamma) * self.factor * across ** (self.k / 2)
        along_mu = -self.k * mu / across
        return f, self.base.log_slope(gamma) + along_mu * (self.cosine - mu * gamma / u) / u

    def _slice(self, chi):
        """Int dv cosh(v) {f k_S, Df k_S} at fixed gamma."""
        _, _, best, left, right, _ = self._peaks(chi)

        def integrand(v):
            f, slope = self._f(chi, v)
            k = self._kernels(*self._frame(chi, v)) * np.cosh(v) * f
            return np.concatenate([k, k * slope])

        return _doubling(integrand, (left, best, right), 0.1 * self.rtol)

    def stokes(self):
        """Six integrals of f k_S and Df k_S, jumps included in the latter."""

        def height(chi):
            return np.log(self.base.f(np.cosh(chi))) + 7 / 3 * chi - 2 * self._peaks(chi)[5]

        grid = np.linspace(np.arccosh(self.base.lo) + 1e-3, np.arccosh(self.base.hi), 400)
        values = np.array([height(c) for c in grid])
        if values.max() < -600.0:  # frequencies so far above gamma_max^2 that nothing is left
            return np.zeros(6)
        top = grid[np.argmax(values)]
        keep = grid[values > values.max() - 26]
        lo = np.arccosh(self.base.lo) if keep.min() == grid[0] else keep.min() - grid[1] + grid[0]
        hi = min(keep.max() + grid[1] - grid[0], np.arccosh(self.base.hi))
        scale = np.exp(values.max())
        result, _ = integrate.quad_vec(
            lambda chi: self._slice(chi) * np.sinh(chi) / scale,
            max(lo, 1e-6),
            hi,
            epsrel=self.rtol,
            epsabs=0,
            limit=200,
            norm="max",
            points=(top,),
        )
        result = result * self.sine * scale
        for gamma, sign in self.base.jumps:
            result[3:] += sign * self.sine * self._slice(np.arccosh(gamma))[:3]
        return result

    def _rotation_slice(self, chi, which, jump=False):
        lo, hi, best, *_ = self._peaks(chi)

        def integrand(x, end):
            step = np.abs(best - end) * x**6  # at the ends f may be a fractional power
            v = end + np.sign(best - end) * step
            near = (step, 2 * chi - step) if end == lo else (2 * chi - step, step)
            a, z, u, w, _ = self._frame(chi, v)
            jy, djdy, slope = _products(a, self.sp * w, z)
            kernel = ((w * w - 1) * jy / w + w * djdy, u * slope)[which] / (np.pi * self.sp)
            f, along = self._f(chi, v, near)
            return (kernel * f * (1.0 if jump else along) * w * abs(end - best) * 6 * x**5)[None]

        # from the ends towards the smallest exponent
        rtol = 0.1 * self.rotation_rtol
        return sum(
            _doubling(lambda x, end=end: integrand(x, end), (0.0, 0.7, 1.0), rtol)[0]
            for end in (lo, hi)
        )

    def rotativities(self):
        # f ~ gamma^-steep at large gamma, and beyond gamma_0 the kernels fall too: until the rest
        # is below 1e-9
        lo, scale = (
            np.arccosh(self.base.lo),
            1.0 + np.log(2.0 + 2.0 * getattr(self.base, "tail", 0.0)),
        )
        steep = -self.base.log_slope(1e11) * 1e11
        resonant = np.log(2.0 * np.sqrt(self.s / self.sine))
        hi = min(np.arccosh(self.base.hi), max(lo, scale, resonant) + 21.0 / (steep - 4.0 / 3.0))
        out = []
        for which in (0, 1):  # apart: their sizes differ by orders of magnitude
            total, _ = integrate.quad(
                lambda chi, which=which: self._rotation_slice(chi, which) * np.sinh(chi),
                max(lo, 1e-5),
                hi,
                epsrel=self.rotation_rtol,
                epsabs=0,
                limit=40,
            )
            for gamma, sign in self.base.jumps:
                if gamma < np.cosh(hi) * 1.001:
                    total += sign * self._rotation_slice(np.arccosh(gamma), which, jump=True)
            out.append(total)
        return np.array(out) * self.sine

    def all(self):
        stokes, rotation = self.stokes(), self.rotativities()
        p = 2 * np.pi**2 * E**2 * self.s / (M * C)
        return np.concatenate(
            [4 * np.pi**2 * E**2 / C * self.s * stokes[:3], -p * stokes[3:], -p * rotation]
        )


KINDS = "powerlaw", "kappa", "powerlaw_pitch", "kappa_pitch"
PER_KIND = 20


def points():
    """(name, s, theta, parameters): few to 1e-9, then the promised range."""
    rng = np.random.default_rng(11)
    chosen = []
    for name, count in zip(KINDS, (4, 3, 2, 2), strict=True):
        for i in range(count):
            theta = rng.uniform(0.2, 1.55)
            s = 25.0 / np.sin(theta) * 10 ** rng.uniform(0, 1.7)
            if name.startswith("powerlaw"):
                p = rng.uniform(1.5, 7.0)
                own = {
                    "p": p,
                    "gamma_min": (1.0, 3.0, 30.0, 1.0)[i],
                    "gamma_max": INFINITE if p > 4.5 else 10 ** rng.uniform(2, 2.6),
                }
            else:
                own = {"kappa": rng.uniform(4.0, 8.0), "w": 10 ** rng.uniform(-1, 1)}
            if name.endswith("pitch"):
                own["k"] = (0.3, 6.0)[i]
            chosen.append((name, s, theta, own))
    return chosen + [
        p
        for name, count in zip(KINDS, (4, 3, 2, 2), strict=True)
        for p in _wide(name, PER_KIND - count)
    ]


def _wide(name, count):
    """Scrambled Sobol points over p 1.5-7, gamma_min 1-1e3, gamma_max 1e2-1e12, kappa 2.5-8, w
    0.1-200, k 0-6.
    """
    for u in qmc.Sobol(6, scramble=True, rng=KINDS.index(name)).random(32)[:count]:
        theta = 0.01 * 157.0 ** u[0]
        lowest = 30.0 / np.sin(theta)  # below, harmonics show
        s = lowest * (1e8 / lowest) ** u[1]
        if name.startswith("powerlaw"):
            own = {"p": 1.5 + 5.5 * u[2], "gamma_min": 1e3 ** u[3], "gamma_max": 0.0}
            start = max(1e2, 2.0 * own["gamma_min"])
            own["gamma_max"] = start * (INFINITE / start) ** u[4]
        else:
            own = {"kappa": 2.5 + 5.5 * u[2], "w": 0.1 * 2000.0 ** u[3]}
        yield name, s, theta, own | ({"k": 6.0 * u[5]} if name.endswith("pitch") else {})


def reference(name, s, theta, own, *rtol):
    own = dict(own)
    k = own.pop("k", 0.0)
    base = PowerLaw(**own) if name.startswith("powerlaw") else Kappa(**own)
    return General(s, theta, base, k, *rtol).all()


def _reference(numbered):
    number, point = numbered
    return reference(*point, *(() if number < 11 else (1e-8, 3e-8)))


def main():
    """Fill the table; rows that are there are kept, so that a stopped run resumes."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    todo = list(enumerate(points()))[len(rows) :]
    with multiprocessing.Pool() as pool:
        for (_, (name, s, theta, own)), values in zip(
            todo, pool.imap(_reference, todo), strict=True
        ):
            rows.append(
                {
                    "name": name,
                    "s": s,
                    "theta": theta,
                    **own,
                    "values": dict(zip(NAMES, values, strict=True)),
                }
            )
            PATH.write_text(json.dumps(rows, indent=1) + "\n")
            print(f"{len(rows)} of {len(points())}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
