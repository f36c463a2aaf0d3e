"""The models of a server as choices in Locust's start form, in a real Chromium, and what a form with models is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.web.chromium import chromium, open_start_form, texts
from tests.web.locusts import Locusts, wait_for
from triton_users.server import EmbeddedTriton

pytestmark = [pytest.mark.browser, pytest.mark.triton]

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds."""
OFFERED = ".triton.offered button"


@pytest.fixture(scope="module")
def locusts(any_triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locusts]:
    folder = tmp_path_factory.mktemp("locusts")
    with Locusts(f"grpc://{any_triton.grpc_url}", folder, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def form(locusts: Locusts) -> Iterator[Chrome]:
    with chromium() as browser:
        open_start_form(browser, locusts.url, "models", LIMIT_S)
        wait_for(lambda: "sum" in shown(browser), LIMIT_S)  # the parameters unfold slowly
        yield browser


def shown(form: Chrome) -> list[str]:
    """The names on the buttons that can be seen."""
    return [one.text for one in form.find_elements(By.CSS_SELECTOR, OFFERED)]


def choose(form: Chrome, model: str) -> None:
    (button,) = [one for one in form.find_elements(By.CSS_SELECTOR, OFFERED) if one.text == model]
    button.click()


def value(form: Chrome, name: str) -> str:
    return form.find_element(By.NAME, name).get_attribute("value") or ""


def test_the_models_of_the_host_are_choices_that_write_the_field(form: Chrome) -> None:
    assert {"sum", "repeat", "accumulate", "open_shape"} <= set(texts(form, OFFERED))
    choose(form, "sum")
    choose(form, "repeat")
    assert value(form, "models") == "sum,repeat"
    choose(form, "repeat")
    assert value(form, "models") == "sum"
    choose(form, "open_shape")
    assert (value(form, "models"), value(form, "shape")) == ("sum,open_shape", "open_shape:IN=1,2")


def test_what_the_form_lacks_is_told_and_what_was_chosen_runs(form: Chrome, locusts: Locusts) -> None:
    data = form.find_element(By.NAME, "inputData")
    data.send_keys("sum=nowhere.json")
    form.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait_for(lambda: "nowhere.json: No such file" in "".join(texts(form, "[role=alert]")), LIMIT_S)
    assert locusts.get("/stats/requests")["state"] == "ready"
    data.send_keys(Keys.CONTROL, "a")
    data.send_keys(Keys.DELETE)
    form.find_element(By.CSS_SELECTOR, "button[type=submit]").click()

    def names() -> set[str]:
        return {one["name"] for one in locusts.get("/triton/scenarios.json").get("scenarios", ())}

    wait_for(lambda: names() == {"sum", "open_shape"}, LIMIT_S)


def test_a_host_that_is_not_there_offers_nothing_and_says_why(locusts: Locusts) -> None:
    answer = locusts.get("/triton/models.json?host=grpc://127.0.0.1:9")
    assert answer["models"] == []
    assert "127.0.0.1:9" in answer["message"]


def test_each_model_comes_with_what_it_takes_and_needs(locusts: Locusts, tmp_path: Path) -> None:
    models = {one["name"]: one for one in locusts.get("/triton/models.json")["models"]}
    assert models["sum"] == {"name": "sum", "inputs": "IN INT32 [4], MORE INT32 [4] optional", "shape": ""}
    assert models["open_shape"]["shape"] == "open_shape:IN=1,2"
