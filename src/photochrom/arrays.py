"""Types of arrays: what a function takes and gives, where its docstring says the shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RGB", "Float32", "Float64"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
RGB = NDArray[np.uint8]
