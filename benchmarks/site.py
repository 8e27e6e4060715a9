"""A site in Chromium: the first color of a large photo, a setting, a hint, a download.

    python benchmarks/site.py                    a photo of 12 megapixels, about a minute
    python benchmarks/site.py --megapixels 24

For each question of the page: the time until its answer, and the time that the worker's thread was
computing, which on a busy machine is less. The rest of the work, such as drawing, is the page's.
Memory is that of the tab's process (VmHWM), with everything: the page, the network, the photo.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyvips
from playwright.sync_api import sync_playwright

from photochrom.web.site.build import write_site
from photochrom.web.site.runtime import fetch

EXAMPLES = Path(__file__).parent.parent / "examples"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

START = """() => {
  const worker = new Worker("static/engine/worker.js", { type: "module" });
  const waiting = new Map();
  worker.onmessage = ({ data }) => waiting.get(data.id)?.(data);
  window.ask = (method, address, body) => new Promise((resolve) => {
    const id = waiting.size + 1;
    waiting.set(id, resolve);
    worker.postMessage({ id, method, address, body });
  });
}"""
ASK = """async ([method, address, body]) => {
  const file = body === "photo" ? await (await fetch("photo.jpg")).blob()
    : body === "example" ? await (await fetch("examples/horses.jpg")).blob() : body;
  const before = performance.now();
  const reply = await window.ask(method, address, file);
  const wall = performance.now() - before;
  if (reply.status >= 400) throw new Error(reply.body);
  return [wall, typeof reply.body === "string" ? JSON.parse(reply.body) : null];
}"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files quietly, with the types that modules need."""

    def guess_type(self, path: Any) -> str:
        """The media type of a file."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def log_message(self, *words: Any) -> None:
        """Nothing."""


def photo(megapixels: float) -> bytes:
    image = pyvips.Image.new_from_file(str(EXAMPLES / "castle.jpg")).colourspace("b-w")
    image = image.resize((megapixels * 1e6 / (image.width * image.height)) ** 0.5)
    grain = pyvips.Image.gaussnoise(image.width, image.height, sigma=4, mean=0, seed=1)
    return bytes((image + grain).cast("uchar").jpegsave_buffer(Q=92))


def workers() -> dict[str, float]:
    """Seconds that the threads of workers in Chromium have computed, by their place in /proc."""
    found = {}
    for task in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        try:
            if "DedicatedWorker" in (task / "comm").read_text():
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                found[str(task)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue  # it has ended
    return found


def peak(task: str) -> float:
    text = (Path(task) / "status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--chromium", default="chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = write_site(Path(folder) / "site", fetch()).folder
        (site / "photo.jpg").write_bytes(photo(options.megapixels))
        handler = functools.partial(Handler, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = next(
            str(place)
            for part in os.environ["PATH"].split(":")
            if (place := Path(part) / options.chromium).exists()
        )
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        # Not the studio's page: its own worker would compute beside this one.
        (site / "blank.html").write_text("<!doctype html>")
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/blank.html")
        page.evaluate(START)
        measure(page, options.megapixels)
        browser.close()
        server.shutdown()


def measure(page: Any, megapixels: float) -> None:
    print(f"{'':42}  answered  computing")

    def ask(what: str, method: str, address: str, body: str | None = None) -> Any:
        before = workers()
        wall, reply = page.evaluate(ASK, [method, address, body])
        time.sleep(0.05)
        computing = max(v - before.get(k, 0.0) for k, v in workers().items())
        print(f"{what:42}  {wall / 1000:6.2f} s   {computing:6.2f} s", flush=True)
        return reply

    ask("the site, once", "GET", "/api/info")
    for number in range(4):
        ask(f"an example of 800 x 519, time {number + 1}", "POST", "/api/photos", "example")
    found = ask(f"a photo of {megapixels:g} megapixels", "POST", "/api/photos", "photo")
    of = f"/api/photos/{found['photo']}"
    plain = f"{of}/predictions/plain"
    ask("its preview, 1600 pixels", "GET", f"{plain}/preview?size=1600")
    for temperature in (0.30, 0.31, 0.32):
        ask("a setting, 1600 pixels", "GET", f"{plain}/preview?size=1600&temperature={temperature}")
    for temperature in (0.33, 0.34, 0.35):
        ask("a setting, 1024 pixels", "GET", f"{plain}/preview?size=1024&temperature={temperature}")
    for seed in (0, 1, 2):
        ask("another coloring", "GET", f"{plain}/preview?size=240&candidate=0&seed={seed}")
        ask("the next one", "GET", f"{plain}/preview?size=240&candidate=1&seed={seed}")
    for x in (1000, 1400, 1800):
        body = f'{{"hints": [{{"x": {x}, "y": 1500, "color": [120, 60, 60]}}]}}'
        name = ask("a hint", "POST", f"{of}/predictions", body)["prediction"]
        named = page.evaluate("encodeURIComponent", name)
        ask("its preview, 1600 pixels", "GET", f"{of}/predictions/{named}/preview?size=1600")
    ask("the colors of a spot", "GET", f"{plain}/palette?x=1000&y=1000")
    ask("weak spots", "GET", f"{plain}/spots")
    for x in (0, 512, 1024):
        ask("a tile", "GET", f"{plain}/tile?x={x}&y=0&width=512&height=512")
    ask("a download, JPEG", "GET", f"{plain}/download?format=jpg")
    ask("a download, PNG", "GET", f"{plain}/download?format=png")
    print(f"{'memory of the tab at most':42}  {max(map(peak, workers())):6.0f} MB")


if __name__ == "__main__":
    main()
