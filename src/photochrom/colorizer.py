"""The main path: photo -> L -> distribution -> ab -> photo.

`Colorizer.predict` runs the network once. What it returns, a `Prediction`, holds the distribution
over the 313 colors for every pixel, and answers from it: render, candidates, palette, uncertainty.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom import bins, color, stream
from photochrom.errors import ConfigError, HintError
from photochrom.hints import Anchors, heard
from photochrom.image import Photo, check_pages, open_photo, write_pages, write_photo
from photochrom.models import STRIDE, Model, ModelInfo, load_model
from photochrom.upsample import Upsampler, area_shrink, box_mean, guide_size

__all__ = ["Colorizer", "Hint", "Prediction"]

Float32 = NDArray[np.float32]
Hint = tuple[float, float, Sequence[float]]
"""(x, y, (r, g, b)): x to the right and y down in pixels of the photo, color as sRGB in 0..255."""

MAX_ASPECT = 6
"""Longer photos are squeezed to this for the network; the result keeps its proportions."""
HINT_RADIUS = 1
"""A hint covers the (2 r + 1)^2 pixels of the network's input about its place."""


class Colorizer:
    """Colors gray photographs with one model, loaded once.

    Parameters
    ----------
    model : name of a bundled model, or path of an .onnx file; None for the default model
    device : "cpu" or "cuda"
    working_size : short side of what the network sees, pixels, a multiple of the model's
        `multiple`; None for the model's own
    threads : cores to use on the CPU; 0 for all

    Raises
    ------
    ModelError
        The model is missing, damaged or not ours, or the device is not there.
    ConfigError
        A working size that the model cannot take.

    Examples
    --------
    >>> result = Colorizer().predict("grandmother.jpg")  # doctest: +SKIP
    >>> result.save("grandmother.color.jpg")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        *,
        working_size: int | None = None,
        threads: int = 0,
    ) -> None:
        self.model: Model = load_model(model, device, threads)
        self.threads = threads
        info = self.model.info
        self.working_size = info.working_size if working_size is None else working_size
        if not 0 < self.working_size <= 1024 or self.working_size % info.multiple:
            raise ConfigError(
                f"working size {self.working_size}: must be a multiple of {info.multiple}, "
                "at most 1024"
            )

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self.model.info

    def predict(self, photo: Any, hints: Sequence[Hint] = ()) -> Prediction:
        """Run the network on a photo, once.

        Parameters
        ----------
        photo : a path, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8,
            uint16 or float in [0, 1]; of a color photo only the lightness is used
        hints : colors for places, (x, y, (r, g, b)) with the color as sRGB in 0..255; of the color
            only a and b are used. They are followed to the letter and spread to like pixels.

        Returns
        -------
        Prediction

        Raises
        ------
        PhotoError
            The photo cannot be read or used.
        HintError
            A hint lies outside the photo or is no color, or the model takes none.
        """
        opened = photo if isinstance(photo, Photo) else open_photo(photo)
        if not opened.streamed:
            return self.run(opened, lightness(opened, self.threads), hints)
        shape = opened.height, opened.width
        check_hints(hints, shape, self.info)  # before the long way through the file
        frame = self.frame(shape)
        small = frame.height // STRIDE, frame.width // STRIDE
        sizes = [(frame.height, frame.width), guide_size(small, shape)]
        seen, guide = stream.reduced_L(opened, sizes, self.threads)
        prediction = self.run(opened, guide, hints, small=seen)
        return replace(prediction, upsampler=Upsampler(guide, small, shape))

    def frame(self, shape: tuple[int, int]) -> Frame:
        """What the network sees of a photo of (height, width)."""
        return Frame.of(*shape, self.working_size, self.info.multiple)

    def run(
        self,
        photo: Photo,
        L: Float32,
        hints: Sequence[Hint] = (),
        *,
        shape: tuple[int, int] | None = None,
        small: Float32 | None = None,
        plain: Float32 | None = None,
    ) -> Prediction:
        """`predict`, for who has more than the photo, or less.

        Parameters
        ----------
        photo, L : what the prediction shall render; its L, float32 (H, W), 0..100
        hints : see `predict`, also for the errors
        shape : (height, width) of the photo in whose pixels the hints are, where `photo` is a
            reduced copy
        small : L of the whole photo, reduced by `area_shrink` to the height and width of its
            `frame`; the same result for less work
        plain : the logits without hints, where they are known
        """
        shape = (photo.height, photo.width) if shape is None else shape
        small = L if small is None else small
        frame = self.frame(shape)
        places = check_hints(hints, shape, self.info)
        x = network_input(small, frame, self.info, [])
        logits = self._logits(x, frame) if plain is None else plain
        prediction = Prediction(photo, L, logits, self.info, self.threads)
        if not places:
            return prediction
        hinted = self._logits(network_input(small, frame, self.info, places), frame)
        p = None if self.info.regression else np.exp(prediction.log_probabilities())
        return replace(
            prediction,
            logits=heard(places, logits, hinted, p),
            anchors=Anchors.of(places, seen_lightness(x, frame, self.info), p),
        )

    def _logits(self, x: Float32, frame: Frame) -> Float32:
        return self.model(x)[:, : frame.height // STRIDE, : frame.width // STRIDE]

    def color_file(
        self,
        source: Photo | str | os.PathLike[str],
        target: str | os.PathLike[str],
        hints: Sequence[Hint] = (),
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
        quality: int | None = None,
        force: bool = False,
        draft: str | None = None,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Color a file, with all its pages; see `predict` and `Prediction.save`."""
        photo = source if isinstance(source, Photo) else open_photo(source)
        colors: dict[str, Any] = {
            "temperature": temperature,
            "saturation": saturation,
            "keep_color": keep_color,
        }
        put: dict[str, Any] = {"force": force, "draft": draft, "ready": ready}
        if photo.pages == 1:
            self.predict(photo, hints).save(target, **colors, quality=quality, **put)
            return
        check_pages(photo, target)

        def pages() -> Iterator[tuple[Any, Photo]]:
            for page in range(photo.pages):
                one = photo if page == 0 else photo.turned_to(page)
                prediction = self.predict(one, hints if page == 0 else ())
                yield prediction.colors(**colors), one

        write_pages(target, pages(), model=self.info.name, **put)


# --- photo to network input -------------------------------------------------------------------


def lightness(photo: Photo, threads: int = 0) -> Float32:
    """L of a photo: float32 (H, W), 0..100. `threads` as in `Colorizer`."""
    pixels = photo.pixels
    if pixels.shape[2] == 1:
        return color.gray_to_L(pixels[..., 0])
    # By strips: the intermediate float planes of a large color photo would not fit in the cache.
    L = np.empty(pixels.shape[:2], dtype=np.float32)
    _strips(L.shape, threads, lambda rows: L.__setitem__(rows, color.rgb_to_L(pixels[rows])))
    return L


@dataclass(frozen=True)
class Frame:
    """The photo's (height, width) in the network's input, which is padded to (rows, columns)."""

    height: int
    width: int
    rows: int
    columns: int

    @classmethod
    def of(cls, photo_height: int, photo_width: int, size: int, multiple: int) -> Frame:
        """Short side `size`, the other in proportion (to 4 pixels), padded to the multiple."""
        short, long = sorted((photo_height, photo_width))
        aspect = min(long / short, MAX_ASPECT)
        other = max(size, STRIDE * round(size * aspect / STRIDE))
        height, width = (size, other) if photo_height <= photo_width else (other, size)
        return cls(height, width, *(-(-side // multiple) * multiple for side in (height, width)))


def network_input(
    L: Float32, frame: Frame, info: ModelInfo, hints: Sequence[tuple[float, float, Float32]]
) -> Float32:
    """The network's input, float32 (channels, rows, columns): normalized L, and the hints.

    Hints are (x, y, ab) with x and y as shares of the photo in [0, 1).
    """
    small = area_shrink(L, (frame.height, frame.width))
    margin = ((0, frame.rows - frame.height), (0, frame.columns - frame.width))
    # Mirrored where there is enough to mirror: a hard edge of black would look like an object.
    enough = all(m <= side for (_, m), side in zip(margin, small.shape, strict=True))
    padded = np.pad(small, margin, mode="symmetric" if enough else "edge")
    x = np.zeros((info.channels, frame.rows, frame.columns), dtype=np.float32)
    x[0] = (padded - info.L_center) / info.L_scale
    for share_x, share_y, ab in hints:
        row, column = int(share_y * frame.height), int(share_x * frame.width)
        near = (
            slice(max(0, row - HINT_RADIUS), row + HINT_RADIUS + 1),
            slice(max(0, column - HINT_RADIUS), column + HINT_RADIUS + 1),
        )
        x[1:3, *near] = ab[:, None, None] / info.ab_scale
        x[3, *near] = 1
    return x


def seen_lightness(x: Float32, frame: Frame, info: ModelInfo) -> Float32:
    """L at the resolution of the logits, float32 (h, w), of the network's input."""
    seen = x[0, : frame.height, : frame.width] * info.L_scale + info.L_center
    blocks = seen.reshape(frame.height // STRIDE, STRIDE, frame.width // STRIDE, STRIDE)
    L: Float32 = blocks.mean(axis=(1, 3))
    return L


def check_hints(
    hints: Sequence[Hint], shape: tuple[int, int], info: ModelInfo
) -> list[tuple[float, float, Float32]]:
    """Hints as (x share, y share, ab), of a photo of (height, width).

    See `Colorizer.predict` for the errors.
    """
    height, width = shape
    if len(hints) and info.channels != 4:
        raise HintError(f"the model {info.name} takes no hints; use a photochrom model")
    checked = []
    for n, hint in enumerate(hints, 1):
        try:
            x, y, rgb = hint
            x, y = float(x), float(y)
            values = np.array([float(v) for v in rgb], dtype=np.float32)
        except (TypeError, ValueError):
            raise HintError(f"hint {n}: {hint!r} is not (x, y, (r, g, b))") from None
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(
                f"hint {n}: ({x:g}, {y:g}) lies outside the photo of {width} x {height}"
            )
        if values.shape != (3,) or not ((values >= 0) & (values <= 255)).all():
            raise HintError(f"hint {n}: {tuple(rgb)!r} is no color; give r, g, b in 0..255")
        ab = color.rgb_to_lab(values / np.float32(255))[1:]
        checked.append(((x + 0.5) / width, (y + 0.5) / height, ab))
    return [(min(x, 1 - 1e-6), min(y, 1 - 1e-6), ab) for x, y, ab in checked]


def check_settings(temperature: float, saturation: float) -> None:
    """Raise ConfigError for a temperature or saturation that is negative or not finite."""
    for name, value in (("temperature", temperature), ("saturation", saturation)):
        if not (np.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} = {value}: must be a number not below 0")


def check_keep(keep: float) -> None:
    """Raise ConfigError for a share of the photo's own color that is none."""
    if not 0 <= keep <= 1:
        raise ConfigError(f"keep_color = {keep}: must be from 0 to 1")


# --- the distribution and what it answers -----------------------------------------------------


@dataclass(frozen=True, eq=False)
class Prediction:
    """The distribution over colors for every pixel of a photo, and its answers.

    None of its methods runs the network.

    Attributes
    ----------
    photo : the photo that was read
    L : float32 (H, W), 0..100; of a photo that is `streamed`, reduced by area
    logits : float32 (Q, h, w), log probabilities up to a constant, as the network gave them
    info : of the model
    threads : cores to render on; 0 for all
    anchors : where the user's hints are followed to the letter; None without hints
    upsampler : made for this L and size of logits, where there is one already
    """

    photo: Photo
    L: Float32
    logits: Float32
    info: ModelInfo
    threads: int = 0
    anchors: Anchors | None = None
    upsampler: Upsampler | None = field(default=None, repr=False)

    def ab(self, temperature: float = bins.TEMPERATURE, saturation: float = 1.0) -> Float32:
        """Color at the network's resolution: float32 (h, w, 2).

        Parameters
        ----------
        temperature : T of the annealed mean; 0 is the mode (vivid), 1 the mean (muted)
        saturation : factor on a and b

        Raises
        ------
        ConfigError
            A negative or not finite temperature or saturation.

        Source: the paper, section 2.3.
        """
        check_settings(temperature, saturation)
        if self.info.regression:
            ab = np.moveaxis(self.logits, 0, -1) * np.float32(self.info.ab_scale)
        else:
            ab = bins.annealed_mean(self.logits, temperature, self.info.bins)
        if self.anchors is not None:
            ab = self.anchors.corrected(ab)
        return ab * np.float32(saturation)

    def render(
        self,
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
    ) -> Any:
        """The photo in color, at full size, with its own L.

        Parameters
        ----------
        temperature : T of the annealed mean; lower is more vivid, higher more muted
        saturation : factor on the colors
        keep_color : share, 0..1, of a color photo's own a and b in the result

        Returns
        -------
        What went in: an array (H, W, 3 or 4) of the same dtype for an array or a file, a PIL image
        for a PIL image; alpha is kept.
        """
        return self.photo.restore(self._rgb(temperature, saturation, keep_color))

    def save(
        self,
        path: str | os.PathLike[str],
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
        quality: int | None = None,
        force: bool = False,
        draft: str | None = None,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Render into a file; its extension decides the format. See `image.write_photo`.

        Raises
        ------
        PhotoError
            The file exists (and not `force`), or cannot be written.
        """
        rgb = self.colors(temperature, saturation, keep_color)
        model = self.info.name
        write_photo(
            path,
            rgb,
            self.photo,
            force=force,
            model=model,
            quality=quality,
            draft=draft,
            ready=ready,
        )

    def candidates(
        self,
        n: int = 4,
        seed: int = 0,
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
    ) -> list[Any]:
        """n different plausible colorings, each coherent over its objects, rendered as by `render`.

        See `variants`, which gives them as predictions.
        """
        return [v.render(temperature, saturation) for v in self.variants(n, seed)]

    def variants(self, n: int = 4, seed: int = 0) -> list[Prediction]:
        """n predictions, each leaning towards other colors that the distribution holds.

        One random field over the *colors* (not over the pixels) is added to the logits of every
        pixel. Adding Gumbel noise to logits and taking the mode draws a sample; pixels that share
        the noise make the same choice where they have the same alternatives, so that an object
        stays whole, and a pixel that is sure of its color keeps it. The noise is smooth over the
        ab plane, for it is to choose between colors, not between neighboring bins; and only colors
        of the nucleus, the likeliest that make up most of a pixel's probability, can be chosen. Of
        many draws those are kept that differ most from the first coloring and from each other.

        Parameters
        ----------
        n : how many, at least 1
        seed : equal seeds give equal variants

        Sources: E. J. Gumbel, 1954 (the maximum of perturbed logits is a sample); Holtzman et al.,
        "The Curious Case of Neural Text Degeneration", 2020 (nucleus).
        """
        logits, fields = self.leanings(n, seed)
        return [replace(self, logits=logits + f[:, None, None]) for f in fields]

    def leanings(
        self, n: int = 4, seed: int = 0, fields: Float32 | None = None
    ) -> tuple[Float32, Float32]:
        """What `variants` are made of.

        Parameters
        ----------
        n, seed : as for `variants`
        fields : float32 (n, Q), taken instead of choosing those that differ most here: with those
            of the same photo before a hint, each variant keeps its place and its look

        Returns
        -------
        logits : float32 (Q, h, w), those of the nucleus; the rest held down
        fields : float32 (n, Q); the i-th variant has logits + fields[i]. Up to six of them are the
            same for every n.
        """
        if n < 1:
            raise ConfigError(f"n = {n}: must be at least 1")
        self._needs_distribution("alternatives")
        logits = self._nucleus()
        if fields is not None:
            return logits, fields
        fields = _color_fields(self.info.bins, max(48, 8 * n), seed)
        # Coarse maps suffice to compare colorings.
        step = max(1, round(min(logits.shape[1:]) / 24))
        base, *maps = _means(logits[:, ::step, ::step], fields, self.info.bins)
        return logits, fields[_most_different(base, np.stack(maps), n)]

    def uncertainty(self) -> Float32:
        """Entropy of the distribution in bits, float32 (h, w) at the network's resolution.

        0 where the model is sure, at most log2(313) = 8.3. The rebalancing of rare colors is taken
        off first, so it is the model's honest uncertainty.
        """
        self._needs_distribution("uncertainty")
        return bins.entropy(self._honest)

    def palette(self, x: float, y: float, n: int = 6) -> list[tuple[tuple[int, int, int], float]]:
        """The likely colors of one spot, most likely first.

        Parameters
        ----------
        x, y : the spot, pixels of the photo, x to the right and y down
        n : how many at most

        Returns
        -------
        [((r, g, b), probability), ...] : sRGB in 0..255 at the spot's own L; neighboring bins are
        taken together, so the probabilities sum to at most 1. Rebalancing is taken off.

        Raises
        ------
        HintError
            The spot lies outside the photo.
        """
        return [(rgb, share) for rgb, _, share in self.swatches(x, y, n)]

    def swatches(
        self, x: float, y: float, n: int = 6
    ) -> list[tuple[tuple[int, int, int], tuple[float, float], float]]:
        """`palette`, with the (a, b) of each color: [((r, g, b), (a, b), probability), ...]."""
        L, p = self.spot(x, y)
        colors = []
        for center, share in _modes(p, self.info.bins, n):
            r, g, b = (int(v) for v in color.fit_gamut(L, center, np.uint8))
            colors.append(((r, g, b), (float(center[0]), float(center[1])), share))
        return colors

    def spot(self, x: float, y: float) -> tuple[float, Float32]:
        """L of one spot, 0..100, and its distribution: float32 (Q,), sum 1.

        Rebalancing is taken off. `x`, `y` and errors as in `palette`.
        """
        self._needs_distribution("palette")
        height, width = self.photo.height, self.photo.width
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(f"({x:g}, {y:g}) lies outside the photo of {width} x {height}")
        h, w = self.logits.shape[1:]
        row, column = int((y + 0.5) / height * h), int((x + 0.5) / width * w)
        here = self.logits[:, min(row, h - 1), min(column, w - 1)]
        rows, columns = self.L.shape
        L = self.L[int(y) * rows // height, int(x) * columns // width]
        return float(L), bins.softmax(here - self.info.log_weights)

    def log_probabilities(self) -> Float32:
        """The distribution itself: ln p of each bin, float32 (Q, h, w), sum of p over Q is 1.

        The rebalancing of rare colors is taken off, so these are honest probabilities.
        """
        self._needs_distribution("probabilities")
        z = self._honest - self._honest.max(axis=0)
        return np.asarray(z - np.log(np.exp(z).sum(axis=0)), dtype=np.float32)

    def colors(
        self, temperature: float = bins.TEMPERATURE, saturation: float = 1.0, keep_color: float = 0
    ) -> NDArray[Any] | stream.Strips:
        """What `image.write_photo` takes: all the pixels, or strips of a photo that is streamed."""
        settings = temperature, saturation, keep_color
        return self._strips_of(*settings) if self.photo.streamed else self._rgb(*settings)

    # --- inside ---

    def _needs_distribution(self, what: str) -> None:
        if self.info.regression:
            raise ConfigError(f"the model {self.info.name} is a regression: it has no {what}")

    @cached_property
    def _honest(self) -> Float32:
        """Logits without the rebalancing: a weighted cross entropy learns p w, up to a constant."""
        return self.logits - self.info.log_weights[:, None, None]

    def _nucleus(self) -> Float32:
        """Logits in which colors beyond the likeliest NUCLEUS of the probability are held down."""
        p = box_mean(bins.softmax(self._honest))  # over neighbors, or single pixels would fall out
        falling = -np.sort(-p, axis=0)
        count = (np.cumsum(falling, axis=0) < NUCLEUS).sum(axis=0, keepdims=True)
        least = np.take_along_axis(falling, count, axis=0)
        return np.where(p >= least, self.logits, self.logits - np.float32(12))

    @cached_property
    def _upsampler(self) -> Upsampler:
        h, w = self.logits.shape[1:]
        return self.upsampler or Upsampler(self.L, (h, w))

    def _rgb(self, temperature: float, saturation: float, keep: float = 0.0) -> NDArray[Any]:
        """(H, W, 3) in the photo's own dtype."""
        check_keep(keep)
        out = np.empty((self.photo.height, self.photo.width, 3), dtype=self.photo.samples)
        if self.photo.streamed:
            top = 0
            for colors, _ in self._strips_of(temperature, saturation, keep):
                out[top : top + len(colors)] = colors
                top += len(colors)
            return out
        upsampler = self._upsampler
        fitted = upsampler.fit(self.ab(temperature, saturation))

        def paint(rows: slice) -> None:
            own = self.photo.pixels[rows] if keep else None
            rejoin(upsampler, fitted, self.L[rows], rows.start, out[rows], own, keep)

        _strips(self.L.shape, self.threads, paint)
        return out

    def _strips_of(self, temperature: float, saturation: float, keep: float) -> stream.Strips:
        """The same as strips, with their alpha, of a photo that is `streamed`."""
        check_keep(keep)
        upsampler = self._upsampler
        fitted = upsampler.fit(self.ab(temperature, saturation))

        def paint(pixels: NDArray[Any], first: int, out: NDArray[Any]) -> None:
            rejoin(upsampler, fitted, stream.rows_L(pixels), first, out, pixels, keep)

        return stream.colored_strips(self.photo, paint, self.threads)


def rejoin(
    upsampler: Upsampler,
    fitted: Float32,
    L: Float32,
    first: int,
    out: NDArray[Any],
    own: NDArray[Any] | None = None,
    keep: float = 0.0,
) -> None:
    """Some rows of a photo in color, encoded sRGB, into `out` (n, W, 3); see `Upsampler.paint`.

    `own` are the pixels (n, W, 1 or 3) of the photo, of whose color a share `keep` is mixed in.
    """
    if not keep or own is None:
        upsampler.paint(fitted, L, out, first)
        return
    ab = np.stack(upsampler.rows(fitted, L, first), axis=-1)
    ab *= np.float32(1 - keep)
    if own.shape[2] == 3:  # a gray photo's own color is none
        ab += np.float32(keep) * color.rgb_to_lab(own)[..., 1:]
    out[...] = color.fit_gamut(L, ab, out.dtype)


def _strips(shape: tuple[int, ...], threads: int, work: Any, pixels: int = 1 << 16) -> None:
    """Call work(slice of rows) over all rows, in threads (NumPy frees the interpreter lock)."""
    height, width = shape
    rows = max(1, pixels // max(width, 1))
    parts = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(work, parts))


FIELD_WIDTH = 25.0
"""Correlation length in ab units of the fields that `variants` adds: nearer colors go together."""
FIELD_STRENGTH = 1.6
"""Standard deviation of those fields in nats; that of Gumbel noise is pi / sqrt(6) = 1.28."""
NUCLEUS = 0.65
"""Share of a pixel's probability that the colors open to `variants` make up."""


def _color_fields(centers: Float32, n: int, seed: int) -> Float32:
    """Smooth random fields over the bins, float32 (n, Q), mean 0."""
    rng = np.random.default_rng(seed)
    d2 = ((centers[:, None, :] - centers[None, :, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-d2 / (FIELD_WIDTH**2))
    kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))  # unit variance everywhere
    fields = rng.standard_normal((n, len(centers))) @ kernel.T
    return np.asarray(FIELD_STRENGTH * fields, dtype=np.float32)


def _means(logits: Float32, fields: Float32, centers: Float32) -> Float32:
    """Annealed means ab (1 + n, pixels, 2) of logits (Q, h, w): plain first, then with each field.

    exp((z + f) / T) = exp(z / T) exp(f / T): all of them are one product of matrices.
    """
    z = logits.reshape(len(logits), -1)
    p = np.exp((z - z.max(axis=0)) / np.float32(bins.TEMPERATURE))
    plain = np.zeros_like(fields[:1])
    tilt = np.exp(np.concatenate([plain, fields]) / np.float32(bins.TEMPERATURE))
    total = tilt @ p
    return np.stack([(tilt * c) @ p / total for c in centers.T], axis=-1)


def _most_different(base: Float32, maps: Float32, n: int) -> list[int]:
    """Greedily n of the maps (N, pixels, 2), each farthest from base and those before it."""
    chroma = np.linalg.norm(maps, axis=-1).mean(axis=1)
    # A coloring that only fades differs as well, but nobody asked for it: those come last.
    faded = chroma < 0.8 * np.linalg.norm(base, axis=-1).mean()
    distance = np.full(len(maps), np.inf)
    chosen: list[int] = []
    last = base
    for _ in range(n):
        distance = np.minimum(distance, np.linalg.norm(maps - last, axis=-1).mean(axis=1))
        distance[chosen] = -np.inf
        best = int(np.argmax(np.where(faded, distance - 1e3, distance)))
        chosen.append(best)
        last = maps[best]
    return chosen


MODE_RADIUS = 15.0
"""`palette` takes bins within this distance (ab units) of a likeliest bin for the same color."""


def _modes(p: Float32, centers: Float32, n: int) -> list[tuple[Float32, float]]:
    """The n heaviest clusters of a distribution over bins: (mean ab, share), heaviest first."""
    left = p.astype(np.float64)
    found = []
    for _ in range(n):
        top = int(left.argmax())
        near = np.linalg.norm(centers - centers[top], axis=1) <= MODE_RADIUS
        mass = float((left * near).sum())
        if mass < 0.005:
            break
        center = (left * near) @ centers / mass
        found.append((center.astype(np.float32), mass))
        left[near] = 0
    return sorted(found, key=lambda mode: -mode[1])
