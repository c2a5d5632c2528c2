"""The page in a real browser: a server of this process, a headless Chromium, and what a user does."""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Semaphore

import pytest
from PIL import Image

from var.engine.previews import Previewer

CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 120_000  # milliseconds until a test gives up on the page; machines may be busy
ALL_THE_TIME = 1e9  # as a budget of previews: all are made
MOST_STEPS = 1000
HOLD_THE_STREAM = """
const original = window.fetch;
window.fetch = async (...asked) => {
  const response = await original(...asked);
  if (!String(asked[0].url ?? asked[0]).includes("/queue/data")) return response;
  const held = new TransformStream({
    async transform(chunk, controller) {
      const text = new TextDecoder().decode(chunk);
      if (!window.release && text.includes("%s")) await new Promise(resolve => { window.release = resolve; });
      controller.enqueue(chunk);
      if (text.includes("close_stream")) setTimeout(() => { window.heard = true; }, 300);
    },
  });
  return new Response(response.body.pipeThrough(held), { status: response.status, headers: response.headers });
};
"""


@contextmanager
def serve(checkpoints: Path, temporary: Path, options=None) -> Iterator[str]:
    """Serve the page for a folder of checkpoints on a free port, and hand out its address.

    Args:
        checkpoints: the folder.
        temporary: where Gradio keeps images and uploads.
        options: `PageOptions`; None for the usual ones.
    """
    from var.ui.options import PageOptions
    from var.ui.page import create_page, launch_options

    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(temporary)
    page = create_page(checkpoints, "cpu", replace(options or PageOptions(), cache=temporary / "lasting"))
    try:
        _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options(page, options))
        yield address
    finally:
        page.close()
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


class Steps:
    """Runs that wait after each scale until a test lets them go on."""

    def __init__(self):
        self._waiting, self._may_go_on = Semaphore(0), Semaphore(0)

    def wait(self) -> None:
        """What a run does after each scale."""
        self._waiting.release()
        assert self._may_go_on.acquire(timeout=PATIENCE / 1000), "no test let this run go on"

    def next(self) -> None:
        """Let a run go on to its next scale, as soon as one waits."""
        assert self._waiting.acquire(timeout=PATIENCE / 1000), "no run came to a scale"
        self._may_go_on.release()

    def go_on(self) -> None:
        """Let all runs go on to their end."""
        self._may_go_on.release(MOST_STEPS)


@contextmanager
def step_by_step() -> Iterator[Steps]:
    """Let the runs of this process wait after each scale, whose previews are all shown."""
    steps = Steps()
    offer = Previewer.offer

    def wait_and_offer(previewer: Previewer, step):
        steps.wait()
        budget, previewer.budget = previewer.budget, ALL_THE_TIME
        try:
            return offer(previewer, step)
        finally:
            previewer.budget = budget

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Previewer, "offer", wait_and_offer)
        patch.setattr("var.ui.images.generate.LEAST_SECONDS", 0)
        try:
            yield steps
        finally:
            patch.undo()
            steps.go_on()


def hold_the_stream(context, message: str) -> None:
    """Hold back what a context's pages hear of the queue, as a slow network does, from a message on.

    The page's `window.release()`, there as soon as something is held back, lets it go on; `window.heard` when all
    that came was shown.
    """
    context.add_init_script(HOLD_THE_STREAM % message)


@contextmanager
def answers_held_back(page, text: str) -> Iterator[Callable[[], None]]:
    """Hold back, to the end of the block, answers that have some text in them; hands out what waits for the first."""
    held, given = [], []  # routes with their answers

    def hold(route):
        response = route.fetch()
        if text in response.text() and not given:
            held.append((route, response))
        else:
            route.fulfill(response=response)

    def wait() -> None:
        for _ in range(PATIENCE // 50):
            if held:
                return
            page.wait_for_timeout(50)  # lets answers come
        raise AssertionError(f"no answer had {text!r} in it")

    page.route("**/run/predict", hold)
    yield wait
    given.extend(held)
    for route, response in given:
        route.fulfill(response=response)


@contextmanager
def chromium() -> Iterator:
    """Start Chromium; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Someone with the page open.

    Args:
        page: Playwright's page.
        address: of the server.
        new_seeds: whether each run rolls its seed, as the page has it at first.
    """

    def __init__(self, page, address: str, *, new_seeds: bool = False):
        self.page = page
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        page.locator("#generate").wait_for()
        self.unfold("change-checkpoint", "sampling")
        if not new_seeds and "seed=" not in address:  # a link with a seed unchecks it by itself
            page.locator("#new-seed input").uncheck()
            page.evaluate("scrollTo(0, 0)")

    def unfold(self, *folds: str) -> None:
        """Open what is folded away."""
        for fold in folds:
            button = self.page.locator(f"#{fold} > button")
            if "open" not in button.get_attribute("class").split():
                button.click()

    def text(self, part: str) -> str:
        """What stands in a part of the page, given by its id, without Gradio's own clock, which nobody sees."""
        found = self.page.locator(f"#{part}")
        clock = found.locator("> [data-testid=status-tracker]")
        hidden = clock.first.inner_text() if clock.count() else ""
        return found.inner_text().removeprefix(hidden).strip()

    def wait_for(self, part: str, text: str) -> None:
        """Wait until a part of the page has some text."""
        self.page.locator(f"#{part}", has_text=text).wait_for()

    def choose_classes(self, *names: str) -> None:
        """Choose classes, by typing their names, instead of those chosen before."""
        classes = self.page.locator("#classes")
        clear = classes.get_by_role("button", name="Clear")
        if clear.count():
            clear.click()
        for name in names:
            classes.locator("input").fill(name)
            classes.get_by_role("option", name=name).click()
        self.page.keyboard.press("Escape")

    def choose_checkpoint(self, name: str) -> None:
        """Choose a checkpoint of the list, where what each is may stand behind its name."""
        self.open_checkpoints()
        pattern = re.escape(name).replace("/", r"\/")  # Playwright writes it between slashes
        wanted = re.compile(rf"^\W*{pattern}( ·|$)")
        self.page.locator("#checkpoint").get_by_role("option", name=wanted).click()

    def open_checkpoints(self) -> None:
        """Open the list of checkpoints, and wait until it is as the folder is now."""
        self.unfold("change-checkpoint")
        self.page.locator("#checkpoint input").click()
        self.page.locator("#checkpoint:not([aria-busy])").wait_for()

    def checkpoints(self, expected: str) -> list[str]:
        """What stands in the list of checkpoints, as soon as `expected` is among it."""
        self.open_checkpoints()
        options = self.page.locator("#checkpoint").get_by_role("option")
        options.filter(has_text=expected).first.wait_for()
        names = [option.inner_text().removeprefix("✓").strip() for option in options.all()]
        self.page.keyboard.press("Escape")
        return names

    def set(self, part: str, value: int) -> None:
        """Type a number."""
        field = self.page.locator(f"#{part} input[type=number]")
        field.fill(str(value))
        field.press("Tab")

    def upload(self, path: Path) -> None:
        """Upload a checkpoint."""
        self.page.locator("#upload input[type=file]").set_input_files(path)

    def generate(self) -> None:
        """Press Generate and wait for the images."""
        self.page.locator("#status .state").evaluate("state => { state.dataset.before = 'yes'; }")
        self.page.locator("#generate").click()
        self.page.locator("#status .state:not([data-before])", has_text=re.compile(r"\d images? in ")).wait_for()
        self.wait_for_finished()
        self.page.locator("#generate:not([disabled])").wait_for()

    def wait_for_finished(self) -> None:
        """Wait until the finished images have taken the previews' places."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll("#images .thumbnail-lg img")]
                .every(image => /-seed-\\d+\\.png$/.test(image.src))"""
        )

    def captions(self) -> list[str]:
        """What stands below the images."""
        return [
            caption.replace("\n", ", ") for caption in self.page.locator("#images .caption-label").all_inner_texts()
        ]

    def image_addresses(self) -> list[str]:
        """Where the images come from."""
        return self.page.locator("#images .thumbnail-lg img").evaluate_all("images => images.map(image => image.src)")

    def images(self) -> list[Image.Image]:
        """The images, downloaded."""
        return [self.picture(url) for url in self.image_addresses()]

    def picture(self, address: str) -> Image.Image:
        """An image of the page, downloaded."""
        return Image.open(io.BytesIO(self.page.request.get(address).body()))

    def another_first_image(self, before: str) -> str:
        """Wait until the first image is not the one at that address, and return where it comes from."""
        image = self.page.wait_for_function(
            """before => {
                const address = document.querySelector("#images .thumbnail-lg img")?.src;
                return address !== before && address;
            }""",
            arg=before,
        )
        return image.json_value()
