"""HEIC, with the extra photochrom[heif]: libvips comes without a codec for HEVC.

Orientation: the decoder applies the file's own turns; the orientation in its EXIF does not count
(ISO/IEC 23008-12, 6.5.10 and annex A).
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts, Metadata
from photochrom.photo.formats.format import Decoded, Format, Holds, Request, brands, result_exif
from photochrom.photo.formats.hevc import is_lossless
from photochrom.photo.metadata.exif import exif_resolution
from photochrom.photo.profiles import srgb_profile
from photochrom.photo.source import REMEDY_DAMAGED
from photochrom.text import one_line

__all__ = ["HEIC"]

_HEVC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])


@dataclass(frozen=True, eq=False)
class _Heic(Format):
    def begins(self, head: bytes) -> bool:
        return bool(brands(head) & _HEVC_BRANDS)

    def check(self, name: str) -> None:
        if importlib.util.find_spec("pillow_heif") is None:
            raise PhotoError(
                "HEIC needs an extra",
                "run pip install 'photochrom[heif]', or convert it to JPEG, PNG or TIFF",
                name=name,
            )

    def size(self, data: bytes, name: str) -> tuple[int, int]:
        import pillow_heif

        try:
            opened = pillow_heif.open_heif(io.BytesIO(data))
            width, height = opened[opened.primary_index].size
        except Exception as error:  # whatever the library raises about a damaged file
            raise _damaged(name, error) from None
        return height, width

    def decode(self, request: Request) -> Decoded:
        with request.origin.open() as file:
            return _decoded(file, request)

    def encode(self, file: BinaryIO, samples: NDArray[Any], carried: Carried) -> None:
        """Write 8 bits as 8, and 16 as 10; chroma keeps its full resolution."""
        import pillow_heif

        name, facts = carried.facts.name, carried.facts
        if "HEIF" not in pillow_heif.libheif_info() or not pillow_heif.libheif_info()["HEIF"]:
            raise PhotoError(
                "the installed pillow-heif cannot write HEIC",
                "choose .jpg, .png or .tif",
                name=name,
            )
        exif = result_exif(carried)
        height, width, bands = samples.shape
        mode = ("RGB" if bands == 3 else "RGBA") + (";16" if samples.dtype == np.uint16 else "")
        image: Any = pillow_heif.from_bytes(mode, (width, height), samples.tobytes())
        extra: dict[str, Any] = {"exif": exif} if exif else {}
        if facts.profiled:
            image[0].info["icc_profile"] = srgb_profile()
            image[0].info["icc_profile_type"] = "prof"
        quality = self.options["Q"] if carried.quality is None else carried.quality
        if self.stays_lossless(facts) and carried.quality is None:
            quality, extra["matrix_coefficients"] = _WITHOUT_LOSS, _RGB
        try:
            image.save(file, quality=quality, chroma=444, xmp=carried.xmp, save_all=False, **extra)
        except OSError:
            raise
        except Exception as error:
            raise PhotoError(
                f"cannot be written: {one_line(error)}", "use .png", name=name
            ) from None


_WITHOUT_LOSS = -1  # as a quality of pillow-heif
_RGB = 0  # as matrix coefficients (ITU-T H.273): not converted to Y, Cb and Cr

HEIC = _Heic(
    name="HEIC",
    suffixes=(".heic", ".heif"),
    media_type="image/heic",
    loader="",
    saver="",
    holds=Holds((np.uint8, np.uint16), side=16384),
    options={"Q": 90},
    extra=True,
    exif_by_libvips=False,
)


def _decoded(file: BinaryIO, request: Request) -> Decoded:
    """The main image of a file; 10 and 12 bits become uint16 over the full range."""
    import pillow_heif

    try:
        opened = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        image = opened[opened.primary_index]
        request.limits.check_size(request.name, *image.size)
        width, height = image.size
        deep = image.mode.endswith(";16")
        bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[image.mode.partition(";")[0]]
        request.limits.check_whole(request.name, "HEIC", width * height * bands * (1 + deep))
        data: NDArray[Any] = np.frombuffer(image.data, np.uint16 if deep else np.uint8)
        row = image.stride // data.itemsize
        info: Mapping[str, Any] = image.info
        samples: NDArray[Any] = data.reshape(height, row)[:, : width * bands].reshape(
            height, width, bands
        )
        if deep:  # the low bits are empty: white would not be white
            samples = samples | samples >> int(info["bit_depth"])
        exif, xmp = (bytes(info[key]) if info.get(key) else None for key in ("exif", "xmp"))
        profile = info.get("icc_profile") or None
        facts = Facts(
            request.name,
            "file",
            depth=samples.dtype,
            profiled=profile is not None,
            metadata=Metadata(exif, xmp),
            resolution=exif_resolution(exif) if exif else None,
            extension=HEIC.suffixes[0],
            frames=len(opened),
            lossless=is_lossless(file),
        )
        return Decoded(samples, profile, facts)
    except PhotoError:
        raise
    except Exception as error:  # whatever the library raises about a damaged file
        raise _damaged(request.name, error) from None


def _damaged(name: str, error: Exception) -> PhotoError:
    return PhotoError(f"cannot be read: {one_line(error)}", REMEDY_DAMAGED, name=name)
