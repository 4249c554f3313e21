"""The curves in a real browser: drawn from the points, read by mouse and by keys."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from conftest import Tab


def test_every_point_is_on_its_curve(desktop: Tab, document: dict[str, Any]) -> None:
    drawn = desktop.curves()
    assert {name: len(points) for name, points in drawn.items()} == {"plain": 5, "gesso": 5}
    assert len(desktop.all("#chart .dot")) == 10
    # on one linear scale: places and values are proportional, less is further down
    for variant, points in drawn.items():
        own = [p for p in document["points"] if p["variant"] == variant]
        for (x0, y0), (x1, y1), one, two in zip(points, points[1:], own, own[1:], strict=False):
            assert (x1 - x0) / (two["bpp"] - one["bpp"]) == pytest.approx(
                (points[-1][0] - points[0][0]) / 0.8, rel=0.01
            )
            assert y1 > y0 and two["lpips"] < one["lpips"]
    [(_, plain)], [(_, gesso)] = drawn["plain"][:1], drawn["gesso"][:1]
    assert gesso > plain


def test_another_metric_and_axis_draw_other_curves(desktop: Tab) -> None:
    lpips = desktop.curves()
    desktop.choose("metric", "PSNR")
    psnr = desktop.curves()
    assert all(y1 < y0 for (_, y0), (_, y1) in zip(psnr["plain"], psnr["plain"][1:], strict=False))
    assert psnr["plain"] != lpips["plain"]
    assert "PSNR against bits per pixel" in desktop.by_id("chart").get_attribute("aria-label")
    desktop.choose("metric", "LPIPS")
    assert desktop.curves() == lpips
    desktop.choose("axis", "PSNR")
    against = desktop.curves()
    assert "LPIPS against PSNR" in desktop.by_id("chart").get_attribute("aria-label")
    # gesso gives up 0.1 dB at every quality
    for (x0, _), (x1, _) in zip(against["plain"], against["gesso"], strict=True):
        assert 0 < x0 - x1 < 30
    assert len(desktop.all("#chart .link")) == 5
    assert not desktop.by_id("log").is_enabled()


def test_a_logarithmic_axis_spaces_by_ratio(desktop: Tab) -> None:
    desktop.by_id("log").click()
    (x0, _), (x1, _), *_, (x4, _) = desktop.curves()["plain"]
    assert (x1 - x0) / (x4 - x0) == pytest.approx(log(0.5 / 0.3) / log(1.1 / 0.3), abs=0.005)


def test_the_legend_takes_curves_away_and_brings_them_back(desktop: Tab) -> None:
    plain = desktop.by_id("legend").find_element("xpath", ".//button[.='plain']")
    plain.click()
    assert list(desktop.curves()) == ["gesso"]
    assert plain.get_attribute("aria-pressed") == "false"
    desktop.by_id("legend").find_element("xpath", ".//button[.='gesso']").click()
    assert desktop.curves() == {} and "nothing to draw" in desktop.by_id("chart").text
    plain.click()
    assert list(desktop.curves()) == ["plain"]


def test_values_are_read_by_mouse_and_by_keys(desktop: Tab) -> None:
    chart, tip = desktop.by_id("chart"), desktop.by_id("tip")
    assert not tip.is_displayed()
    dot = desktop.all("#chart g[data-series=gesso] .dot")[1]
    desktop.act().move_to_element(dot).perform()
    assert tip.text.split("\n") == [
        "gesso, quality 20", "bpp", "0.500", "PSNR", "28.40 dB", "LPIPS", "0.2000",
    ]  # fmt: skip
    assert desktop.run(
        "const t = arguments[0].getBoundingClientRect();"
        "return t.left >= 0 && t.right <= innerWidth",
        tip,
    )
    chart.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()
    chart.send_keys(Keys.ARROW_RIGHT)
    assert tip.text.startswith("plain, quality 10")
    chart.send_keys(Keys.ARROW_LEFT)
    assert tip.text.startswith("gesso, quality 65")


def test_ticks_lie_in_the_range_and_rise(desktop: Tab) -> None:
    positive = [(0.031, 0.0312), (0.05, 40), (20, 1e6), (0.1, 0.11)]
    cases = [("ticks", *both) for both in [(0, 1), (-3, 7), *positive]]
    cases += [("logTicks", *both) for both in positive]
    for function, low, high in cases:
        ticks = desktop.run(f"return Chart.{function}(...arguments)", low, high, 6)
        values, texts = zip(*ticks, strict=True)
        assert 2 <= len(ticks) <= 14, (function, low, high)
        assert list(values) == sorted(values)
        assert low - 1e-9 <= values[0] and values[-1] <= high * (1 + 1e-9)
        assert len(set(texts)) == len(texts)
        shown = [float(text.replace("\u2212", "-")) for text in texts]
        assert shown == pytest.approx(values, rel=1e-6, abs=1e-12)
