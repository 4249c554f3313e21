"""Ways from distortion to perception at equal bits, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gesso.evaluation.page import save_page

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from conftest import Tab


@pytest.fixture
def page(document: dict[str, Any], tmp_path: Path) -> Path:
    """In place of the one that all other tests look at."""
    path = tmp_path / "ways.html"
    points = [
        {"variant": way, "quality": t, "bpp": 0.3, "psnr": 26 - t, "lpips": 0.4 - fall * t}
        for t in (0, 0.5, 1)
        for way, fall in (("noise", 0.2), ("interpolation", 0.3))
    ]
    save_page(path, "ways", {**document, "scale": "tradeoff", "points": points}, [])
    return path


def test_they_are_drawn_against_distortion(desktop: Tab) -> None:
    assert "LPIPS against PSNR" in desktop.by_id("chart").get_attribute("aria-label")
    drawn = desktop.curves()
    assert list(drawn) == ["noise", "interpolation"]
    for places in drawn.values():
        across = [x for x, _ in places]
        assert across == sorted(across, reverse=True) and across[0] - across[-1] > 100


def test_points_are_told_by_their_tradeoff(desktop: Tab) -> None:
    desktop.by_id("chart").send_keys(Keys.ARROW_RIGHT)
    assert desktop.by_id("tip").text.startswith("noise, tradeoff 0\n")
    assert desktop.all("th")[0].text.lower() == "tradeoff"
