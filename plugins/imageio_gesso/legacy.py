"""ImageIO's v2 API: its reader for plug-ins of v3 forgets its keywords when iterated, and fails
where it is asked for a video's metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imageio.core.util import Array
from imageio.v2 import LegacyReader, LegacyWriter  # type: ignore[attr-defined]  # not in the stubs

__all__ = ["KEYWORDS", "Reader", "Writer"]

KEYWORDS = {"enhance", "codec", "quality"}


class Reader(LegacyReader):  # type: ignore[misc]  # untyped
    """v2's reader, which enhances also when it is iterated."""

    def __init__(self, plugin: Any, **kwargs: Any) -> None:
        super().__init__(plugin, **_current(plugin, kwargs))

    def iter_data(self) -> Iterator[Array]:
        """Frames with their metadata."""
        asked = {key: value for key, value in self.read_args.items() if key in KEYWORDS}
        for index, image in enumerate(self.instance.iter(**asked)):
            metadata = self.instance.metadata(index=index, exclude_applied=False)
            yield Array(image, metadata)  # type: ignore[no-untyped-call]

    def get_meta_data(self, index: Any = None) -> dict[str, Any]:
        """Of a frame, or of the whole file, which the stock plug-in for video has under ``...``."""
        whole = None if self.instance.is_still else ...
        found: dict[str, Any] = self.instance.metadata(
            index=whole if index is None else index, exclude_applied=False
        )
        return found


class Writer(LegacyWriter):  # type: ignore[misc]  # untyped
    """v2's writer."""

    def __init__(self, plugin: Any, **kwargs: Any) -> None:
        if not plugin.is_still:
            # Frames come one by one, of which v2 tells no plug-in of v3.
            kwargs.setdefault("is_batch", False)
        super().__init__(plugin, **_current(plugin, kwargs))


def _current(plugin: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """As v2 does for the stock plug-in of that class name alone."""
    if plugin.is_still and kwargs.get("pilmode") is not None:
        kwargs["mode"] = kwargs.pop("pilmode")
    return kwargs
