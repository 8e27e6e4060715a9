"""Which checkpoint a file is, and the class weights that a prior gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photochrom.color import bins
from photochrom.errors import ConfigError, DataError, ModelError
from photochrom.train.published import ImportOptions, import_published, released_log_weights


def shares() -> np.ndarray[Any, Any]:
    p = np.exp(-np.linalg.norm(bins.BINS.astype(np.float64), axis=1) / 20)
    return p / p.sum()


def saved(tmp_path: Path, values: Any) -> Path:
    path = tmp_path / "prior_probs.npy"
    np.save(path, values)
    return path


def test_weights_are_those_of_the_released_training(tmp_path: Path) -> None:
    p = shares()
    found = released_log_weights(saved(tmp_path, p), bins.BINS)
    # The released recipe in its own order: mix, invert, scale so that the mean weight is 1.
    mixed = 0.5 * p + 0.5 / 313
    w = (1 / mixed) / np.sum(p / mixed)
    np.testing.assert_allclose(found, np.log(w), atol=1e-5)
    assert found.dtype == np.float32 and np.sum(p * np.exp(found)) == pytest.approx(1)
    column = saved(tmp_path, p.astype(np.float32)[:, None])
    np.testing.assert_allclose(released_log_weights(column, bins.BINS), found, atol=1e-6)


def test_the_uniform_part_is_over_the_colors_that_occur(tmp_path: Path) -> None:
    p = shares()
    p[[0, 17, 312]] = 0
    p /= p.sum()
    found = released_log_weights(saved(tmp_path, p), bins.BINS)
    occur = p > 0
    mixed = 0.5 * p[occur] + 0.5 / 310
    np.testing.assert_allclose(
        found[occur], np.log((1 / mixed) / np.sum(p[occur] / mixed)), atol=1e-5
    )
    assert np.isfinite(found).all() and (found[~occur] >= found[occur].max() - 1e-6).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(312, 1 / 312), r"has the shape \(312,\)"),
        (np.full((2, 313), 1 / 626), r"has the shape \(2, 313\)"),
        (np.full(313, 1 / 300), r"its shares sum to 1\.043"),
        (np.arange(313), "its shares sum to 4.883e"),
        (np.r_[-0.5, np.full(312, 1.5 / 312)], "negative shares"),
        (np.full(313, np.nan), "negative shares or no numbers"),
        (np.array(["a"] * 313), "holds no array of numbers"),
    ],
)
def test_what_is_no_prior_is_named(tmp_path: Path, values: Any, message: str) -> None:
    path = saved(tmp_path, values)
    with pytest.raises(DataError, match=f"prior_probs.npy: .*{message}.*313 shares that sum to 1"):
        released_log_weights(path, bins.BINS)


def test_a_file_that_is_no_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npy: no such file"):
        released_log_weights(tmp_path / "none.npy", bins.BINS)
    path = tmp_path / "prior_probs.npy"
    for content in (b"", b"shares", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as a NumPy array"):
            released_log_weights(path, bins.BINS)
    np.save(path, np.array([{}] * 313, dtype=object))
    with pytest.raises(DataError, match="cannot be read as a NumPy array"):
        released_log_weights(path, bins.BINS)


def test_a_checkpoint_with_other_bins_has_no_use_for_the_prior(tmp_path: Path) -> None:
    path = saved(tmp_path, shares())
    released_log_weights(path, bins.BINS + np.float32(0.5))
    with pytest.raises(ModelError, match="the checkpoint's bins are others"):
        released_log_weights(path, bins.BINS[::-1])


def test_what_eccv16_does_not_have_is_refused(tmp_path: Path) -> None:
    from photochrom.train.eccv16 import ECCV16

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in ECCV16().state_dict().items()}
    state = {name: torch.tensor(0.01).expand(shape) for name, shape in shapes.items()}
    state["model_out.weight"] = torch.zeros(2, 313, 1, 1)
    path = tmp_path / "colorization_release_v2.pth"
    torch.save(state, path)
    for options, message in (
        (ImportOptions(head="regression"), "eccv16 has no regression"),
        (ImportOptions(mask_center=0.5), "takes no such mask"),
    ):
        with pytest.raises(ConfigError, match=message):
            import_published(path, tmp_path / "a.onnx", options=options)
    prior = saved(tmp_path, np.ones(3))
    with pytest.raises(DataError, match=r"has the shape \(3,\)"):
        import_published(path, tmp_path / "a.onnx", options=ImportOptions(prior=str(prior)))
    assert not (tmp_path / "a.onnx").exists()
