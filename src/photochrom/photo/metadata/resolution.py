"""The resolution that a photo file states: in its own header, and in its EXIF.

If both state one, they should agree; but an editor that changes one often forgets the other. Then
the file's own counts, unless it is the 72 pixels per inch that stand for an unknown resolution.

Sources: JFIF 1.02 (ITU-T T.871), 10.1; PNG (W3C, third edition), 11.3.4.3 pHYs; TIFF 6.0, section
8; EXIF 2.32 (CIPA DC-008, 2019), table 4.
"""

from __future__ import annotations

__all__ = [
    "CENTIMETER",
    "INCH",
    "Resolution",
    "UNKNOWN",
    "chosen",
    "per_inch",
    "sane",
    "stated",
]

Resolution = tuple[float, float]  # pixels per mm, across and down

# Where no resolution is known, EXIF 2.32 (tag 0x011A, XResolution) asks for 72 pixels per inch.
UNKNOWN = 72 / 25.4
INCH, CENTIMETER = 2, 3  # units of TIFF and EXIF
_MILLIMETERS = {INCH: 25.4, CENTIMETER: 10.0}


def sane(across: float, down: float) -> Resolution | None:
    """A resolution, unless it cannot be true; libvips takes at most a million, and no NaN."""
    return (across, down) if 0 < across <= 1e6 and 0 < down <= 1e6 else None


def stated(unit: int, across: tuple[int, int], down: tuple[int, int]) -> Resolution | None:
    """The resolution that a file states as two fractions and a unit; None if it is a mere ratio."""
    length = _MILLIMETERS.get(unit)
    if length is None:
        return None
    return sane(*(above / below / length if below else 0.0 for above, below in (across, down)))


def per_inch(value: float) -> tuple[int, int]:
    """A resolution in pixels per mm as the fraction that EXIF and TIFF store, per inch."""
    return min(round(value * 25400), 0xFFFFFFFF), 1000


def chosen(own: Resolution | None, exif: Resolution | None) -> Resolution | None:
    """Which counts, that of the file's header or that of its EXIF."""
    if own is None or exif is None:
        return own or exif
    same = all(abs(a / b - 1) < 1e-3 for a, b in zip(own, exif, strict=True))
    unknown = all(abs(value - UNKNOWN) < 0.01 for value in own)
    return exif if same or unknown else own  # the finer of equal ones: PNG counts per meter
