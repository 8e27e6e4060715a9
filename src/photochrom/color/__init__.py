"""Color science: CIELAB, the 313 bins, ICC curves, errors between colors, enlarging ab."""
