"""The resolution that a photo file states: in its own header, and in its EXIF.

Where both state one they should agree; but an editor that changes the one often forgets the other.
The file's own counts then, unless it is the 72 pixels an inch that stand for an unknown one.

Sources: JFIF 1.02 (ITU-T T.871), 10.1; PNG (W3C, third edition), 11.3.4.3 pHYs; EXIF 2.32 (CIPA
DC-008, 2019), table 4.
"""

from __future__ import annotations

__all__ = ["Resolution", "UNKNOWN", "chosen", "sane"]

Resolution = tuple[float, float]  # pixels per mm, across and down

# Where no resolution is known, EXIF 2.32 (tag 0x011A, XResolution) designates 72 pixels an inch.
UNKNOWN = 72 / 25.4


def sane(across: float, down: float) -> Resolution | None:
    """What a file says, if it can be true; libvips takes no more than a million, and no NaN."""
    return (across, down) if 0 < across <= 1e6 and 0 < down <= 1e6 else None


def chosen(own: Resolution | None, exif: Resolution | None) -> Resolution | None:
    """Which of two counts."""
    if own is None or exif is None:
        return own or exif
    same = all(abs(a / b - 1) < 1e-3 for a, b in zip(own, exif, strict=True))
    unknown = all(abs(value - UNKNOWN) < 0.01 for value in own)
    return exif if same or unknown else own  # the finer of equal ones: PNG counts by the meter
