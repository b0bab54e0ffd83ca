"""The eight shapes, each as a test of whether a point lies inside."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _circle(u: Plane, v: Plane) -> Mask:
    return u * u + v * v <= 0.95**2


def _square(u: Plane, v: Plane) -> Mask:
    return np.maximum(np.abs(u), np.abs(v)) <= 0.84


def _triangle(u: Plane, v: Plane) -> Mask:
    return (v >= -0.8) & (np.abs(u) * 1.75 <= 0.98 * (0.95 - v))


def _star(u: Plane, v: Plane) -> Mask:
    radii = [1.0 if corner % 2 == 0 else 0.44 for corner in range(10)]
    angles = [math.pi * (0.5 + corner / 5) for corner in range(10)]
    x = [radius * math.cos(angle) for radius, angle in zip(radii, angles, strict=True)]
    y = [radius * math.sin(angle) - 0.06 for radius, angle in zip(radii, angles, strict=True)]
    inside = np.zeros(u.shape, dtype=bool)
    for here in range(10):
        there = (here + 1) % 10
        crosses = (y[here] > v) != (y[there] > v)
        at = x[here] + (v - y[here]) * (x[there] - x[here]) / (y[there] - y[here])
        inside ^= crosses & (u < at)
    return inside


def _cross(u: Plane, v: Plane) -> Mask:
    across, along = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
    return (across <= 0.34) & (along <= 0.95)


def _ring(u: Plane, v: Plane) -> Mask:
    square = u * u + v * v
    return (square >= 0.46**2) & (square <= 0.97**2)


def _heart(u: Plane, v: Plane) -> Mask:
    x, y = 1.2 * u, 1.17 * v + 0.1
    bulge = x * x + y * y - 1
    return bulge * bulge * bulge - x * x * y * y * y <= 0


def _crescent(u: Plane, v: Plane) -> Mask:
    x, y = u - 0.48, v - 0.1
    return (u * u + v * v <= 0.95**2) & (x * x + y * y > 0.68**2)


_TESTS: Mapping[str, Callable[[Plane, Plane], Mask]] = MappingProxyType(
    {
        "circle": _circle,
        "square": _square,
        "triangle": _triangle,
        "star": _star,
        "cross": _cross,
        "ring": _ring,
        "heart": _heart,
        "crescent": _crescent,
    }
)


def inside(shape: str, u: Plane, v: Plane) -> Mask:
    """Tell which points lie in a shape that fills the square from -1 to 1.

    Args:
        shape: One of the eight names.
        u: Coordinates to the right, any shape.
        v: Coordinates upwards, of the same shape.

    Returns:
        A mask of the same shape.

    Raises:
        KeyError: There is no such shape.
    """
    return _TESTS[shape](u, v)
