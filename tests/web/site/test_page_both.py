"""The studio's own test of a phone, on a site: the page does not know what is behind it.

It is the only one here, for each visit compiles ONNX Runtime anew, which takes long.
"""

from __future__ import annotations

from tests.web.studio.test_page_phone import test_a_phone_by_touch

__all__ = ["test_a_phone_by_touch"]
