"""The web page in a real browser against the real service: 64 phones, live, an action with its reason, no way in.

With FER_LAB_SCREENSHOTS=docs it also writes the pictures that the documentation shows.
"""

import os
import threading
from pathlib import Path

import pytest
from contracts.networks import small_network
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from devicelab.client import LabClient
from devicelab.measurement import Workload

pytestmark = pytest.mark.slow
SECONDS = 30
PICTURES = os.environ.get("FER_LAB_SCREENSHOTS")


def until(browser, condition):
    return WebDriverWait(browser, SECONDS, poll_frequency=0.1).until(condition)


def picture(browser, name):
    if PICTURES:
        browser.save_screenshot(str(Path(PICTURES) / f"{name}.png"))


def texts(browser, selector):
    """What is to be read there now, in one step: the page may draw itself anew between two."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText.trim())", selector
    )


def text(browser, selector):
    """What the first of those says, "" if there is none yet."""
    return next(iter(texts(browser, selector)), "")


def enter(browser, service, role, path="/"):
    browser.delete_all_cookies()
    browser.get(service.url + path)
    browser.find_element(By.ID, "token").send_keys(service.tokens[role])
    browser.find_element(By.CSS_SELECTOR, ".login button").click()
    until(browser, lambda b: b.find_elements(By.ID, "live"))
    until(browser, lambda b: text(b, "#live") == "live")


def states(browser):
    return browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.tile')].map(t => [t.dataset.name, t.dataset.state]))"
    )


def test_refuses_without_a_token(browser, service):
    browser.delete_all_cookies()
    browser.get(service.url)
    assert "A token, please" in text(browser, "h1")
    assert browser.find_elements(By.CSS_SELECTOR, ".tile") == []
    browser.find_element(By.ID, "token").send_keys("nonsense")
    browser.find_element(By.CSS_SELECTOR, ".login button").click()
    until(browser, lambda b: "not known" in text(b, "#refused"))
    refused = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "fetch('/api/v1/devices/moto-g6-01/drain', {method: 'POST', headers: {'X-Fer-Lab': 'page',"
        " 'Content-Type': 'application/json'}, body: '{\"why\": \"because\"}'}).then(r => done(r.status))"
    )
    assert refused == 401


def test_shows_64_phones_and_that_they_are_simulated(browser, service):
    enter(browser, service, "read-only")
    tiles = texts(browser, ".tile")
    assert len(tiles) == 64
    assert all("simulated" in tile for tile in tiles)
    until(browser, lambda b: all("°C" in tile for tile in texts(b, ".tile")))
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(r => new URL(r.name).origin)")
    assert set(loaded) == {service.url}


def test_updates_live_while_phones_work(browser, service, tmp_path):
    enter(browser, service, "read-only")
    until(browser, lambda b: list(states(b).values()).count("READY") > 40)
    browser.execute_script("window.untouched = true")
    before = int(text(browser, "#summary .figure b"))
    workloads = []
    for filters in range(8, 72, 2):
        path = tmp_path / f"{filters}.tflite"
        path.write_bytes(small_network(side=96, filters=filters))
        workloads.append(Workload.of(path, 1))

    def ask(workload):
        with LabClient(service.url, service.tokens["search"]) as lab:
            lab.measure(workload, search="demo")

    askers = [threading.Thread(target=ask, args=(workload,)) for workload in workloads]
    for asker in askers:
        asker.start()
    until(browser, lambda b: "MEASURING" in states(b).values())
    if PICTURES:
        until(browser, lambda b: list(states(b).values()).count("MEASURING") >= 12)
    picture(browser, "lab-wall")
    for asker in askers:
        asker.join()
    until(browser, lambda b: f"{len(workloads)} measured" in text(b, "#summary"))
    assert before == 64
    assert browser.execute_script("return window.untouched"), "it changed without being loaded again"


def test_drains_a_phone_with_a_reason(browser, service):
    enter(browser, service, "operator", "/phones/moto-g6-07")
    browser.find_element(By.ID, "why").send_keys("screen looks loose")
    browser.find_element(By.CSS_SELECTOR, "button[value=drain]").click()
    until(browser, lambda b: text(b, "#outcome") == "drain: done")
    until(browser, lambda b: "draining" in text(b, "#head").lower() or "maintenance" in text(b, "#head").lower())
    until(browser, lambda b: "drain, by operator: screen looks loose" in text(b, "#history"))
    picture(browser, "lab-phone")
    browser.get(service.url + "/")
    until(browser, lambda b: text(b, "#live") == "live")
    tile = text(browser, "#phone-moto-g6-07").lower()
    assert "draining" in tile or "maintenance" in tile


def test_a_reader_cannot_act(browser, service):
    enter(browser, service, "read-only", "/phones/moto-g6-08")
    assert not browser.find_element(By.CSS_SELECTOR, "button[value=drain]").is_enabled()
    assert "need one of an operator" in text(browser, "#actions")
