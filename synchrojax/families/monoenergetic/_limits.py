"""What one electron emits, absorbs and turns, as functions of one variable far above gamma = 1.

With x = nu / nu_crit as it is meant in Rybicki & Lightman 1979, eq. 6.17, emission and absorption
are closed forms in modified Bessel functions (eqs. 6.31 to 6.33 there; Legg & Westfold 1968, ApJ
154, 499, for V). Polynomials stand for them; data/make_kernel_limits.py makes their coefficients,
right to 3e-5.
"""

from typing import NamedTuple

import jax.numpy as jnp

from synchrojax.core import Points, Reals, reciprocal
from synchrojax.families._single_electron import KERNEL, KERNEL_POLES
from synchrojax.special import horner

# in m = (x / (3 + x))^(1/3), of the logarithm of what is left of each after powers of x^(1/3) and
# (1 + x / 3)^(1/3)
_EMISSION = (
    *(7.652482653e-01, 2.178761198e-05, -1.755954257e00, 2.843707738e00, -1.612457570e00),
    *(-8.925989652e-01, 2.218593065e00, -1.590420858e00, 3.685314897e-01, 1.393437382e-01),
    -7.512085320e-02,
)
_EMISSION_Q = (
    *(-5.493071559e-01, 1.680596841e-04, 2.334594036e00, -4.260193914e-01, -3.823996275e00),
    *(2.806850155e00, 5.932659335e00, -1.338325500e01, 1.157174023e01, -4.879950616e00),
    8.219827226e-01,
)
_EMISSION_V = (
    *(-2.598409704e-02, 8.277822920e-05, 1.369572085e00, -7.889276221e-01, -4.847924639e-02),
    *(2.487775456e00, -6.687884698e00, 9.053733991e00, -7.136565558e00, 3.173680957e00),
    -6.253342599e-01,
)
_ABSORPTION = (
    *(3.597830577e-01, 2.120163939e-05, 1.404174590e-04, 1.814924704e00, 2.888813624e-01),
    *(-2.051809961e00, 7.006793403e00, -1.762192830e01, 2.056723670e01, -1.123498033e01),
    2.378444296e00,
)
_ABSORPTION_Q = (
    *(-5.493390047e-01, 5.729604194e-03, -2.072933487e-01, 2.487918948e00, -1.491445568e01),
    *(8.805956652e01, -2.195545050e02, 2.791526900e02, -1.938611219e02, 6.999139437e01),
    -1.020510787e01,
)
_ABSORPTION_V = (
    *(-3.136580666e-01, -1.583880071e-03, 3.917857934e-01, -2.037975883e00, 1.386119963e01),
    *(-5.272672722e01, 1.559082720e02, -2.711603525e02, 2.591490275e02, -1.280699197e02),
    2.577160946e01,
)
# on the poles of rho_Q: constant, m, m^2 and (a, b) of each pair; to 5e-5
_ROTATION = (-6.693519898e-01, 4.720771899e-01, 4.296821903e-02)
_ROTATION_POLES = (
    (-8.699158923e-02, -4.775009714e-02),
    (1.076207757e-01, 8.517328012e-03),
    (-9.557431064e-02, 6.944520727e-02),
    (8.930502841e-03, -8.715041244e-03),
    (-1.630973675e-04, 1.943745302e-04),
)
_TO_POLES = float(1.5 ** (2.0 / 3.0))  # (gamma_0 / gamma)^2 = 1.5 x


class Limits(NamedTuple):
    """Of one ultrarelativistic electron.

    Logarithms of emission and absorption but for exp(-x), and of both coordinates of their
    polarization in the plane (``from_plane``): |Q|, and V where it would be |Q| at infinite x.
    ``turn_q``: rho_Q over its limit for high x; ``turn_v``: rho_V beside ln(gamma + u).
    """

    emission: Points
    emission_q: Points
    emission_v: Points
    absorption: Points
    absorption_q: Points
    absorption_v: Points
    turn_q: Points
    turn_v: Points


def cubic(log_x: Points) -> tuple[Points, Points, Points]:
    """ln x^(1/3), ln (1 + x / 3)^(1/3) and m."""
    near, far = log_x / 3.0, jnp.log1p(jnp.exp(log_x) / 3.0) / 3.0
    return near, far, float(3.0 ** (-1.0 / 3.0)) * jnp.exp(near - far)


def limits(near: Points, far: Points, m: Points) -> Limits:
    """All of them at what ``cubic`` returns."""
    square = _TO_POLES * jnp.exp(2.0 * near)
    turn = square * reciprocal(1.0 + square)
    turn_q: Reals = KERNEL
    turn_v: Reals = horner(_ROTATION, turn)
    for (a, b, c, d), (e, f) in zip(KERNEL_POLES, _ROTATION_POLES, strict=True):
        over = reciprocal((turn + c) * turn + d)
        turn_q, turn_v = turn_q + (a * turn + b) * over, turn_v + (e * turn + f) * over
    return Limits(
        horner(_EMISSION, m) + near + 0.5 * far,
        horner(_EMISSION_Q, m) + 1.5 * far,
        horner(_EMISSION_V, m) - near + 2.5 * far,
        horner(_ABSORPTION, m) + near + 3.5 * far,
        horner(_ABSORPTION_Q, m) + 1.5 * far,
        horner(_ABSORPTION_V, m) - near + 2.5 * far,
        turn * turn * turn_q,
        0.5 * jnp.log(turn) + turn_v,
    )
