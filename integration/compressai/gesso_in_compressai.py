"""A pytest plug-in (``-p gesso_in_compressai``) that puts gesso into CompressAI's own tests."""

from __future__ import annotations

import pytest

import compressai_gesso

__all__ = ["pytest_configure", "pytest_terminal_summary"]


def pytest_configure() -> None:
    compressai_gesso.register()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from compressai.zoo import image_models

    count = sum(name.startswith("gesso-") for name in image_models)
    terminalreporter.write_line(f"gesso: {count} entries")
