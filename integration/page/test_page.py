"""The page as a whole in a real browser: safe, narrow where the screen is, of use to all."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from gesso.evaluation.page import save_page

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.support.ui import Select

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Tab


def test_tables_are_filled(desktop: Tab, document: dict[str, Any]) -> None:
    rows = desktop.all(".points tbody tr")
    assert len(rows) == len(document["points"])
    assert rows[1].text.split() == [
        "gesso", "0.300", "25.90", "\u22120.10", "dB", "0.3200", "\u221220.0", "%",
    ]  # fmt: skip
    deltas = desktop.all(".deltas tbody tr")
    assert deltas[0].text.startswith("PSNR +") and deltas[1].text.startswith("LPIPS \u2212")


def test_names_stay_text(desktop: Tab, page: Path) -> None:
    assert desktop.driver.title.startswith("a page, </script><img src=x")
    assert desktop.all("img[src=x]") == []
    options = Select(desktop.by_id("picture")).options
    assert options[1].text.startswith("</script><img src=x")


def test_nothing_can_be_loaded_or_run_from_inside(desktop: Tab) -> None:
    blocked = desktop.driver.execute_async_script(
        """
        const done = arguments[0], seen = new Set();
        document.addEventListener("securitypolicyviolation", (e) => {
          seen.add(e.effectiveDirective);
          if (seen.size === 4) done([...seen].sort());
        });
        new Image().src = "http://127.0.0.1:9/x.png";
        fetch("http://127.0.0.1:9/").catch(() => {});
        const link = Object.assign(document.createElement("link"), {rel: "stylesheet", href: "http://127.0.0.1:9/x.css"});
        const script = document.createElement("script");
        script.textContent = "document.title = 'broken into'";
        document.head.append(link, script);
        """
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
    assert desktop.driver.title.startswith("a page")
    assert len(desktop.driver.get_log("browser")) >= 4  # the browser's own complaints
    log = [json.loads(e["message"])["message"] for e in desktop.driver.get_log("performance")]
    failed = [m["params"] for m in log if m["method"] == "Network.loadingFailed"]
    assert failed and all(one["blockedReason"] == "csp" for one in failed)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_nothing_to_scroll_sideways(phone: Tab, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    phone.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    wide, inner = phone.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert (wide, inner) == (360, 360)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = sum(map(int, re.findall(r"\d+", phone.run(background)))) > 380
    assert light == (scheme == "light")
    small = phone.run(
        "return [...document.querySelectorAll('button, .segments span, select')]"
        ".filter((e) => e.offsetParent && e.offsetHeight < 24).map((e) => e.textContent)"
    )
    assert small == []


def test_without_scripts_pictures_and_tables_are_there(desktop: Tab) -> None:
    desktop.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        desktop.driver.refresh()
        shot = Image.open(io.BytesIO(desktop.driver.get_screenshot_as_png())).convert("RGB")
        root = desktop.driver.execute_cdp_cmd("DOM.getDocument", {"depth": 1})["root"]["nodeId"]
        query = {"nodeId": root, "selector": "#gallery img"}
        images = desktop.driver.execute_cdp_cmd("DOM.querySelectorAll", query)["nodeIds"]
        tree = desktop.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    finally:
        desktop.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(images) == 6  # of nine, three are the small source's and gesso's again
    names = [node.get("name", {}).get("value", "") for node in tree]
    assert any("need JavaScript" in name for name in names)
    assert any(name.startswith("one.png, quality 10, plain: 100 bytes") for name in names)
    assert len(shot.getcolors(1 << 24)) > 1000


def test_no_motion_where_none_is_wanted(desktop: Tab) -> None:
    duration = "return getComputedStyle(document.querySelector('button')).transitionDuration"
    assert desktop.run(duration) != "0s"
    feature = {"name": "prefers-reduced-motion", "value": "reduce"}
    desktop.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert desktop.run(duration) == "0s"
    desktop.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_figures_without_pictures_make_a_page_too(
    desktop: Tab, document: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "plain.html"
    save_page(path, "figures only", [document, {**document, "codec": "webp"}], [])
    desktop.driver.get(path.as_uri())
    assert len(desktop.curves()) == 4
    assert desktop.all("#stage") == []
    desktop.driver.get_log("performance")  # another page than the fixture's
