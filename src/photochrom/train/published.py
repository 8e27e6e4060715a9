"""The authors' released PyTorch checkpoints: which one a file is, its network, its class weights.

The kind is told by the names of the tensors. Each must be there in its shape, and no other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from photochrom.arrays import Float32, Float64
from photochrom.color import bins
from photochrom.errors import ConfigError, DataError, ModelError
from photochrom.models import ModelInfo
from photochrom.train.config import AB_SCALE
from photochrom.train.eccv16 import ECCV16
from photochrom.train.export import Comparison, info_of, write_model
from photochrom.train.siggraph17 import LATTICE, SIGGRAPH17, Head

__all__ = [
    "ImportOptions",
    "Published",
    "import_published",
    "load_published",
    "released_log_weights",
]

_EXPECTED = "give colorization_release_v2-*.pth or siggraph17-*.pth"
RELEASED_REBALANCE = 0.5
"""lambda of the released training (the paper, section 2.2)."""
RELEASED_NEIGHBORS = 10
"""k of its targets, where the paper says 5."""


@dataclass(frozen=True, eq=False)
class Published:
    """What a released checkpoint holds."""

    arch: str
    """eccv16 or siggraph17."""
    network: nn.Module
    """In evaluation mode."""
    centers: Float32
    """(Q, 2) ab of each logit, by the checkpoint's own table where it has one; (0, 2) of a
    regression."""
    rebalanced: bool
    """Trained with class weights, which a checkpoint doesn't hold."""
    training_data: str


@dataclass(frozen=True)
class ImportOptions:
    """What a checkpoint doesn't say of itself, and how to store it."""

    prior: str | None = None
    """The prior_probs.npy of eccv16's training: with it, the probabilities are honest."""
    head: Head | None = None
    """Of siggraph17: regression (None) or distribution."""
    mask_center: float = 0.0
    """Subtracted from the mask of siggraph17's hints: 0 for the released weights, 0.5 for those
    that the authors' PyTorch code trains."""
    bits: int = 32
    """Of the weights: 32 or 16."""
    force: bool = False
    """Replace an existing file."""


def import_published(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    photos: Sequence[str] = (),
    options: ImportOptions | None = None,
) -> tuple[Comparison, ModelInfo]:
    """Write a PyTorch checkpoint that the authors released as an ONNX file.

    Parameters
    ----------
    checkpoint : colorization_release_v2-*.pth or siggraph17-*.pth, told apart by their tensors
    output : the .onnx file
    photos : shards or folders to compare on; generated images when empty
    options : the defaults when None

    Returns
    -------
    how near the file comes to PyTorch, and what it says of itself

    Raises
    ------
    ModelError
        The checkpoint is not a published network, or the file gives other results than PyTorch.
    ConfigError
        Options that the network has no use for.
    DataError
        The prior cannot be used.
    """
    options = options or ImportOptions()
    if options.bits not in (32, 16):
        raise ConfigError(f"weights of {options.bits} bits: must be 32 or 16")
    published = load_published(checkpoint, options.head)
    if options.prior is not None and not published.rebalanced:
        raise ConfigError(f"{checkpoint}: was trained without class weights", "leave the prior out")
    takes_hints = published.network.in_channels == 4
    if not math.isfinite(options.mask_center) or (options.mask_center and not takes_hints):
        raise ConfigError(f"mask center {options.mask_center}: the network takes no such mask")
    log_weights = np.zeros(len(published.centers), np.float32)
    if options.prior is not None:
        log_weights = released_log_weights(options.prior, published.centers)
    info = info_of(
        published.network,
        name=Path(output).stem,
        arch=published.arch,
        license="that of the released weights (BSD-2-Clause)",
        training_data=published.training_data,
        working_size=256,
        bins=published.centers,
        log_weights=log_weights,
        hint_mask=(0.0 - options.mask_center, 1.0 - options.mask_center),
        unknown_rebalancing=published.rebalanced and options.prior is None,
    )
    compared = write_model(
        published.network,
        info,
        Path(output),
        list(photos),
        force=options.force,
        bits=options.bits,
    )
    return compared, info


def load_published(path: str | os.PathLike[str], head: Head | None = None) -> Published:
    """Load a released checkpoint, strictly.

    Parameters
    ----------
    path : colorization_release_v2-*.pth (eccv16) or siggraph17-*.pth, as PyTorch saved it
    head : of siggraph17, which has two; the regression when None

    Raises
    ------
    ModelError
        The file cannot be read, or a tensor is missing, left over or of another shape.
    ConfigError
        A head that the network doesn't have.
    """
    state = _read(path)
    if "model_out.weight" in state:
        if head not in (None, "distribution"):
            raise ConfigError(f"{path}: eccv16 has no {head}, only the distribution")
        return _eccv16(path, state)
    if "model_out.0.weight" in state:
        return _siggraph17(path, state, head or "regression")
    raise ModelError(
        f"{path}: has neither model_out.weight nor model_out.0.weight", _EXPECTED
    )  # fmt: skip


def _read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors by their names; nothing in the file is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ModelError(
            f"{path}: cannot be read as a PyTorch checkpoint ({type(error).__name__})", _EXPECTED
        ) from error
    if not isinstance(state, Mapping):
        raise ModelError(f"{path}: holds no tensors with names", _EXPECTED)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{path}: {name} is no tensor", _EXPECTED)
    return {str(name): value for name, value in state.items()}


def _load(
    path: str | os.PathLike[str], make: Callable[[], nn.Module], state: Mapping[str, Tensor]
) -> nn.Module:
    """The network with these weights; `make` is called where nothing is drawn at random."""
    with torch.device("meta"):
        network = make()
    weights = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    # BatchNorm's counters came with later versions of PyTorch; they play no part in inference.
    for key in network.state_dict():
        if key.endswith("num_batches_tracked"):
            weights.setdefault(key, torch.tensor(0))
    try:
        network.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        name = type(network).__name__.lower()
        raise ModelError(f"{path}: is not the published network {name}: {detail}") from error
    return network.eval()


def _eccv16(path: str | os.PathLike[str], state: dict[str, Tensor]) -> Published:
    table = state.pop("model_out.weight")
    network = _load(path, ECCV16, state)
    if table.shape[:2] != (2, bins.Q) or table.numel() != 2 * bins.Q:
        raise ModelError(f"{path}: model_out.weight must be (2, {bins.Q}, 1, 1)")
    centers = np.ascontiguousarray(
        table.float().reshape(2, bins.Q).T.numpy() * np.float32(AB_SCALE)
    )
    return Published(
        arch="eccv16",
        network=network,
        centers=centers,
        rebalanced=True,
        training_data="ImageNet, by Zhang, Isola and Efros; class weights with lambda = "
        f"{RELEASED_REBALANCE}, targets with k = {RELEASED_NEIGHBORS}",
    )


def _siggraph17(path: str | os.PathLike[str], state: dict[str, Tensor], head: Head) -> Published:
    if head == "regression" and not any(name.startswith("model_class.") for name in state):
        # Copies for coloring alone go without the other head, which then is not needed.
        q = len(LATTICE)
        unused = {"weight": torch.zeros(q, 256, 1, 1), "bias": torch.zeros(q)}
        state |= {f"model_class.0.{part}": value for part, value in unused.items()}
    return Published(
        arch="siggraph17",
        network=_load(path, lambda: SIGGRAPH17(head), state),
        centers=LATTICE.copy() if head == "distribution" else np.empty((0, 2), np.float32),
        rebalanced=False,
        training_data="ImageNet, by Zhang, Zhu, Isola and others",
    )


def released_log_weights(path: str | os.PathLike[str], centers: Float32) -> Float32:
    """By how much the released training raised each logit of eccv16, from the prior it used.

    Parameters
    ----------
    path : prior_probs.npy of the released code: the share of each bin over its training photos
    centers : float32 (313, 2), the checkpoint's own table of bins

    Returns
    -------
    float32 (313,), log w

    Raises
    ------
    DataError
        The file cannot be read or holds no distribution over the bins.
    ModelError
        The checkpoint's bins are not those that the prior is of.

    Notes
    -----
    The released code mixes the uniform part over the bins that occur. A bin that never occurs has
    no weight there; here it gets that of the rarest, which an occurrence next to nothing has.

    Source: the paper, section 2.2, equation 4, and the released training code.
    """
    prior = _prior(path)
    if np.abs(centers - bins.BINS).max() > bins.GRID / 2:
        raise ModelError(
            f"{path}: cannot be used: the checkpoint's bins are others than the paper's 313"
        )
    if prior.all():
        weights = bins.rebalancing_weights(prior, RELEASED_REBALANCE)
        return np.log(weights).astype(np.float32)
    occur = prior > 0
    mixed = (1 - RELEASED_REBALANCE) * prior + RELEASED_REBALANCE / occur.sum()
    return np.asarray(-np.log(mixed) - np.log((prior / mixed).sum()), dtype=np.float32)


def _prior(path: str | os.PathLike[str]) -> Float64:
    give = f"give prior_probs.npy of the released code, {bins.Q} shares that sum to 1"
    try:
        loaded = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a NumPy array", give) from error
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "fiu":
        raise DataError(f"{Path(path)}: holds no array of numbers", give)
    if loaded.size != bins.Q or max(loaded.shape) != bins.Q:
        raise DataError(f"{path}: has the shape {loaded.shape}", give)
    prior = loaded.astype(np.float64).ravel()
    if not (np.isfinite(prior).all() and (prior >= 0).all()):
        raise DataError(f"{path}: holds negative shares or no numbers", give)
    if abs(prior.sum() - 1) > 1e-4:
        raise DataError(f"{path}: its shares sum to {prior.sum():.4g}", give)
    return prior
