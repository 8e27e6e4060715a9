"""The studio's own tests of its page, on a site: the page does not know what is behind it."""

from __future__ import annotations

from tests.web.studio.test_page_phone import test_a_phone_by_touch
from tests.web.studio.test_page_photos import (
    test_pasting_and_several_at_once,
    test_two_tabs_with_one_photo_share_its_hints,
)

__all__ = [
    "test_a_phone_by_touch",
    "test_pasting_and_several_at_once",
    "test_two_tabs_with_one_photo_share_its_hints",
]
