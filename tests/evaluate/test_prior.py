from __future__ import annotations

import numpy as np

from photochrom.color import metrics
from photochrom.evaluate.prior import published_prior


def test_the_published_prior_is_a_distribution_of_photographs() -> None:
    p = published_prior()
    assert p.shape == (313,) and p.min() >= 0 and abs(p.sum() - 1) < 1e-9
    from photochrom.color import bins

    # In photographs grayish colors are common and saturated ones rare.
    dull = np.linalg.norm(bins.BINS, axis=1) < 15
    assert p[dull].sum() > 0.4
    assert p[np.linalg.norm(bins.BINS, axis=1) > 80].sum() < 0.02


def test_it_weighs_photos_about_as_unevenly_as_the_shares_say() -> None:
    p = published_prior()
    for strength, share in metrics.EFFECTIVE_SHARE.items():
        weights = metrics.class_weights(p, strength)
        # By single pixels drawn from the prior; photos, which hold many, are a little more alike.
        pixels = (p * weights).sum() ** 2 / (p * weights**2).sum()
        assert 0.02 * share < pixels < 1.2 * share + 0.1
