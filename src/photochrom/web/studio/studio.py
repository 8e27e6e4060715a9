"""What the studio does with photos: receive, color, show, correct, hand out.

::

    a file ──▶ Base ──▶ logits ──▶ preview, tile, palette, candidates, uncertainty, download
       decoded once     the network, once for each set of hints

The work runs in four lanes. `decodes` and `networks` take one photo at a time. `renders` makes
pictures of what is there, so that a slider never waits for the network. `exports` writes whole
files. The lanes share only the `Cache`, and everything in it can be computed again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from photochrom.colorizer import Colorizer
from photochrom.errors import ConfigError
from photochrom.hints import Hint
from photochrom.pool import cpus
from photochrom.web.studio.asked import Box, Coloring
from photochrom.web.studio.cache import Cache, Key
from photochrom.web.studio.darkroom import Darkroom
from photochrom.web.studio.kept import Base, Level, Made, Ready, Sent
from photochrom.web.studio.lane import Lane
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.store import PLAIN, Store, Upload, prediction_name

__all__ = ["Studio"]

T = TypeVar("T")


class Studio:
    """Photos, their predictions and everything made of them, for any number of users at once.

    As a context manager, or with `close`, it leaves no file behind.

    Parameters
    ----------
    colorizer : loaded once
    limits : see `Limits`
    """

    def __init__(self, colorizer: Colorizer, limits: Limits | None = None) -> None:
        self.colorizer = colorizer
        self.limits = limits or Limits()
        self.cache = Cache(self.limits.memory, self.limits.memory_age)
        self.store = Store(self.limits.photos, self.limits.disk, self.limits.age, self.cache)
        self.darkroom = Darkroom(colorizer, self.limits, self.cache, self.store)
        self.decodes = Lane("decode", 1, self.limits.decodes)
        self.networks = Lane("network", 1, self.limits.networks)
        self.renders = Lane("render", min(4, max(2, cpus())), self.limits.renders)
        self.exports = Lane("export", 1, self.limits.exports)

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish the running work and remove all files."""
        lanes = self.decodes, self.networks, self.renders, self.exports
        try:
            for lane in lanes:
                lane.drop()  # all of them, before waiting for any
            for lane in lanes:
                lane.close()
        finally:
            self.store.close()  # even if a second Ctrl-C ends the waiting

    # --- photos ---

    async def add(self, sent: Sent) -> Upload:
        """Take over the file of a photo, decode it and run the network on it.

        Raises
        ------
        Refused
            It is too large, damaged, or not a photo. Its file is removed then.
        """
        token = secrets.token_urlsafe(16)
        self.cache.admit(token)
        try:
            base, description = await self.decodes.run(lambda: self.darkroom.receive(token, sent))
            name = str(description["prediction"])
            await self.networks.run(lambda: self.darkroom.made(token, base, [], name))
        except BaseException:
            self.cache.drop(token)
            self.store.release(sent.path)
            raise
        return self.store.add(sent, description, token)

    async def predict(self, token: str, hints: Sequence[Hint]) -> str:
        """Run the network with hints, unless it has done so; the name of the prediction."""
        upload = self.store.get(token)
        name = prediction_name(hints)
        base = await self._base(token)
        await self._cached(
            (token, "made", name),
            lambda: self.darkroom.made(token, base, hints, name),
            self.networks,
        )
        # Not earlier: bad hints must fail here, not at the first picture.
        upload.remember(hints)
        return name

    async def original(self, token: str, size: int) -> bytes:
        """The photo itself as a JPEG, with the geometry of `preview`."""
        base = await self._base(token)
        return await self.renders.run(lambda: self.darkroom.original(base, size))

    async def original_tile(self, token: str, box: Box) -> bytes:
        """A rectangle of the photo itself as a JPEG, with the geometry of `tile`."""
        level = await self._level(token, box.scale)
        return await self.renders.run(lambda: self.darkroom.original_tile(level, box))

    # --- predictions ---

    async def preview(self, token: str, name: str, coloring: Coloring, size: int) -> bytes:
        """The colored photo as a JPEG; its longest side has at most `size` pixels."""
        ready = await self._ready(token, name, coloring)

        def work() -> bytes:
            return self.darkroom.preview(ready, size, threads=1 if self.renders.crowded else 0)

        return await self.renders.run(work)

    async def tile(self, token: str, name: str, coloring: Coloring, box: Box) -> bytes:
        """A rectangle of the colored photo as a JPEG; see `cut_box` for its geometry."""
        ready = await self._ready(token, name, coloring)
        level = await self._level(token, box.scale)
        return await self.renders.run(lambda: self.darkroom.tile(ready, level, box))

    async def candidates(self, token: str, name: str, n: int, seed: int) -> list[dict[str, Any]]:
        """The candidates of a seed: each one's number and mean color.

        With other hints for the same photo, each keeps its number and, as far as the hints allow,
        its look.
        """
        ready = await self._ready(token, name, Coloring(candidate=0, seed=seed))
        return await self.renders.run(lambda: self.darkroom.candidates(ready, n))

    async def palette(
        self, token: str, name: str, coloring: Coloring, at: tuple[float, float], n: int
    ) -> dict[str, Any]:
        """The likely colors of a spot (x, y), its distribution over the bins, and its color now."""
        ready = await self._ready(token, name, coloring)
        (x, y), (height, width) = at, ready.base.shape
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(
                f"({x:g}, {y:g}) is outside the photo, which has {width} x {height} pixels"
            )
        return await self.renders.run(lambda: self.darkroom.palette(ready, at, n))

    async def uncertainty(self, token: str, name: str, size: int) -> bytes:
        """The entropy of each pixel as a gray PNG of a preview's size."""
        ready = await self._ready(token, name)
        return await self.renders.run(lambda: self.darkroom.uncertainty(ready, size))

    async def spots(self, token: str, name: str, n: int) -> list[dict[str, Any]]:
        """The n places where a hint would help most, apart from each other."""
        ready = await self._ready(token, name)
        hints = self.store.get(token).recall(name)
        return await self.renders.run(lambda: self.darkroom.spots(ready, hints, n))

    # --- whole files ---

    async def download(
        self, token: str, name: str, coloring: Coloring, extension: str | None
    ) -> Made:
        """A file with the whole photo in color, which the caller removes.

        Raises
        ------
        Refused
            The format cannot hold it.
        """
        upload = self.store.get(token)
        hints = upload.recall(name)
        target = extension or str(upload.description["extension"])

        def work() -> Made:
            base = self.darkroom.base(token, upload.sent)
            made = self.darkroom.made(token, base, hints, name)
            fields = None
            if coloring.candidate is not None and name != PLAIN:
                fields = self.darkroom.fields(token, base, coloring.seed).fields
            ready = Ready(token, name, base, made, coloring, fields)
            return self.darkroom.download(ready, upload.sent, target)

        return await self.exports.run(work, discard=self.discard)

    async def color(self, sent: Sent, coloring: Coloring, extension: str | None) -> Made:
        """Color a file and forget it: a file with the result, which the caller removes.

        Errors as for `add` and `download`.
        """
        return await self.exports.run(
            lambda: self.darkroom.color(sent, coloring, extension), discard=self.discard
        )

    def discard(self, made: Made) -> None:
        """Remove a result that nobody waits for any more."""
        self.store.release(made.path)

    # --- inside ---

    async def _base(self, token: str) -> Base:
        upload = self.store.get(token)
        return await self._cached(
            (token, "base"), lambda: self.darkroom.base(token, upload.sent), self.decodes
        )

    async def _level(self, token: str, scale: int) -> Level:
        upload = self.store.get(token)
        return await self._cached(
            (token, "level", scale),
            lambda: self.darkroom.level(token, upload.sent, scale),
            self.decodes,
        )

    async def _ready(self, token: str, name: str, coloring: Coloring | None = None) -> Ready:
        """What a picture of a prediction is made from, computed again if it was dropped."""
        coloring = coloring or Coloring()
        hints = self.store.get(token).recall(name)
        base = await self._base(token)
        made = await self._cached(
            (token, "made", name),
            lambda: self.darkroom.made(token, base, hints, name),
            self.networks,
        )
        fields = None
        if coloring.candidate is not None and name != PLAIN:
            # Here, because a thread that renders must never wait for the network.
            seed = coloring.seed
            found = await self._cached(
                (token, "fields", seed),
                lambda: self.darkroom.fields(token, base, seed),
                self.networks,
            )
            fields = found.fields
        return Ready(token, name, base, made, coloring, fields)

    async def _cached(self, key: Key, make: Callable[[], T], lane: Lane) -> T:
        found: T | None = self.cache.peek(key)
        return await lane.run(make) if found is None else found
