"""Real codecs against real metrics: metrics, curves, reports and side-by-side sheets."""

from __future__ import annotations

__all__: list[str] = []
