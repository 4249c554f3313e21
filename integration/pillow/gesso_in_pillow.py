"""A pytest plug-in (``-p gesso_in_pillow``) that puts gesso into Pillow's own test suite.

``GESSO_IN_PILLOW`` lists what: nothing registers gesso and no more; ``save`` and ``open``
also send every JPEG, WebP and AVIF that is saved, or opened, through a model that takes its
pixels to floating point and back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import pillow_gesso
from gesso.frame import Frame
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

__all__ = [
    "Identity",
    "pytest_configure",
    "pytest_runtest_protocol",
    "pytest_terminal_summary",
]

FORCED = os.environ["GESSO_IN_PILLOW"].split()


class Identity:
    """The model that changes nothing, and counts."""

    saved = opened = 0
    band = 256  # rows at a time: one of Pillow's test pictures has 268 megapixels

    @hookimpl
    def gesso_before_encode(self, frame: Frame) -> Frame:
        self.saved += 1
        return self._same(frame)

    @hookimpl
    def gesso_after_decode(self, frame: Frame) -> Frame:
        self.opened += 1
        return self._same(frame)

    def _same(self, frame: Frame) -> Frame:
        result = frame.blank()
        for top in range(0, frame.height, self.band):
            rows = min(self.band, frame.height - top)
            result.put(top, 0, frame.window(top, 0, rows, frame.width))
        return result


identity = Identity()


def pytest_configure() -> None:
    pillow_gesso.register()
    manager().register(identity)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    with pillow_gesso.using(preprocess="save" in FORCED, enhance="open" in FORCED):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"gesso: {identity.saved} saved, {identity.opened} opened")
