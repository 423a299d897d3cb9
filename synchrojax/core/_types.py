"""What annotations of arrays are made of."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Array

Arrays: TypeAlias = Array | np.ndarray
