"""The browser's colors are Python's: equal but for 1 of 255, in at most 1 of 100 values."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin
from playwright.sync_api import Browser, Page

from photochrom import Colorizer, Hint
from photochrom.photo.open import open_photo
from photochrom.photo.pictures import shrunk
from photochrom.web.site.build import MODEL

EXAMPLES = Path(__file__).parents[3] / "examples"

SETUP = """async () => {
  const part = (name) => import(new URL(`static/engine/${name}.js`, location.href).href);
  const { loadKernel } = await part("kernel");
  const { Network } = await part("network");
  const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  await loadKernel(await bytes("static/engine/kernel.wasm"));
  const { model } = await (await fetch("static/site.json")).json();
  window.network = await Network.load(await bytes(`static/${model.file}`), model.info);
  window.darkroom = await part("darkroom");
}"""
RENDER = """async ({ text, bits, shape, hints, look }) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const codes = bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
  const { Pixels, Work, baseOf } = window.darkroom;
  const pixels = new Pixels(codes, ...shape);
  const work = new Work(window.network, baseOf(window.network, pixels), async () => pixels);
  const { codes: found } = await work.whole(await work.predict(hints), look);
  const plain = new Uint8Array(found.buffer, found.byteOffset, found.byteLength);
  let letters = "";
  for (let at = 0; at < plain.length; at += 8192) {
    letters += String.fromCharCode(...plain.subarray(at, at + 8192));
  }
  return btoa(letters);
}"""


@pytest.fixture(scope="module")
def small() -> Colorizer:
    """The model of sites."""
    return Colorizer(MODEL, threads=1)


@pytest.fixture(scope="module")
def engine(chromium: Browser, host: Callable[[Path], Any], site: Path) -> Iterator[Page]:
    """A page with the engine of a site."""
    page = chromium.new_page()
    page.goto(host(site).url)
    page.evaluate(SETUP)
    yield page
    page.close()


def _rendered(
    page: Page, pixels: NDArray[Any], hints: list[dict[str, Any]], look: dict[str, Any]
) -> NDArray[Any]:
    asked = {
        "text": base64.b64encode(pixels.tobytes()).decode(),
        "bits": 8 * pixels.itemsize,
        "shape": pixels.shape,
        "hints": hints,
        "look": {"temperature": 0.38, "saturation": 1, "candidate": None, "seed": 0, **look},
    }
    data = base64.b64decode(page.evaluate(RENDER, asked))
    return np.frombuffer(data, pixels.dtype).reshape(*pixels.shape[:2], 3)


def _expected(
    colorizer: Colorizer, pixels: NDArray[Any], hints: list[dict[str, Any]], look: dict[str, Any]
) -> NDArray[Any]:
    prediction = colorizer.predict(pixels, [Hint(**hint) for hint in hints])
    if "candidate" in look:
        plain = colorizer.predict(pixels).distribution if hints else None
        other = prediction.distribution.candidate(look["candidate"], look.get("seed", 0), plain)
        prediction = replace(prediction, distribution=other)
    found: NDArray[Any] = prediction.render(
        look.get("temperature", 0.38), look.get("saturation", 1)
    )
    return found


def _photos(draw: Callable[..., NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
    """The examples at half their size, and what they are not: odd sizes, 16 bits, a frame, flat."""
    photos: dict[str, NDArray[Any]] = {
        path.stem: shrunk(open_photo(path).pixels, 2) for path in sorted(EXAMPLES.glob("*.jpg"))
    }
    photos["framed"] = np.pad(photos["castle"], ((25, 30), (20, 22), (0, 0)), constant_values=236)
    photos["deep"] = photos["moose"].astype(np.uint16) * 257 + 31
    photos["gray deep"] = np.ascontiguousarray(photos["deep"][..., :1])
    photos["smaller than the network's"] = shrunk(photos["canyon"], 4)
    photos["long"] = np.ascontiguousarray(photos["horses"][:40])
    photos["high"] = np.ascontiguousarray(photos["horses"][:, :37])
    photos["flat"] = np.full((90, 120, 1), 120, np.uint8)
    photos["drawn"] = draw(140, 190)
    photos["noise"] = np.random.default_rng(3).integers(0, 256, (70, 99, 1), dtype=np.uint8)
    return photos


def _asked(number: int, shape: tuple[int, ...]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Hints and settings, others for each photo."""
    height, width = shape[:2]
    spot = {"x": 0.3 * width, "y": 0.6 * height, "color": [180, 60, 50]}
    soft = {
        "x": 0.7 * width,
        "y": 0.4 * height,
        "color": [60, 90, 180],
        "reach": 1.5,
        "strength": 0.7,
    }
    line = [[0.3 * width, 0.6 * height], [0.6 * width, 0.5 * height], [0.7 * width, 0.9 * height]]
    stroke = {**spot, "stroke": line, "reach": 0.5}
    region = {**soft, "region": line, "reach": 1, "strength": 1}
    kinds: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
        ([], {}),
        ([spot, soft], {}),
        ([], {"candidate": number % 6, "seed": number}),
        ([stroke, region], {"saturation": 1.6}),
        ([soft], {"candidate": 1, "temperature": 0.6}),
        ([], {"temperature": 0.15, "saturation": 0.5}),
        ([region, spot], {"temperature": 0}),
    ]
    return kinds[number % len(kinds)]


def test_twenty_photos_have_the_same_colors_in_the_browser(
    engine: Page, small: Colorizer, draw_picture: Callable[..., NDArray[np.uint8]]
) -> None:
    photos = _photos(draw_picture)
    assert len(photos) == 20
    off = {}
    for number, (name, pixels) in enumerate(photos.items()):
        hints, look = _asked(number, pixels.shape)
        step = 257 if pixels.itemsize == 2 else 1
        wanted = _expected(small, pixels, hints, look).astype(np.int64)
        apart = np.abs(_rendered(engine, pixels, hints, look).astype(np.int64) - wanted)
        off[name] = float((apart > step).mean())
    assert {name: share for name, share in off.items() if share > 0.01} == {}


def test_the_random_numbers_are_numpys(engine: Page) -> None:
    found = engine.evaluate(
        """async () => {
          const random = new URL("static/engine/random.js", location.href).href;
          const { standardNormal } = await import(random);
          const seeds = [0, 1, 2 ** 32 - 1];
          return seeds.map((seed) => Array.from({ length: 3000 }, standardNormal(seed)));
        }"""
    )
    wanted = [np.random.default_rng(seed).standard_normal(3000) for seed in (0, 1, 2**32 - 1)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_tiles_are_parts_of_the_whole(engine: Page, draw_picture: Callable[..., Any]) -> None:
    picture = np.pad(draw_picture(5, 200, 300), ((12, 9), (14, 0), (0, 0)), constant_values=250)
    apart = engine.evaluate(
        """async ({ text, shape }) => {
          const codes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const { Pixels, Work, baseOf } = window.darkroom;
          const pixels = new Pixels(codes, ...shape);
          const work = new Work(window.network, baseOf(window.network, pixels), async () => pixels);
          const look = { temperature: 0.4, saturation: 1, candidate: null, seed: 0 };
          const name = await work.predict([{ x: 150, y: 90, color: [200, 60, 50] }]);
          const whole = await work.whole(name, look);
          let apart = 0;
          for (const [x, y] of [[0, 0], [128, 64], [250, 150]]) {
            const box = { x, y, width: 100, height: 90, scale: 1 };
            const tile = await work.tile(name, look, box);
            const part = whole.cut(y, x, y + tile.h, x + tile.w);
            tile.codes.forEach((code, i) => { apart += Number(code !== part.codes[i]); });
          }
          return apart;
        }""",
        {"text": base64.b64encode(picture.tobytes()).decode(), "shape": picture.shape},
    )
    assert apart == 0


PACKINGS = [
    {"compression": "none"},
    {"compression": "lzw"},
    {"compression": "lzw", "predictor": "horizontal"},
    {"compression": "deflate", "predictor": "horizontal", "tile": True, "tile_width": 32},
    {"compression": "packbits"},
]
DECODE = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const { decodeTiff } = await import(new URL("static/engine/tiff.js", location.href).href);
  const { codes, h, w, channels } = await decodeTiff(bytes).catch((error) => [error.name]);
  return codes ? [[...codes], h, w, channels] : null;
}"""


@pytest.mark.parametrize("deep", [False, True])
def test_tiff_files_are_read_as_they_were_written(
    engine: Page, draw_picture: Callable[..., Any], deep: bool
) -> None:
    picture = draw_picture(2, 45, 70)
    picture[10:20] = 77  # something to pack
    if deep:
        picture = picture.astype(np.uint16) * 257 + 9
    for packing in PACKINGS:
        for pixels in (picture, np.ascontiguousarray(picture[..., :1])):
            image = pyvips.Image.new_from_array(pixels)
            space = ("rgb16" if deep else "srgb") if pixels.shape[2] == 3 else None
            image = image if space is None else image.copy(interpretation=space)
            data = image.tiffsave_buffer(**packing)
            codes, *shape = engine.evaluate(DECODE, base64.b64encode(data).decode())
            assert shape == list(pixels.shape)
            assert np.array_equal(codes, pixels.ravel()), packing


@pytest.mark.parametrize(("height", "width"), [(64, 80), (7, 1), (61, 83), (700, 900)])
def test_a_jpeg_is_as_near_to_its_pixels_as_libjpegs(
    engine: Page, draw_picture: Callable[..., Any], height: int, width: int
) -> None:
    picture = draw_picture(height, height, width)
    noise = np.random.default_rng(1).integers(0, 256, (8, width, 3), dtype=np.uint8)
    picture[:8] = noise[: len(picture[:8])]  # where most has to be written
    data = engine.evaluate(
        """async ({ text, h, w }) => {
          const { jpeg } = await import(new URL("static/engine/kernel.js", location.href).href);
          const codes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          return jpeg(codes, h, w, 92).map((part) => Array.from(part, (byte) =>
            String.fromCharCode(byte)).join("")).map(btoa);
        }""",
        {"text": base64.b64encode(picture.tobytes()).decode(), "h": height, "w": width},
    )
    ours = b"".join(base64.b64decode(part) for part in data)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=92, subsampling=0)
    apart = []
    for one in (ours, file.getvalue()):
        with Image.open(io.BytesIO(one)) as image:
            assert image.size == (width, height)
            assert JpegImagePlugin.get_sampling(image) == 0
            image.load()
            decoded = np.asarray(image).astype(int)
        apart.append(float(((decoded - picture) ** 2).mean()))
    assert apart[0] < 1.02 * apart[1] + 0.1
    assert len(ours) < 1.05 * len(file.getvalue()) + 100


def test_photos_are_turned_and_cropped(engine: Page, draw_picture: Callable[..., Any]) -> None:
    picture = draw_picture(3, 20, 30)
    frame = {"left": 2, "top": 5, "width": 11, "height": None}
    for turn in (0, 90, 180, 270):
        asked = {"codes": picture.ravel().tolist(), "frame": {**frame, "turn": turn}}
        codes, h, w = engine.evaluate(
            """async ({ codes, frame }) => {
              const { framed } = await import(new URL("static/engine/turn.js", location.href).href);
              const all = { codes: Uint8Array.from(codes), h: 20, w: 30, channels: 3, alpha: null };
              const made = framed(all, frame);
              return [[...made.codes], made.h, made.w];
            }""",
            asked,
        )
        wanted = np.rot90(picture, -turn // 90)[5:, 2:13]
        assert (h, w) == wanted.shape[:2]
        assert np.array_equal(codes, wanted.ravel()), turn


def test_a_tiff_that_lies_on_its_side_is_turned(
    engine: Page, draw_picture: Callable[..., Any]
) -> None:
    image = pyvips.Image.new_from_array(draw_picture(4, 20, 30)).copy(interpretation="srgb")
    for orientation in range(1, 9):
        turned = image.copy()
        turned.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        data = turned.tiffsave_buffer(compression="lzw")
        codes, *shape = engine.evaluate(DECODE, base64.b64encode(data).decode())
        wanted = turned.autorot().numpy()
        assert shape == list(wanted.shape)
        assert np.array_equal(codes, wanted.ravel()), orientation


def test_a_damaged_tiff_is_refused_not_guessed(
    engine: Page, draw_picture: Callable[..., Any]
) -> None:
    image = pyvips.Image.new_from_array(draw_picture(4, 20, 30)).copy(interpretation="srgb")
    data = image.tiffsave_buffer(compression="lzw")
    for cut in (8, 30, len(data) // 2, len(data) - 3):
        text = base64.b64encode(data[:cut]).decode()
        assert engine.evaluate(DECODE, text) is None, cut
