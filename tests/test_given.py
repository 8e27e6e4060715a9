"""What programs give as photos, and get back."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from photochrom import Colorizer, PhotoError, Prediction


@pytest.mark.slow
def test_bytes_and_binary_files_are_files(
    colorizer: Colorizer, prediction: Prediction, gray: NDArray[np.uint8]
) -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(gray).save(file, "PNG")
    expected = prediction.render()
    assert (colorizer.predict(file.getvalue()).render() == expected).all()
    file.seek(0)
    assert (colorizer.predict(file).render() == expected).all()
    with pytest.raises(PhotoError, match="binary mode"):
        colorizer.predict(io.StringIO("text"))


@pytest.mark.slow
def test_a_tensor_gives_a_tensor(
    colorizer: Colorizer, prediction: Prediction, gray: NDArray[np.uint8]
) -> None:
    torch = pytest.importorskip("torch")
    expected = np.moveaxis(prediction.render(), -1, 0)
    for channels in (1, 3):
        tensor = torch.from_numpy(np.repeat(gray[None], channels, axis=0))
        result = colorizer.predict(tensor).render()
        assert isinstance(result, torch.Tensor) and result.dtype == torch.uint8
        assert np.abs(result.numpy().astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_hints_take_names_and_codes(colorizer: Colorizer, gray: NDArray[np.uint8]) -> None:
    given = [(9, 9, color) for color in ((0, 0, 128), "navy", "#000080")]
    first, *others = (colorizer.predict(gray, [hint]).render() for hint in given)
    assert all((other == first).all() for other in others)
