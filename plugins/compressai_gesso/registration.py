"""Where gesso takes its places in CompressAI's zoo, and gives them back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from compressai_gesso.library import library

__all__ = ["register", "register_on_import", "unregister"]

ZOO = "compressai.zoo"
_lock = threading.RLock()
_taken: list[tuple[dict[str, Any], str, Any]] = []


def register() -> None:
    """Put the entries ``gesso-...`` into ``zoo.image_models``, ``zoo.models``,
    ``zoo.image.model_architectures`` and ``registry.MODELS``; nothing else changes. Safe to
    call again. A name that is taken stays what it is.

    Importing this package does so by itself as soon as CompressAI's zoo is imported, too.

    Raises:
        InputError: CompressAI is not installed.
    """
    library("zoo")
    _fill()


def unregister() -> None:
    """Take them out again, and do not come back before `register`."""
    _stop_waiting()
    with _lock:
        for table, name, value in _taken:
            if table.get(name) is value:
                del table[name]
        _taken.clear()


def register_on_import() -> None:
    """`register` now if CompressAI's zoo has been imported, else once it is."""
    if ZOO in sys.modules and hasattr(sys.modules[ZOO], "models"):
        _fill()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting(MetaPathFinder):
    """Lets others find the zoo, and fills it once it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != ZOO:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_fill(module: ModuleType) -> None:
                execute(module)
                _fill()

            # This loader is for this module alone.
            spec.loader.exec_module = execute_and_fill  # type: ignore[method-assign]
        return spec


def _stop_waiting() -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Waiting)]


def _fill() -> None:
    from compressai_gesso.architectures import architectures
    from compressai_gesso.entries import entries

    zoo, image, registry = library("zoo"), library("zoo.image"), library("registry")
    _stop_waiting()
    with _lock:
        if _taken:
            return
        for tables, found in (
            ((zoo.image_models, zoo.models), entries(registry.MODELS)),
            ((image.model_architectures, registry.MODELS), architectures(registry.MODELS)),
        ):
            for name, value in found.items():
                for table in tables:
                    if table.setdefault(name, value) is value:
                        _taken.append((table, name, value))
