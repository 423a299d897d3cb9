"""Electrons of one energy, isotropic: the kernels that any N(gamma) is integrated over.

Far above gamma = 1 all eight coefficients are functions of one variable, x = nu / nu_crit
(``_limits``). ``kernels`` writes them with the exact exponent of emission in place of x, and with
the angle from B at which an electron radiates most towards the observer; so they hold down to gamma
of a few at any angle. What is left is learned by one network (``_learning``), and falls as
1 / (gamma sin(theta))^2 or 1 / (s sin(theta)).
"""

from synchrojax.families.monoenergetic._family import MONOENERGETIC, MonoenergeticFamily

__all__ = ["MONOENERGETIC", "MonoenergeticFamily"]
