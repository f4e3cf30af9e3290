"""The page in a real browser: everything that can be done on it, and nothing fetched from elsewhere. Run by ``make test-app``."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from axialzoo.app.samples import samples
from tests.app.conftest import HERE, ROOT

SHOTS = Path(os.environ.get("AXIALZOO_SHOTS") or ROOT / "runs" / "page")


def shot(browser, name: str) -> None:
    """The whole page, to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    content = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
    (SHOTS / f"{name}.png").write_bytes(base64.b64decode(content))


def quiet(browser) -> None:
    """No error in the console, and nothing from outside."""
    assert browser.complaints() == []
    assert [url for url in browser.fetched() if not url.startswith(HERE)] == []


def test_every_sample_is_predicted_and_looked_at(browser):
    page = browser()
    assert "cat" in page.text("#az-result")
    for sample, word in zip(samples()[1:3], ("nucleus", "RBC")):
        said = page.changed("#az-result", lambda title=sample.title: page.press(title))
        assert sample.model in said and word in said
        assert page.run("return document.querySelectorAll('#az-result img').length") == 1
        page.until("document.querySelectorAll('#az-attention img').length == 3")
        shot(page, sample.path.stem)
    assert "axial_fcos_blood_cells" in page.run("return document.querySelector('#az-code textarea').value")
    quiet(page)


def test_a_click_moves_the_point(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    page = browser()
    picture = page.driver.find_element("css selector", "#az-point img")
    page.run("arguments[0].scrollIntoView({block: 'center'})", picture)
    move = ActionChains(page.driver).move_to_element_with_offset(picture, 0, -picture.size["height"] // 3).click()
    page.changed("#az-attention", move.perform)
    assert page.run("return document.querySelectorAll('#az-attention img').length") == 3
    quiet(page)


def test_an_uploaded_picture_is_predicted_and_a_bad_file_is_named(browser, tmp_path):
    page = browser()
    page.run('document.querySelector(\'#az-picture button[aria-label*="lear"], #az-picture button[aria-label*="emove"]\').click()')
    page.until("document.querySelector('#az-result').innerText.includes('Choose a picture')")
    bad = tmp_path / "notes.jpg"
    bad.write_bytes(b"no picture")

    def upload(path: Path):
        return lambda: page.driver.find_element("css selector", "#az-picture input[type=file]").send_keys(str(path))

    said = page.changed("#az-result", upload(bad))
    assert "notes.jpg: not a picture that can be read; expected JPEG" in said and "/" not in said.partition("notes.jpg")[0]
    quiet(page)
    page.run('document.querySelector(\'#az-picture button[aria-label*="lear"], #az-picture button[aria-label*="emove"]\').click()')
    page.until("document.querySelector('#az-result').innerText.includes('Choose a picture')")
    assert "automobile" in page.changed("#az-result", upload(samples()[3].path)) or "coffee" in page.text("#az-code")


def test_it_works_by_keyboard(browser):
    from selenium.webdriver import ActionChains, Keys

    page = browser()

    def key(name: str) -> None:
        ActionChains(page.driver).send_keys(name).perform()

    def reached(condition: str) -> bool:
        """Tell whether the tabulator alone moves the focus there, visibly."""
        for _ in range(40):
            key(Keys.TAB)
            style = "getComputedStyle(document.activeElement)"
            assert page.run(f"return {style}.outlineStyle == 'solid' && parseFloat({style}.outlineWidth) >= 3"), page.focused()
            if page.run(f"return Boolean({condition})"):
                return True
        return False

    assert reached("document.activeElement.innerText.trim() == 'Nuclei'")
    shot(page, "focus")
    assert "nucleus" in page.changed("#az-result", lambda: key(Keys.ENTER))
    assert reached("document.activeElement.closest('#az-predict')")
    quiet(page)


def test_both_frameworks_stand_side_by_side(browser):
    pytest.importorskip("keras")
    page = browser()
    box = page.driver.find_elements("css selector", "#az-frameworks input[type=checkbox]")[1]
    said = page.changed("#az-result", box.click)
    assert "PyTorch" in said and "Keras" in said and page.run("return document.querySelectorAll('.az-column').length") == 2
    shot(page, "both")
    quiet(page)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_it_can_be_read_by_everyone(browser, width, dark):
    page = browser(width, dark)
    shot(page, f"{width}_{'dark' if dark else 'light'}")
    assert page.run("return document.documentElement.scrollWidth") <= width
    sides = page.run("return [...document.querySelectorAll('img')].map(one => Math.min(one.clientWidth, one.clientHeight))")
    assert len(sides) >= 10 and min(sides) >= 40, sides  # every picture is to be seen
    assert page.serious() == []
    quiet(page)
