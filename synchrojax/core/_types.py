"""What annotations of arrays are made of."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Array, Float

Arrays: TypeAlias = Array | np.ndarray
# JAX gives constants to rules of derivatives as Python numbers
Reals: TypeAlias = float | int | Float[Arrays, "..."]
