"""Codecs as differentiable functions."""

from __future__ import annotations

__all__: list[str] = []
