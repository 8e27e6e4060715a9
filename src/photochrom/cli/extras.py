"""What a command says when an optional extra is not installed."""

from __future__ import annotations

import importlib.util

from photochrom.errors import DependencyError

__all__ = ["needs_cluster", "needs_torch", "needs_web"]


def needs_cluster(ray: bool = False) -> None:
    """Raise DependencyError if what stores and clusters need is not installed."""
    for name in ("fsspec", "pyarrow", *(["ray"] if ray else [])):
        if importlib.util.find_spec(name) is None:
            raise DependencyError(
                f"addresses and clusters need {name}", "run pip install 'photochrom[cluster]'"
            )


def needs_torch() -> None:
    """Raise DependencyError if PyTorch is not installed."""
    # PyTorch takes seconds to load, and a wrong option should not.
    if importlib.util.find_spec("torch") is None:
        raise DependencyError("this command needs PyTorch", "run pip install 'photochrom[train]'")


def needs_web(error: ImportError) -> DependencyError:
    """The error to raise for an import of the pages that failed.

    Raises
    ------
    ImportError
        The same one, if it is not about a library of that extra.
    """
    if error.name is None or error.name.partition(".")[0] not in (
        "fastapi",
        "filelock",
        "segno",
        "uvicorn",
    ):
        raise error
    return DependencyError(
        "this command needs FastAPI and uvicorn", "run pip install 'photochrom[web]'"
    )
