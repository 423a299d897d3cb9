"""Print the nodes that single harmonics are summed at, ``families/_harmonics.py``.

``python data/make_harmonics.py``. K(n) starts as (n - s')^(s' + 1/2) at n = s', where a pole of
cot(pi n) may be near, and cot(pi n) + i falls as exp(-2 pi u) above the axis, n = s' + i u: Gauss's
rule in t = sqrt(2 pi u) for the weight t^4 exp(-t^2), by Stieltjes' recurrence and the eigenvectors
of its matrix. Of 9 nodes the last adds nothing in float32.
"""

import numpy as np

POWER, NODES, KEPT = 4, 9, 8


def gauss(power, count):
    """Nodes and weights for t^power exp(-t^2), t > 0."""
    x, fine = np.polynomial.legendre.leggauss(2000)
    t = 6.0 * (x + 1.0)
    fine = 6.0 * fine * t**power * np.exp(-t * t)
    before, now, norms, centres = np.zeros_like(t), np.ones_like(t), [], []
    for _ in range(count):
        norms.append(np.sum(fine * now * now))
        centres.append(np.sum(fine * t * now * now) / norms[-1])
        ratio = norms[-1] / norms[-2] if len(norms) > 1 else 0.0
        before, now = now, (t - centres[-1]) * now - ratio * before
    beside = np.sqrt(np.array(norms[1:]) / norms[:-1])
    nodes, vectors = np.linalg.eigh(np.diag(centres) + np.diag(beside, 1) + np.diag(beside, -1))
    return nodes, norms[0] * vectors[0] ** 2


def main():
    t, weight = gauss(POWER, NODES)
    share = 2.0 * weight * t ** (1 - POWER) / np.pi
    for name, values in (("_V", t * t), ("_SHARE", share)):
        print(f"{name} = np.array([{', '.join(f'{x:.9g}' for x in values[:KEPT])}])")


if __name__ == "__main__":
    main()
