"""The provider's colour, as the pages wear it.

A colour is chosen by somebody who thinks of a logo. What is written on it, and in it, has to be readable all the
same: black or white on top, and for links a shade that stands out from either background (WCAG 2.2, 1.4.3).
"""

TEXT_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3 (AA), for text of ordinary size."""
LIGHT_BACKGROUND = "#f2f4f7"
DARK_BACKGROUND = "#1c2128"
"""The least favourable backgrounds of the style sheet, light and dark."""


def style_sheet(colour: str) -> str:
    """Return the style sheet that holds the provider's colour, `#rrggbb`, and what follows from it."""
    link, link_in_the_dark = readable(colour, LIGHT_BACKGROUND), readable(colour, DARK_BACKGROUND)
    return (
        f":root {{ --brand: {colour}; --on-brand: {text_on(colour)}; --link: {link}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --link: {link_in_the_dark}; }} }}\n"
    )


def text_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour."""
    return max("#ffffff", "#000000", key=lambda text: contrast(text, colour))


def readable(colour: str, background: str) -> str:
    """Return the colour, or the nearest darker or lighter shade of it that can be read on a background."""
    towards = text_on(background)
    for hundredths in range(0, 101, 2):
        shade = _mixed(colour, towards, hundredths / 100)
        if contrast(shade, background) >= TEXT_CONTRAST:
            return shade
    return towards


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _mixed(colour: str, other: str, share: float) -> str:
    mixed = (round(a + (b - a) * share) for a, b in zip(_parts(colour), _parts(other), strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
