"""Independent adaptive integration of the eight thermal coefficients, with SciPy only.

Shares no code with synchrojax: SciPy's Bessel functions, laboratory (gamma, rapidity) coordinates,
adaptive outer quadrature, inner Gauss-Legendre doubled until it stops moving, harmonics summed one
by one, the principal value by folding about each pole. ``python tests/reference.py`` rewrites
tests/reference_thermal.json (minutes).
"""

import itertools
import json
import pathlib
import sys
from fractions import Fraction

import numpy as np
from scipy import integrate, special

E, M, C = 4.803204712570263e-10, 9.1093837015e-28, 2.99792458e10
NAMES = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V", "rho_Q", "rho_V")
PATH = pathlib.Path(__file__).with_name("reference_thermal.json")


def _debye_u(count):
    """U_k(p) of DLMF 10.41.9 as coefficient lists."""
    rows = [[Fraction(1)]]
    for _ in range(count):
        u = rows[-1]
        new = [Fraction(0)] * (len(u) + 3)
        for i, c in enumerate(u):
            new[i + 1] += c * Fraction(i, 2) + c / 8 / (i + 1)
            new[i + 3] -= c * Fraction(i, 2) + c * Fraction(5, 8) / (i + 3)
        rows.append(new)
    return [np.array([float(c) for c in r]) for r in rows]


_U = _debye_u(10)


def _debye_sums(a, p):
    """Sum of U_k/a^k and of (-1)^k U_k/a^k without their leading 1, even and odd orders apart."""
    terms = [np.polynomial.polynomial.polyval(p, u) / a**k for k, u in enumerate(_U)]
    return sum(terms[2::2]), sum(terms[1::2])


def _bessel(a, z, r):
    """J, Y and their derivatives of order a at z, r = sqrt(a^2 - z^2) given, which z would round.

    SciPy's; for orders above 1e5 the first terms of Olver's expansion (DLMF 10.20.4 to 10.20.9),
    whose error is 1 / a^2: there SciPy's functions are not smooth to better than 1e-7.
    """
    out = np.empty((4, a.size))
    near = a < 1e5
    if near.any():
        an, zn = a[near], z[near]
        j, y = special.jv(an, zn), special.yv(an, zn)
        with np.errstate(invalid="ignore"):  # where Y overflows it is not needed
            out[:, near] = (
                j,
                y,
                an / zn * j - special.jv(an + 1, zn),
                an / zn * y - special.yv(an + 1, zn),
            )
    if not near.all():
        af, x, y = a[~near], z[~near] / a[~near], r[~near] / a[~near]
        small = y < 0.05
        y2 = np.where(small, y * y, 0.0)
        series = y2 * y * (1 / 3 + y2 * (1 / 5 + y2 * (1 / 7 + y2 * (1 / 9 + y2 / 11))))
        zeta = (1.5 * np.where(small, series, np.arctanh(y) - y)) ** (2 / 3)
        root, yb = np.sqrt(zeta), np.where(small, 1.0, y)
        zb, rb = np.where(small, 1.0, zeta), np.where(small, 1.0, root)
        b = -5 / (48 * zb**2) + (5 / (24 * yb**3) - 1 / (8 * yb)) / rb
        c = 7 / (48 * zb) + rb * (-7 / (24 * yb**3) + 3 / (8 * yb))
        b = np.where(small, 2 ** (1 / 3) / 70 + zeta * 2 / 225, b)
        c = np.where(small, 2 ** (2 / 3) / 10 + zeta * 2 ** (1 / 3) / 50, c)
        third = np.cbrt(af)
        ai, dai, bi, dbi = special.airy(third * third * zeta)
        front = (4 * zeta / y**2) ** 0.25
        out[0, ~near] = front * (ai / third + dai * b / third**5)
        out[1, ~near] = -front * (bi / third + dbi * b / third**5)
        out[2, ~near] = -2 / (x * front) * (ai * c / third**4 + dai / third**2)
        out[3, ~near] = 2 / (x * front) * (bi * c / third**4 + dbi / third**2)
    return out


def _products(a, w, z):
    """(-J Y pi r - 1, J' Y' pi z^2 / r - 1, (J Y)' pi z) with r = sqrt(a^2 - z^2) = s' w given."""
    r = w
    y = r / a
    xi = a * (np.arctanh(np.minimum(y, 1 - 1e-16)) - y)
    far = xi > 60.0
    out = np.zeros((3, a.size))
    near = ~far
    if near.any():
        an, zn, rn = a[near], z[near], r[near]
        j, yv, dj, dy = _bessel(an, zn, rn)
        out[:, near] = (
            -j * yv * np.pi * rn - 1,
            dj * dy * np.pi * zn**2 / rn - 1,
            (dj * yv + j * dy) * np.pi * zn,
        )
    if far.any():
        af, pf = a[far], 1.0 / y[far]
        even, odd = _debye_sums(af, pf)
        jy = 2 * even + even**2 - odd**2  # (1 + even + odd)(1 + even - odd) - 1
        # V_k = U_k - p (1 - p^2)(U_(k-1)/2 + p dU_(k-1)/dp)  (DLMF 10.41.9)
        terms = [np.ones_like(pf)]
        for k in range(1, len(_U)):
            u = _U[k - 1]
            du = np.polynomial.polynomial.polyder(u) if len(u) > 1 else np.zeros(1)
            pv = np.polynomial.polynomial.polyval
            terms.append(
                (pv(pf, _U[k]) - pf * (1 - pf**2) * (0.5 * pv(pf, u) + pf * pv(pf, du))) / af**k
            )
        veven, vodd = sum(terms[2::2]), sum(terms[1::2])
        # J'Y + JY' ~ (1+ve+vo)(-(1+e-o)) + (1+e+o)(1+ve-vo)
        out[:, far] = (
            jy,
            2 * veven + veven**2 - vodd**2,
            2 * (odd * (1 + veven) - vodd * (1 + even)),
        )
    return out


def _doubling(function, edges, rtol, start=24, stop=384):
    """Composite Gauss-Legendre over the panels, nodes doubled until every component settles."""
    previous, n = None, start
    while True:
        x, w = np.polynomial.legendre.leggauss(n)
        value = 0.0
        for lo, hi in itertools.pairwise(edges):
            value = value + function(lo + (hi - lo) * (x + 1) / 2) @ (w * (hi - lo) / 2)
        if previous is not None:
            tolerance = rtol * np.max(np.abs(value)) * np.array([1.0] + [0.1] * (len(value) - 1))
            if n >= stop or np.all(np.abs(value - previous) <= tolerance):
                return value
        previous, n = value, 2 * n


class Reference:
    """One point (s, theta, theta_e)."""

    def __init__(self, s, theta, theta_e):
        self.s, self.theta_e = s, theta_e
        self.sine, self.cosine = np.sin(theta), np.cos(theta)
        self.sp = s * self.sine
        self.tilt = np.arcsinh(self.cosine / self.sine)
        # f = norm exp(-(gamma - 1)/theta_e)
        self.norm = 1 / (4 * np.pi * theta_e * special.kve(2, 1 / theta_e))

    def _frame(self, chi, v):
        """a, z, u', w, u_perp at gamma = cosh(chi)."""
        w, u = np.cosh(v), np.sinh(v)
        gap = (
            2 * self.sine * np.sinh((chi - v - self.tilt) / 2) * np.sinh((chi + v + self.tilt) / 2)
        )
        g = w + np.maximum(gap, 0)
        up = np.sqrt(np.maximum(gap, 1e-30) * (g + w))
        return self.sp * g, self.sp * up, u, w, up

    def _kernels(self, a, z, u, w, up):
        j, _, dj, _ = _bessel(a, z, self.sp * w)
        return np.array(
            [(u * j) ** 2 + (up * dj) ** 2, (u * j) ** 2 - (up * dj) ** 2, -2 * u * up * j * dj]
        )

    def _peaks(self, chi):
        """Panel edges in v: the ends, and points closing in on the smallest exponent."""
        lo, hi = -self.tilt - chi, -self.tilt + chi
        grid = np.linspace(lo, hi, 801)[1:-1]
        a, _, _, w, _ = self._frame(chi, grid)
        y = np.minimum(self.sp * w / a, 1 - 1e-15)
        xi = a * (np.arctanh(y) - y)
        best = grid[np.argmin(xi)]
        inside = grid[xi < xi.min() + 40]
        left, right = inside.min() - grid[1] + grid[0], inside.max() + grid[1] - grid[0]
        left, right = max(left, lo), min(right, hi)
        return lo, hi, best, left, right, xi.min()

    def continuous(self):
        """Emission integrals Int f k_S dg' du' where harmonics overlap."""

        def weight(chi):
            return (
                np.log(np.sinh(chi)) - (np.cosh(chi) - 1) / self.theta_e - 2 * self._peaks(chi)[5]
            )

        grid = np.geomspace(1e-3, np.arccosh(1 + 750 * self.theta_e), 400)
        values = np.array([weight(c) for c in grid])
        keep = grid[values > values.max() - 40]
        lo, hi = keep.min() / 1.02, min(keep.max() * 1.02, grid[-1])

        def outer(chi):
            _, _, best, left, right, _ = self._peaks(chi)
            inner = _doubling(
                lambda v: self._kernels(*self._frame(chi, v)) * np.cosh(v),
                (left, best, right),
                1e-10,
            )
            return inner * np.sinh(chi) * np.exp(-(np.cosh(chi) - 1) / self.theta_e + shift)

        shift = (np.cosh(grid[np.argmax(values)]) - 1) / self.theta_e
        result, _ = integrate.quad_vec(
            outer,
            lo,
            hi,
            epsrel=1e-9,
            epsabs=0,
            limit=100,
            norm="max",
            points=(grid[np.argmax(values)],),
        )
        return result * self.sine * self.norm * np.exp(-shift)

    def order_integral(self, a):
        """K(a) = Int du' f k_S at g' = a/s'."""
        g = a / self.sp
        if g <= 1:
            return np.zeros(3)
        eta = np.arccosh(g)

        def integrand(v):
            w, u = np.cosh(v), np.sinh(v)
            gap = 2 * np.sinh((eta - v) / 2) * np.sinh((eta + v) / 2)
            up = np.sqrt(np.maximum(gap, 1e-30) * (g + w))
            gamma = (g + self.cosine * u) / self.sine
            k = self._kernels(np.full_like(v, a), self.sp * up, u, w, up)
            return k * w * np.exp(-(gamma - 1) / self.theta_e)

        grid = np.linspace(-eta, eta, 801)[1:-1]
        total = np.abs(integrand(grid)[0])
        keep = grid[total > total.max() * 1e-18]
        return self.norm * _doubling(
            integrand,
            (
                max(keep.min() - eta / 100, -eta),
                grid[np.argmax(total)],
                min(keep.max() + eta / 100, eta),
            ),
            1e-10,
        )

    def harmonics(self):
        """(1/s') sum over n of K(n), one by one."""
        total, n, best = np.zeros(3), int(np.floor(self.sp)) + 1, 0.0
        while True:
            term = self.order_integral(float(n))
            total += term
            best = max(best, term[0])
            # the slowest tail is exponential over theta_e sin(theta) s'
            if n > self.sp + 5 and term[0] < 1e-13 * best / max(1.0, self.theta_e * self.sp):
                return total / self.sp
            n += 1
            if n > 40000:
                raise RuntimeError("too many harmonics")

    def principal_value(self):
        """(1/s') PV Int cot(pi a) K(a) da for Q and V, folded about each integer."""
        t, w = np.polynomial.legendre.leggauss(20)
        t, w = (t + 1) / 4, w / 4
        total, n, best = np.zeros(3), max(int(np.floor(self.sp)), 1), 0.0
        while True:
            part = sum(
                wi
                / np.tan(np.pi * ti)
                * (self.order_integral(n + ti) - self.order_integral(n - ti))
                for ti, wi in zip(t, w, strict=True)
            )
            total += part
            best = max(best, np.abs(part).max())
            if n > self.sp + 5 and np.abs(part).max() < 1e-11 * best:
                return total[1:] / self.sp
            n += 1

    def rotativities(self):
        """Int dg' du' f {rho_Q, rho_V kernels} with the leading Debye terms removed."""

        def outer(chi, which):
            lo, hi, best, left, right, _ = self._peaks(chi)

            def integrand(v):
                a, z, u, w, _ = self._frame(chi, v)
                jy, djdy, slope = _products(a, self.sp * w, z)
                q = ((w * w - 1) * jy / w + w * djdy) / (np.pi * self.sp)
                return np.array([(q, u * slope / (np.pi * self.sp))[which] * w])

            inner = _doubling(integrand, sorted({lo, left, best, right, hi}), 1e-9)
            return inner * np.sinh(chi) * np.exp(-(np.cosh(chi) - 1) / self.theta_e)

        top = np.arccosh(1 + 45 * self.theta_e)
        edges = np.linspace(1e-9, top, 4)
        out = []
        for which, rtol in ((0, 1e-8), (1, 1e-9)):

            def row(chis, which=which):
                return np.array([[outer(c, which)[0] for c in chis]])

            out.append(_doubling(row, edges, rtol, start=16, stop=128)[0] * self.sine * self.norm)
        return np.array(out)

    def all(self, harmonic):
        """The eight at nu = 1, n_e = 1; Df = -f/theta_e."""
        stokes = self.harmonics() if harmonic else self.continuous()
        rotation = self.rotativities()
        if harmonic and self.sp < 30:
            rotation = rotation + self.principal_value()
        p = 2 * np.pi**2 * E**2 * self.s / (M * C)
        j = 4 * np.pi**2 * E**2 / C * self.s * stokes
        return np.concatenate([j, p * stokes / self.theta_e, p * rotation / self.theta_e])


def points():
    """(s, theta, theta_e, harmonics one by one) spread over the promised range."""
    rng = np.random.default_rng(7)
    chosen = []
    for theta_e in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
        for _ in range(3):  # continuous
            sine = np.sin(theta := rng.uniform(0.3, 1.57))
            low = 110.0 if theta_e < 0.1 else 40.0 if theta_e < 1 else 20.0
            high = min(1e8, max(3e4 * theta_e**2 * sine**2, 3 * low)) if theta_e < 50 else 1e8
            chosen.append((low * (high / low) ** rng.uniform() / sine, theta, theta_e, False))
    chosen += [
        (5.3 / np.sin(t), t, te, True)
        for t, te in ((1.2, 0.03), (0.9, 0.1), (1.5, 0.3), (0.7, 1.0))
    ]
    chosen += [(9.7 / np.sin(t), t, te, True) for t, te in ((1.0, 0.05), (1.3, 0.2), (0.5, 0.1))]
    chosen += [
        (1.0, 1.0, 0.03, True),
        (1.0, 1.57, 1.0, True),
        (3.3, 1.1, 0.3, True),
        (2.2, 0.4, 0.1, True),
    ]
    chosen += [
        (2000.0, 0.01, 0.03, False),
        (1e5, 0.01, 3.0, False),
        (3e7, 0.02, 30.0, False),
        (1e4, 1.57, 5.0, False),
    ]
    # beyond, SciPy's Bessel functions of order 1e6 and more take minutes a point
    chosen = chosen[:20] + chosen[24:]
    return [*chosen, (60.0, 1.2, 100.0, False), (3000.0, 0.5, 100.0, False)]


def main():
    """Fill the table; rows that are there are kept, so that a stopped run resumes."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    for s, theta, theta_e, harmonic in points()[len(rows) :]:
        values = Reference(s, theta, theta_e).all(harmonic)
        rows.append(
            {
                "s": s,
                "theta": theta,
                "theta_e": theta_e,
                "values": dict(zip(NAMES, values, strict=True)),
            }
        )
        PATH.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"{len(rows)} of {len(points())}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
