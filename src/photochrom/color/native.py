"""The compiled kernel (_kernel.c), where it was built: the same results in a fraction of the time.

It is optional. Whoever uses it asks `kernel` each time, and has a way in NumPy for when that is
None. The environment decides when this module is loaded: PHOTOCHROM_NATIVE=0 leaves the kernel out,
1 insists on it.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from photochrom.errors import ConfigError

__all__ = ["SWITCH", "kernel", "load"]

SWITCH = "PHOTOCHROM_NATIVE"


def load(wish: str | None) -> ModuleType | None:
    """The kernel, or None without it.

    Parameters
    ----------
    wish : "0" for none, "1" for an error if it is missing, None or "" for what there is

    Raises
    ------
    ConfigError
        It is wished for and missing, or the wish is another one.
    """
    if wish not in (None, "", "0", "1"):
        raise ConfigError(f"{SWITCH}={wish}: must be 0 (without), 1 (with), or not set")
    if wish == "0":
        return None
    try:
        return importlib.import_module("photochrom.color._kernel")
    except ImportError as error:
        if wish != "1":
            return None
        raise ConfigError(
            f"{SWITCH}=1: the compiled kernel cannot be loaded ({error}); install photochrom again "
            f"where there is a C compiler, or unset {SWITCH} to do without"
        ) from error


kernel: ModuleType | None = load(os.environ.get(SWITCH))
