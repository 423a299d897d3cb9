"""rho_Q of one ultrarelativistic electron, and what its cone of emission makes of it."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Float

from synchrojax.core import Reals, reciprocal

# rho_Q of one ultrarelativistic electron over its high-frequency limit is m^2 h(m), m = x^(2/3) /
# (1 + x^(2/3)) and x = (gamma_0 / gamma)^2. h, up to 2.0, by AAA (Nakatsukasa et al. 2018, SIAM J.
# Sci. Comput. 40, A1494) from ``exact`` at s = 1e8: a constant and, for each pair of poles,
# (a m + b) / (m^2 + c m + d). data/make_conversion_kernel.py makes such numbers from the limit of
# large s, from which these are 4e-6 away at most
KERNEL = -0.003570652
KERNEL_POLES = (
    (-0.747745109, 0.574379667, -1.570415172, 0.902580033),
    (1.353060063, -1.110283308, -1.602252679, 0.719252314),
    (-0.567590777, 0.559891733, -1.653307238, 0.712596896),
    (0.004788665, -0.020194585, -1.705839851, 0.739303432),
    (0.003899997, -0.003119111, -1.757851791, 0.777034164),
)


def _poles(pairs: Sequence[tuple[float, ...]], m: Reals) -> Reals:
    return sum((a * m + b) * reciprocal((m + c) * m + d) for a, b, c, d in pairs)


def conversion_kernel(log_x: Reals) -> Float[Array, "..."]:
    """rho_Q of one fast electron over its high-frequency limit, x = (gamma_0 / gamma)^2."""
    m = jax.nn.sigmoid(2.0 / 3.0 * log_x)
    return m * m * (KERNEL + _poles(KERNEL_POLES, m))


def conversion_size(log_x: Reals) -> Float[Array, "..."]:
    """About the size of ``conversion_kernel``, smooth where that changes sign."""
    m = jax.nn.sigmoid(2.0 / 3.0 * log_x)
    # a choice: averaged over kappa electrons 0.4 to 2.3 times what its absolute value gives
    # (tests/families/test_quadratures.py)
    return m * m * (0.15 + m * m)


# the same for the mean square angle of that electron's rho_Q from the line of sight: m h(m); made
# by data/make_pitch_smear.py
_CONE = 0.26676104
_CONE_POLES = (
    (0.21270746, -0.03792847, -1.525950912, 0.684281053),
    (-0.09626651, 0.07333062, -1.600231124, 0.661988105),
)


def conversion_cone(log_x: Reals) -> Float[Array, "..."]:
    """Angle^2 weighted by rho_Q of one fast electron, over its high-frequency limit; to 2e-3."""
    m = jax.nn.sigmoid(2.0 / 3.0 * log_x)
    return m * (_CONE + _poles(_CONE_POLES, m))
