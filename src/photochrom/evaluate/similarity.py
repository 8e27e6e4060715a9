"""Structural similarity, computed by scikit-image."""

from __future__ import annotations

from photochrom.arrays import RGB
from photochrom.errors import DependencyError

__all__ = ["require_skimage", "ssim"]


def require_skimage() -> None:
    """Raise DependencyError if scikit-image is not installed."""
    try:
        import skimage.metrics  # noqa: F401
    except ImportError:
        raise DependencyError("SSIM needs scikit-image: pip install 'photochrom[ssim]'") from None


def ssim(rgb: RGB, truth: RGB) -> float:
    """Mean structural similarity of two photos, uint8 (H, W, 3) of 11 pixels or more each way.

    With the authors' settings: a Gaussian window of sigma 1.5, population covariances, each channel
    alone.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004.
    """
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            truth,
            rgb,
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
