"""ImageIO's Pillow plug-in where it writes: all or nothing."""

from __future__ import annotations

from typing import Any

from imageio.plugins.pillow import PillowPlugin

__all__ = ["WholeWriter"]


class WholeWriter(PillowPlugin):
    """The stock plug-in; what fails when it is closed leaves no part of a file behind."""

    def close(self) -> None:
        """See the stock plug-in, which writes only now."""
        try:
            super().close()
        except BaseException:
            # Or finish() would add what there is of it to a ZIP file.
            request: Any = self._request
            request._file_is_local = False
            request.finish()
            raise
