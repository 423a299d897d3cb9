"""Power-law electrons with sharp ends, between physical and network space.

All coefficients are linear in f: those of gamma_min..gamma_max are C(gamma_min) - C(gamma_max),
where the cumulative C(g) belongs to the electrons above g. With D(g) = C(1) - C(g) and L = ln(C /
D),

    C(a) - C(b) = C(1) sigma(L(a)) sigma(-L(b)) (1 - exp(L(b) - L(a))),    sigma(x) = 1 / (1 +
    exp(-x)),

which loses no digits, neither far below gamma_min nor far above gamma_max, and is positive.
Networks learn ln C(1) as a function of direction and p, and the corrections to L, which fall as 1 /
(s sin(theta)) and 1 / gamma^2; the limit is known (data/make_powerlaw_limit.py). rho_V needs C
alone. rho_Q changes sign: its high-frequency integral, closed at gamma_0 = sqrt(s / sin(theta)),
its tabulated limit, and corrections of the same kind.

Anisotropy is learned as what it changes in C(1), L and the rotativities (``_anisotropy``): the
isotropic networks are the packaged ones.
"""

from synchrojax.families.powerlaw._family import POWERLAW, POWERLAW_PITCH, PowerLawFamily

__all__ = ["POWERLAW", "POWERLAW_PITCH", "PowerLawFamily"]
