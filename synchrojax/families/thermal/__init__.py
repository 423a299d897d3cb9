"""Thermal electrons, between physical and network space.

The network never sees raw coefficients. Emission is a saddle-point exponential times a smooth
correction (``_saddle``, ``_physics``); its polarization is a point of the unit disk, reached by a
map that cannot leave it; rotativities are their cold/hot limits times smooth corrections that
vanish at high frequency. All coefficients depend on (s' = s sin(theta), tau = theta_e sin(theta),
cos^2(theta)) only, apart from the sign of V. Everything here is a pure function of one point, with
arrays broadcasting.
"""

from synchrojax.families.thermal._family import THERMAL, ThermalFamily

__all__ = ["THERMAL", "ThermalFamily"]
