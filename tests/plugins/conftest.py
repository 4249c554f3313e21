"""Models that remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gesso.frame import Frame
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager


class Model:
    """A plug-in that answers both hooks with ``change`` and remembers what it was asked."""

    def __init__(self, change: Callable[[Frame], Frame]) -> None:
        self.change = change
        self.asked: list[tuple[Target | None, PreprocessOptions | EnhanceOptions]] = []

    @hookimpl
    def gesso_before_encode(
        self, frame: Frame, target: Target, options: PreprocessOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)

    @hookimpl
    def gesso_after_decode(
        self, frame: Frame, target: Target | None, options: EnhanceOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)


@pytest.fixture
def plug() -> Iterator[Callable[[Callable[[Frame], Frame]], Model]]:
    """``plug(change)``: a model for this test."""
    there: list[Model] = []

    def plug(change: Callable[[Frame], Frame]) -> Model:
        there.append(Model(change))
        manager().register(there[-1])
        return there[-1]

    yield plug
    for model in there:
        manager().unregister(model)
