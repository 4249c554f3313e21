"""A headless Chromium with its driver, as Debian's packages chromium and chromium-driver.

Without them, or without selenium, the tests of this folder are skipped.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from gesso.evaluation.page import Pair, save_page

if TYPE_CHECKING:
    from selenium.webdriver import ActionChains, Chrome
    from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--no-first-run",
)
EVIL = "</script><img src=x onerror=\"document.title='broken into'\">.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def start(profile: Path, width: int, height: int, phone: bool) -> Chrome:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which Chromium refuses to root
    if phone:
        metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


@dataclass
class Tab:
    """The page in a browser, and how tests look at it."""

    driver: Chrome

    def by_id(self, name: str) -> WebElement:
        return self.driver.find_element("id", name)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def act(self) -> ActionChains:
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver)

    def choose(self, fieldset: str, text: str) -> None:
        """Press the radio button of that label."""
        labels = self.all(f"#{fieldset} label")
        next(label for label in labels if label.text == text).click()

    def colours(self) -> list[str]:
        """The colour of each column of the stage at a quarter of its height: r, g, b or . ."""
        stage = self.by_id("stage")
        shot = Image.open(io.BytesIO(stage.screenshot_as_png)).convert("RGB")
        ratio = shot.width / stage.size["width"]
        columns = (int(x * ratio) for x in range(stage.size["width"]))
        return [colour(*shot.getpixel((x, shot.height // 4))) for x in columns]

    def line(self) -> float:
        """Where the plain picture is cut off, in pixels from the stage's right edge."""
        clip = self.run("return getComputedStyle(document.getElementById('plain')).clipPath")
        return float(re.fullmatch(r"inset\(0px ([\d.]+)px 0px 0px\)", clip)[1])

    def transforms(self) -> list[str]:
        """Of the three pictures on the stage."""
        return self.run(
            "return [...document.querySelectorAll('.layer img')].map((i) => i.style.transform)"
        )

    def scale(self) -> float:
        """Of all three: they are under one transform."""
        [transform] = set(self.transforms())
        return float(re.search(r"scale\(([\d.]+)\)", transform)[1])

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """The places of the points of every curve that is drawn, by its name."""
        found = self.run(
            "return [...document.querySelectorAll('#chart g[data-series]')]"
            ".map((g) => [g.dataset.series, g.querySelector('.line').getAttribute('d')])"
        )
        number = r"(-?[\d.]+),(-?[\d.]+)"
        return {name: [(float(x), float(y)) for x, y in re.findall(number, d)] for name, d in found}


def colour(*pixel: int) -> str:
    """The one channel that is bright where the others are dark."""
    bright = [name for name, value in zip("rgb", pixel, strict=True) if value > 200]
    return bright[0] if len(bright) == 1 and sum(value < 120 for value in pixel) == 2 else "."


@pytest.fixture(scope="session")
def _desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = start(tmp_path_factory.mktemp("desktop"), 1200, 1100, phone=False)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def _phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = start(tmp_path_factory.mktemp("phone"), 360, 740, phone=True)
    yield driver
    driver.quit()


def opened(driver: Chrome, page: Path) -> Tab:
    """The page, freshly loaded, with the logs of what came before thrown away."""
    driver.get("about:blank")
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(page.as_uri())
    return Tab(driver)


@pytest.fixture
def desktop(_desktop: Chrome, page: Path) -> Iterator[Tab]:
    """The page in a window of 1200 x 1100."""
    yield opened(_desktop, page)
    assert_quiet(_desktop, page)


@pytest.fixture
def phone(_phone: Chrome, page: Path) -> Iterator[Tab]:
    """The page on a phone of 360 x 740 points, with touch."""
    yield opened(_phone, page)
    assert_quiet(_phone, page)


def assert_quiet(driver: Chrome, page: Path) -> None:
    """No message on the console, and no request that left the page."""
    assert driver.get_log("browser") == []
    assert outside(driver, page) == []


def outside(driver: Chrome, page: Path) -> list[str]:
    """Every address asked for but the page's own and what it carries inside."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if address != page.as_uri() and not address.startswith("data:"):
                found.append(address)
    return found


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """Two variants of five points, and names that want to be more than text."""
    rows = [(10, 0.3, 26.0, 0.4), (20, 0.5, 28.5, 0.25), (30, 0.65, 30.0, 0.19)]
    rows += [(45, 0.8, 31.2, 0.14), (65, 1.1, 33.0, 0.09)]
    points: list[dict[str, Any]] = []
    for quality, bpp, psnr, lpips in rows:
        about = {"quality": quality, "bpp": bpp}
        points.append({**about, "variant": "plain", "psnr": psnr, "lpips": lpips})
        points.append({**about, "variant": "gesso", "psnr": psnr - 0.1, "lpips": 0.8 * lpips})
    return {
        "codec": "jpeg",
        "side": "enhance",
        "model": EVIL,
        "images": 1,
        "points": points,
        "settings": {"preset": "medium", "model": EVIL},
        "machine": {"cpu": "some processor with a rather long name, 16 cores at 3.2 GHz"},
        "lower_is_better": {"psnr": False, "lpips": True},
        "complete": True,
        "unreadable": {EVIL: "cannot be decoded"},
    }


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    """Plain is red, gesso blue, the source green; the second picture is larger than a screen."""

    def colours(width: int, height: int) -> list[Image.Image]:
        noise = np.random.default_rng(0).integers(0, 60, (height // 20, width // 20, 3), np.uint8)
        noise = noise.repeat(20, 0).repeat(20, 1)
        pictures = []
        for channel in (1, 0, 2):
            pixels = noise.copy()
            pixels[..., channel] = 255
            pictures.append(Image.fromarray(pixels))
        return pictures

    small, large = colours(300, 200), colours(1500, 900)
    return [
        Pair("one.png", 10, "100 bytes · 0.1 bpp", "100 bytes · 0.2 bpp", *small),
        Pair("one.png", 20, "200 bytes", "201 bytes", small[0], small[0], small[2]),
        Pair(EVIL, 20, "large, plain", "large, gesso", *large),
    ]


@pytest.fixture(scope="session")
def page(
    document: dict[str, Any], pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    save_page(path, f"a page, {EVIL}", document, pairs)
    return path
