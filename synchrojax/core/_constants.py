"""Physical constants, CGS (CODATA 2018), and the combinations everything is built from."""

import math

from synchrojax.core._types import Points

ELECTRON_CHARGE = 4.803204712570263e-10  # [esu]
ELECTRON_MASS = 9.1093837015e-28  # [g]
SPEED_OF_LIGHT = 2.99792458e10  # [cm s^-1]

# nu_c = GYRO * B [Hz G^-1]
GYRO = ELECTRON_CHARGE / (2.0 * math.pi * ELECTRON_MASS * SPEED_OF_LIGHT)
# j = EMISSION * n_e * nu * s * integral;  alpha, rho = -ABSORPTION * n_e / nu * s * integral
EMISSION = 4.0 * math.pi**2 * ELECTRON_CHARGE**2 / SPEED_OF_LIGHT
ABSORPTION = 2.0 * math.pi**2 * ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT)
E2_OVER_MC = ELECTRON_CHARGE**2 / (ELECTRON_MASS * SPEED_OF_LIGHT)  # of rotativities [cm^2 s^-1]


def cold(s: Points, sine: Points, cosine: Points) -> tuple[Points, Points]:
    """rho_Q and rho_V of cold plasma at nu = 1 Hz, n_e = 1 cm^-3."""
    ratio = sine / s
    return -E2_OVER_MC * ratio * ratio, 2.0 * E2_OVER_MC * cosine / s
