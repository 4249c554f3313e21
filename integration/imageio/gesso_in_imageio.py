"""A pytest plug-in (``-p gesso_in_imageio``) that puts gesso into ImageIO's own test suite.

``GESSO_IN_IMAGEIO=idle`` registers gesso and no more; ``pillow`` also lets it answer for
``plugin="pillow"`` and for every picture that names no plug-in, always without a keyword.
"""

from __future__ import annotations

import os

from imageio.config import known_plugins

import imageio_gesso

__all__ = ["pytest_configure"]


def pytest_configure() -> None:
    imageio_gesso.register()
    if os.environ["GESSO_IN_IMAGEIO"] == "pillow":
        known_plugins["pillow"] = known_plugins["gesso"]
