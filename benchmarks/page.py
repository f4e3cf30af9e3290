"""Waiting times of a user of the web page: for the first view after the command, and for predictions.

    python benchmarks/page.py --runs 7        # after `make test-app` has installed gradio and selenium; needs chromium and chromedriver

A headless Chromium presses the buttons. "first view" is the time from the start of `axialzoo app` until heading and picture are drawn;
"first answer" the time until the first result is drawn. Then one page stays open, and the script measures the time from the press on a
sample until its result is drawn: upload, prediction, drawing and the browser's own work. Classifications alternate between two samples of
one model; each segmentation follows a classification. The first of each is a warm-up. The script prints JSON: seconds, the processor load,
and "processor", the processor time of the page and the browser until the first view, which other programs change little.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120  # limit of every step
DRAWN = "[...document.querySelectorAll('#az-result img')].every(one => one.complete)"
PRESS = """
const [title, done] = arguments, result = () => document.querySelector('#az-result .az-columns');
const before = result() && result().outerHTML;
const button = [...document.querySelectorAll('.az-samples button')].find(one => one.innerText.trim() == title);
const start = performance.now();
button.click();
(function look() {
  const now = result();
  if (now && now.outerHTML != before && [...now.querySelectorAll('img')].every(one => one.complete))
    requestAnimationFrame(() => done((performance.now() - start) / 1000));
  else requestAnimationFrame(look);
})();
"""


def chromium() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(word)
    options.binary_location = shutil.which("chromium") or ""
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(SECONDS)
    return driver


def until(driver: Any, condition: str) -> None:
    """Wait until a JavaScript condition is true."""
    end = time.monotonic() + SECONDS
    while not driver.execute_script(f"return Boolean({condition})"):
        if time.monotonic() > end:
            raise TimeoutError(f"{condition}: not within {SECONDS} s")
        time.sleep(0.02)


def serve() -> tuple[subprocess.Popen, float, str]:
    """Start the page, and return its process, the time of the start, and its address."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "axialzoo", "app", "--port", "0"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "http://" in line:
            return process, start, line.split()[-1]
    raise RuntimeError("`axialzoo app` ended before it said an address")


def settle(driver: Any) -> None:
    """Wait until the attention is drawn too, so that nothing computes any more."""
    until(driver, "document.querySelectorAll('#az-attention img').length == 3")
    last, since = "", time.monotonic()
    while time.monotonic() - since < 1:
        now = driver.execute_script("return document.querySelector('#az-attention').innerHTML")
        last, since = now, since if now == last else time.monotonic()
        time.sleep(0.05)


def press(driver: Any, title: str) -> float:
    """Return the seconds from the press on a sample until its result is drawn."""
    seconds = driver.execute_async_script(PRESS, title)
    settle(driver)
    return seconds


def spent(*pids: int) -> float:
    """Return the processor time of processes and all their descendants in seconds."""
    every = [process for pid in pids for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    return sum(sum(process.cpu_times()[:2]) for process in every)


def started(driver: Any) -> tuple[float, float, float]:
    """Return seconds from the command to the first view and to the first answer, and the processor time until the first view."""
    driver.get("about:blank")
    browser = driver.service.process.pid
    before = spent(browser)
    process, start, address = serve()
    try:
        driver.get(address)
        until(driver, "document.querySelector('h1') && (one => one && one.complete)(document.querySelector('#az-picture img'))")
        view, processor = time.monotonic() - start, spent(browser, process.pid) - before
        until(driver, f"document.querySelector('#az-result .az-column') && {DRAWN}")
        return view, time.monotonic() - start, processor
    finally:
        process.kill()
        process.wait()


def summary(values: list[float]) -> dict[str, Any]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(middle, 2), "quartiles": [round(low, 2), round(high, 2)], "runs": [round(value, 2) for value in values]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    driver, load = chromium(), [os.getloadavg()[0]]
    try:
        views, answers, processor = zip(*(started(driver) for _ in range(runs)))
        load.append(os.getloadavg()[0])
        process, _, address = serve()
        try:
            driver.get(address)
            settle(driver)
            for title in ("Nuclei", "Coffee", "Cat"):
                press(driver, title)
            classified = [press(driver, ("Coffee", "Cat")[number % 2]) for number in range(runs)]
            segmented = []
            for _ in range(runs):
                press(driver, "Rocket")
                segmented.append(press(driver, "Nuclei"))
        finally:
            process.kill()
            process.wait()
    finally:
        driver.quit()
    load.append(os.getloadavg()[0])
    figures = {
        "first view": views,
        "processor": processor,
        "first answer": answers,
        "classification": classified,
        "segmentation": segmented,
    }
    print(json.dumps({"cores": os.cpu_count(), "load": load} | {name: summary(list(values)) for name, values in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
