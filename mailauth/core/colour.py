"""Which of black and white can be read on a colour (WCAG 2.2, contrast ratio)."""


def readable_on(colour: str) -> str:
    """Return `#ffffff` or `#000000`, whichever contrasts more with a colour `#rrggbb`; at least 4.5 to 1."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"
