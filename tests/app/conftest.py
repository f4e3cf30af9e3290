"""The page served in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import axialzoo  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[2]
HERE = ("http://127.0.0.1", "data:", "blob:")
SECONDS = 120  # that anything may take on a busy machine


def _missing() -> str:
    for package in ("gradio", "selenium", "axe_playwright_python", "torch"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed; `make test-app` installs it"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program}; on Debian: apt-get install chromium chromium-driver"
    return ""


@pytest.fixture(scope="session")
def address():
    """Address of the page. Its process may connect to this machine alone; any other connection fails it."""
    if reason := _missing():
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.app.alone"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("the page: "), line
        yield line.split()[-1]
    finally:
        process.kill()
        outside = [line for line in process.stdout.read().splitlines() if line.startswith("outside: ")]
        process.stdout.close()
        process.wait()
    assert outside == []


class Browser:
    """A headless Chromium on the page, with what it fetched and complained of."""

    def __init__(self, address: str, width: int, dark: bool = False):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"):
            options.add_argument(word)
        options.binary_location = shutil.which("chromium") or ""
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        if dark:
            scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        self.driver.get(address)
        self.until("document.querySelectorAll('#az-attention img').length == 3")

    def run(self, script: str, *values):
        return self.driver.execute_script(script, *values)

    def until(self, condition: str) -> None:
        """Waits until some JavaScript is true."""
        end = time.time() + SECONDS
        while not self.run(f"return Boolean({condition})"):
            assert time.time() < end, f"{condition}: not within {SECONDS} s; the result is {self.text('#az-result')!r}"
            time.sleep(0.1)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def changed(self, selector: str, act) -> str:
        """Text of an element after `act` has changed it; gradio's own timer does not count."""
        own = f"[...document.querySelectorAll('{selector} [class^=az-]')].map(one => one.outerHTML).join()"
        self.run(f"window.before = {own}")
        act()
        self.until(f"{own} != window.before")
        return self.text(selector)

    def focused(self) -> str:
        """Element that has the keyboard's focus."""
        return self.run("return document.activeElement.outerHTML.slice(0, 300)")

    def press(self, text: str) -> None:
        (button,) = [
            find_element for find_element in self.driver.find_elements("css selector", "button") if find_element.text.strip() == text
        ]
        button.click()

    def complaints(self) -> list[str]:
        return [item["message"] for item in self.driver.get_log("browser") if item["level"] in ("SEVERE", "ERROR")]

    def fetched(self) -> list[str]:
        """Addresses of everything that was asked for."""
        said = [json.loads(item["message"])["message"] for item in self.driver.get_log("performance")]
        return [item["params"]["request"]["url"] for item in said if item["method"] == "Network.requestWillBeSent"]

    def serious(self) -> list[str]:
        """Serious and critical violations that axe-core reports."""
        package = importlib.util.find_spec("axe_playwright_python")
        self.run((Path(package.submodule_search_locations[0]) / "axe.min.js").read_text())
        actual = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        bad = [item for item in actual["violations"] if item["impact"] in ("serious", "critical")]
        return [f"{item['id']}: {item['help']}: {[node['html'][:160] for node in item['nodes'][:3]]}" for item in bad]


@pytest.fixture
def browser(address):
    built = []

    def open(width: int = 1200, dark: bool = False) -> Browser:
        built.append(Browser(address, width, dark))
        return built[-1]

    yield open
    for item in built:
        item.driver.quit()
