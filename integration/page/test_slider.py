"""The slider in a real browser: by mouse, by keys, by fingers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

if TYPE_CHECKING:
    from conftest import Tab


def test_the_line_parts_plain_from_gesso(desktop: Tab) -> None:
    row = desktop.colours()
    seen = "".join(row)
    left, right = seen.index("r"), seen.rindex("b")
    assert right - left == pytest.approx(900, abs=2)  # 300 pixels, three times as large
    middle = (left + right) / 2
    assert seen.rindex("r") == pytest.approx(middle, abs=4)
    assert seen.index("b") == pytest.approx(middle, abs=4)
    assert "g" not in seen


def test_dragging_moves_the_line(desktop: Tab) -> None:
    before, handle = desktop.line(), desktop.by_id("handle")
    desktop.act().drag_and_drop_by_offset(handle, -150, 0).perform()
    assert desktop.line() == pytest.approx(before + 150, abs=1)
    assert int(handle.get_attribute("aria-valuenow")) == round(100 * (450 - 150) / 900)
    assert desktop.colours().count("b") > desktop.colours().count("r") * 1.8


def test_keys_move_the_line_to_both_ends(desktop: Tab) -> None:
    handle = desktop.by_id("handle")
    handle.send_keys(Keys.ARROW_RIGHT * 5)
    assert handle.get_attribute("aria-valuenow") == "55"
    assert handle.get_attribute("aria-valuetext") == "55 % plain, 45 % gesso"
    handle.send_keys(Keys.END)
    assert "b" not in desktop.colours()
    handle.send_keys(Keys.HOME)
    assert "r" not in desktop.colours()


def test_the_source_shows_while_s_is_held_and_by_its_button(desktop: Tab) -> None:
    desktop.act().key_down("s").perform()
    assert set(desktop.colours()) <= {"g", "."} and "g" in desktop.colours()
    desktop.act().key_up("s").perform()
    assert "g" not in desktop.colours()
    button = desktop.by_id("show-source")
    button.click()
    assert button.get_attribute("aria-pressed") == "true" and "g" in desktop.colours()
    button.click()
    assert "g" not in desktop.colours()


def test_zooming_keeps_both_sides_together_and_pixels_square(desktop: Tab) -> None:
    assert desktop.scale() == 3
    desktop.by_id("zoom-one").click()
    assert desktop.scale() == 1
    rendering = "return getComputedStyle(document.querySelector('.layer img')).imageRendering"
    assert desktop.run(rendering) == "auto"
    for _ in range(3):
        desktop.by_id("zoom-in").click()
    assert desktop.scale() == 4
    assert desktop.by_id("zoom").text == "400 %"
    assert desktop.run(rendering) == "pixelated"
    desktop.by_id("zoom-out").click()
    desktop.by_id("zoom-fit").click()
    assert desktop.scale() == 3


def test_the_stage_grows_with_a_small_picture_but_not_beyond_the_screen(desktop: Tab) -> None:
    stage, inner = desktop.by_id("stage"), desktop.run("return innerHeight")
    desktop.by_id("zoom-one").click()
    assert stage.size["height"] == 600
    for _ in range(6):
        desktop.by_id("zoom-in").click()
    assert 600 < stage.size["height"] <= 0.78 * inner + 1
    row = desktop.colours()
    assert "." not in row[:400] + row[-400:]
    desktop.by_id("zoom-fit").click()
    assert stage.size["height"] == 600


def test_a_wheel_zooms_where_it_points_once_the_stage_has_the_focus(desktop: Tab) -> None:
    stage = desktop.by_id("stage")
    wheel = desktop.act().scroll_by_amount
    desktop.act().move_to_element(stage).perform()
    wheel(0, -200).perform()
    assert desktop.scale() == 3  # the page scrolls, nobody gets stuck
    desktop.by_id("handle").send_keys(Keys.ARROW_LEFT)
    desktop.run("scrollTo(0, 0)")
    origin = desktop.run(
        "const b = document.getElementById('stage').getBoundingClientRect();"
        "return [b.left + 560, b.top + 100]"
    )
    place = "const m = new DOMMatrix(document.querySelector('.layer img').style.transform);"
    under = place + "return [(560 - m.e) / m.a, (100 - m.f) / m.a]"
    before = desktop.run(under)
    desktop.driver.execute_cdp_cmd(
        "Input.dispatchMouseEvent",
        {"type": "mouseWheel", "x": origin[0], "y": origin[1], "deltaX": 0, "deltaY": -200},
    )
    WebDriverWait(desktop.driver, 5).until(lambda _: desktop.scale() > 4)
    assert desktop.run(under) == pytest.approx(before, abs=0.5)


def test_a_large_picture_fits_then_pans_without_moving_the_line(desktop: Tab) -> None:
    Select(desktop.by_id("picture")).select_by_index(1)
    assert desktop.scale() < 1
    assert desktop.by_id("caption-plain").text == "large, plain"
    desktop.by_id("zoom-one").click()
    desktop.by_id("zoom-in").click()
    before, cut = desktop.transforms()[0], desktop.line()
    stage = desktop.by_id("stage")
    desktop.act().move_to_element_with_offset(stage, 200, 60).click_and_hold().move_by_offset(
        -120, -40
    ).release().perform()
    assert len(set(desktop.transforms())) == 1
    x0, y0 = re.findall(r"-?[\d.]+(?=px)", before)
    x1, y1 = re.findall(r"-?[\d.]+(?=px)", desktop.transforms()[0])
    moved = float(x1) - float(x0), float(y1) - float(y0)
    assert moved == (pytest.approx(-120, abs=1), pytest.approx(-40, abs=1))
    assert desktop.line() == cut
    desktop.by_id("handle").send_keys(Keys.SHIFT + Keys.ARROW_LEFT)
    x2 = re.findall(r"-?[\d.]+(?=px)", desktop.transforms()[0])[0]
    assert float(x2) - float(x1) == pytest.approx(48, abs=1)


def test_a_picture_never_leaves_the_stage(desktop: Tab) -> None:
    handle = desktop.by_id("handle")
    handle.send_keys("++++")
    handle.send_keys(Keys.SHIFT + Keys.ARROW_LEFT * 100)
    assert desktop.transforms()[0].startswith("translate(0px")
    assert "." not in desktop.colours()[:400]


def test_quality_chooses_pictures_and_captions(desktop: Tab) -> None:
    facts = desktop.by_id("caption-gesso").find_elements("tag name", "span")
    assert [fact.text for fact in facts] == ["100 bytes", "0.2 bpp"]
    desktop.choose("quality", "20")
    assert desktop.by_id("caption-gesso").text == "201 bytes"
    # there, plain is the source itself
    assert set(desktop.colours()) - {"."} == {"g", "b"}
    desktop.choose("quality", "10")
    assert set(desktop.colours()) - {"."} == {"r", "b"}
    images = desktop.run("return document.querySelectorAll('.layer img').length")
    assert images == 3


def test_fingers_drag_the_line_and_pinch(phone: Tab) -> None:
    stage = phone.by_id("stage")
    phone.run("arguments[0].scrollIntoView({block: 'center'})", stage)
    box = phone.run("return arguments[0].getBoundingClientRect().toJSON()", stage)
    y = int(box["top"] + box["height"] / 2)

    def fingers(*ways: tuple[int, int]) -> None:
        action = ActionBuilder(phone.driver, mouse=PointerInput("mouse", "unused"))
        for index, (start, end) in enumerate(ways):
            finger = action.add_pointer_input("touch", f"finger {index}")
            finger.create_pointer_move(duration=0, x=start, y=y)
            finger.create_pointer_down(button=0)
            finger.create_pointer_move(duration=120, x=end, y=y)
            finger.create_pointer_up(button=0)
        action.perform()

    fingers((180, 100))
    assert box["right"] - 100 == pytest.approx(phone.line(), abs=3)
    before = phone.scale()
    fingers((160, 60), (200, 300))
    assert phone.scale() > 3 * before
