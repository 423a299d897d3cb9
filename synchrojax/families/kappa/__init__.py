"""Kappa electrons, isotropic or times sin^k of the pitch angle, between physical and network space.

The scale is gamma_0 = sqrt(s / sin(theta)), the Lorentz factor that radiates most at s, against the
width W of the distribution. Each coefficient is its power laws on both sides of gamma_0 = W, joined
by hand, times a correction of order one. (j_Q, j_V) / j_I is a point of the unit disk; so is
(alpha_Q, alpha_V) / alpha_I of the isotropic distribution, whose df/dgamma has one sign. With k it
is not bound to be, and is left free.

Anisotropy is learned as what it changes (``_anisotropy``): the isotropic networks are the packaged
ones.
"""

from synchrojax.families.kappa._family import KAPPA, KAPPA_PITCH, KappaFamily

__all__ = ["KAPPA", "KAPPA_PITCH", "KappaFamily"]
