"""How far are two colours apart, for every eye: contrast, CIEDE2000, colour vision, grey."""

import re

import numpy as np

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
    "grey": [[0.2126, 0.7152, 0.0722]] * 3,
}  # fmt: skip
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
          [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG 2.2, 1 to 21."""
    low, high = sorted(float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, sight: str) -> np.ndarray:
    seen = np.clip(np.array(SIGHTS[sight]) @ linear(colour), 0, 1)
    x = np.array(TO_XYZ) @ seen / WHITE
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Return the difference of two Lab colours; Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    step = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(step / 2))
    light, c, h = (l1 + l2) / 2, (c1 + c2) / 2, h1 + step / 2 if c1 * c2 else h1 + h2
    t = sum(f * np.cos(np.radians(k * h + s)) for f, k, s in
            ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))) + 1  # fmt: skip
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t
    turn = 60 * np.exp(-((((h % 360) - 275) / 25) ** 2))
    rt = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.radians(turn))
    dl, dc, dh = dl / sl, dc / sc, dh / sh
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rt * dc * dh))


def difference(one: str, other: str, sight: str = "normal") -> float:
    return ciede2000(lab(one, sight), lab(other, sight))


def dark_of(svg: str) -> dict[tuple[str, str], str]:
    """Return the dark colour of every (kind, light colour) of a drawing; text g, shapes *."""
    rules = re.findall(r'(g?)\[style\*="(\w+): (#\w+)"\]\{\w+:(#\w+)!important\}', svg)
    return {(tag or "*", f"{kind} {light}"): dark for tag, kind, light, dark in rules}
