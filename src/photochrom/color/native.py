"""The compiled kernel (_kernel.c), if it was built: the same results in a fraction of the time.

It is optional. Its users look at `kernel` each time, and use NumPy if it is None. The environment
decides when this module is loaded: PHOTOCHROM_NATIVE=0 leaves the kernel out, and 1 requires it.
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
    wish : "0" for None, "1" for an error if the kernel is missing, None or "" for either

    Raises
    ------
    ConfigError
        It is required but missing, or the wish is unknown.
    """
    if wish not in (None, "", "0", "1"):
        raise ConfigError(f"{SWITCH}={wish}: must be 0 (off), 1 (required), or unset")
    if wish == "0":
        return None
    try:
        return importlib.import_module("photochrom.color._kernel")
    except ImportError as error:
        if wish != "1":
            return None
        raise ConfigError(
            f"{SWITCH}=1: the compiled kernel cannot be loaded ({error})",
            "reinstall photochrom with a C compiler present, "
            f"or unset {SWITCH} to run without the kernel",
        ) from error


kernel: ModuleType | None = load(os.environ.get(SWITCH))
