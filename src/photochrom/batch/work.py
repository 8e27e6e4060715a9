"""Many photos: folders, all cores, and a manifest from which an interrupted run resumes.

::

    find ──▶ plan ──▶ color: a process per core ──▶ results, and a line each in the manifest
              ▲                                                  │
              └──────────── the next run reads them ◀────────────┘

The manifest is `photochrom.jsonl` in the output folder. For photos that are named one by one, it is
the nearest one in or above the folder of the result, see `history`. It holds JSON lines and is only
appended to. Of the lines about one result, the last one without an error counts. It decides:

- *Order.* A result is written under the name of a draft. Then the draft and its line are brought to
  the disk, both at once. Once both are there, the draft takes the name of the result. So whatever
  is killed when, a result under its own name is whole and has a line. A line without its result is
  done again, and a torn line is skipped.
- *The same source.* Path, size and time of last change are the same, as for rsync. If one of them
  differs, the SHA-256 of the content decides: an archive that was moved or copied is not redone.
- *The same settings.* Temperature, saturation, hints, the share of the photo's own color, quality,
  working size and the SHA-256 of the model. The line also has the version of photochrom, but an
  update does not redo an archive.
- *Whose file it is.* A file is replaced only if it is, to the byte, the result of the same source
  that a line describes. Everything else needs `force`. The exception is an empty file: where there
  are no hard links, a kill can leave one that only reserved the name.
- *What does not work.* A photo that cannot be read, or is left alone because it has colors of its
  own, has a line with its state. As long as it does not change, it is not tried again.
- *Several runs at once.* Each shard has its own manifest. On network drives, appends of several
  machines are not atomic, and this way no line tears another. All manifests are read. A lock on the
  manifest keeps a shard from running twice. It lasts until the last worker has ended, and its owner
  may remove the drafts that carry the number of the shard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from photochrom.batch.job import (
    Attempt,
    Certainty,
    FileState,
    Job,
    Known,
    OwnColor,
    Settings,
)
from photochrom.batch.manifest import ManifestError, Recorder
from photochrom.batch.plan import found_result, lacking, other_color, unknown_result
from photochrom.batch.watch import Watch
from photochrom.errors import PhotochromError, PhotoError
from photochrom.files import whole

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer
    from photochrom.photo.photo import Photo
    from photochrom.prediction import Prediction

__all__ = ["Coloring", "Engine", "Outcome", "prepare"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Outcome(NamedTuple):
    """The outcome of a job."""

    kind: Literal["done", "skipped", "left", "failed"]  # left: a color photo, skipped
    error: str = ""
    notes: tuple[str, ...] = ()  # what the result lacks of the photo
    stop: str = ""  # why no other photo can be colored either, such as a full disk


def prepare() -> None:
    """Load what coloring needs, in a process that has no work yet."""
    import photochrom.colorizer
    import photochrom.photo.open
    import photochrom.tone  # noqa: F401


@dataclass(frozen=True)
class Engine:
    """Which network, and how it runs; see `Colorizer`. Each process loads its own."""

    model: str | os.PathLike[str] | None = None
    device: str = "cpu"
    threads: int = 1
    size: int | None = None
    margins: bool = True

    @cached_property
    def colorizer(self) -> Colorizer:
        """Loaded when it is first asked for."""
        from photochrom.colorizer import Colorizer

        return Colorizer(
            self.model,
            self.device,
            working_size=self.size,
            threads=self.threads,
            margins=self.margins,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "colorizer"}


@dataclass(frozen=True)
class Coloring:
    """Colors one photo after another; the first one loads the model.

    Each worker gets a copy.

    Attributes
    ----------
    settings : of the run
    manifest : where the outcomes are recorded
    engine : for the network
    color : what to do with color photos
    watch : hears of each step
    """

    settings: Settings
    manifest: Recorder
    engine: Engine = Engine()
    color: OwnColor = "recolor"
    watch: Watch = field(default_factory=Watch)

    def __call__(self, job: Job) -> Outcome:
        """Color a photo; any failure becomes its outcome."""
        work = _Work(job, self, job.settings or self.settings)
        lasting = False
        extra = False
        stop = ""
        try:
            return work.done()
        except PhotochromError as error:
            message = str(error)
            extra = lacking(job) is not None
            lasting = not error.retry
            stop = _ends_all(job, error)
        except MemoryError:
            message = f"{job.source}: not enough memory; use fewer --workers"
        except OSError as error:
            message = f"{job.source}: failed: {error.strerror or error}; try again"
            stop = _ends_all(job, error)
        except Exception as error:  # one photo must never stop the others
            text = " ".join(str(error).split())
            message = f"{job.source}: failed unexpectedly: {type(error).__name__}: {text}"
            lasting = True
        attempt = Attempt(
            work.seconds(),
            source=work.before if lasting else None,
            result=work.written,
            error=message,
            extra=extra,
        )
        return self.failed(job, message, attempt)._replace(stop=stop)

    def failed(self, job: Job, message: str, attempt: Attempt | None = None) -> Outcome:
        """The outcome of a failure, with its line in the manifest.

        If the attempt has a result, its line takes back what an earlier one said about it. If it
        has a source, the failure is remembered as long as the source does not change.
        """
        # A full disk, or no manifest any more; the screen tells it anyway.
        with contextlib.suppress(OSError, PhotoError):
            attempt = attempt or Attempt(0.0, error=message)
            self.manifest.append(job, job.settings or self.settings, attempt)
        return Outcome("failed", message)


def _ends_all(job: Job, error: Exception) -> str:
    """Why no other photo can be colored either; "" if others can."""
    if isinstance(error, ManifestError):
        return str(error)
    of_disk = error if isinstance(error, OSError) else error.__cause__
    full = isinstance(of_disk, OSError) and of_disk.errno in _FULL
    if full or any(os.strerror(number) in getattr(error, "not_written", "") for number in _FULL):
        return f"the disk of {os.path.dirname(job.target) or '.'} is full; make room there"
    return ""


@dataclass
class _Work:
    """One photo on its way to a result."""

    job: Job
    coloring: Coloring
    settings: Settings
    before: FileState | None = None  # the photo when we began
    written: FileState | None = None  # the result, once its line is in the manifest
    began: float = field(default_factory=time.perf_counter)
    notes: list[str] = field(default_factory=list)

    def seconds(self) -> float:
        """Since we began."""
        return time.perf_counter() - self.began

    def done(self) -> Outcome:
        """Raises whatever goes wrong."""
        job, manifest = self.job, self.coloring.manifest
        self.before = _look(job.source)
        if found_result(job) is not None and not job.force:
            if job.known is None:
                raise unknown_result(job)
            if self._is_done(job.known):
                attempt = Attempt(
                    self.seconds(),
                    self.before,
                    job.known.result_file,
                    own_color=job.known.own_color,
                )
                manifest.append(job, self.settings, attempt)
                return Outcome("skipped")
        from photochrom.photo.read import read_photo
        from photochrom.tone import is_colored

        photo = read_photo(job.source)
        own_color = self.coloring.color if is_colored(photo) else ""
        if own_color == "skip":
            attempt = Attempt(self.seconds(), self.before, own_color=own_color)
            manifest.append(job, self.settings, attempt)
            return Outcome("left", f"{job.source}: skipped, because it is in color")
        _make_folder(job.target)
        if own_color == "keep":
            return self._copied(photo)
        return self._colored(photo, own_color)

    def _colored(self, photo: Photo, own_color: str) -> Outcome:
        from photochrom.photo.losses import losses, losses_of_page

        job, settings, watch = self.job, self.settings, self.coloring.watch
        self.notes += losses(photo, job.target, settings.model)
        if own_color:
            watch.colored()
        for note in self.notes:
            watch.note(note)
        seen: list[tuple[int, tuple[float, float, float]]] = []

        def page(prediction: Prediction) -> None:
            if (sure := prediction.certainty(settings.look)) is not None:
                seen.append((photo.width * photo.height, sure))
            if prediction.photo.page:
                more = losses_of_page(prediction.photo, job.target, settings.model, self.notes)
                self.notes += more
                for note in more:
                    watch.note(note)
            watch.page(prediction.photo.page + 1, photo.pages)

        def ready(draft: str) -> None:
            attempt = Attempt(
                self.seconds(),
                self.before,
                FileState.of(draft),
                notes=tuple(self.notes),
                own_color=own_color,
                size=(photo.width, photo.height),
                certainty=_mean(seen),
            )
            self._recorded(attempt)

        draft = self.coloring.manifest.draft(job.target)
        watch.begun(draft)
        self.coloring.engine.colorizer.color_file(
            photo,
            job.target,
            settings.hints,
            settings.temperature,
            settings.saturation,
            keep_color=settings.keep_color,
            candidate=settings.candidate,
            quality=settings.quality,
            force=self._replace(),
            draft=draft,
            ready=ready,
            page=page,
        )
        return Outcome("done", notes=tuple(self.notes))

    def _copied(self, photo: Photo) -> Outcome:
        """The result is a copy of the photo, which has its own colors."""
        job = self.job
        suffixes = [os.path.splitext(path)[1].lower() for path in (job.source, job.target)]
        if suffixes[0] != suffixes[1]:
            raise PhotoError(
                f"{job.source}: is a color photo, and its own colors are kept only in a file of "
                f"its own kind",
                f"name a result that ends in {suffixes[0]}, or use --color recolor",
            )
        draft = self.coloring.manifest.draft(job.target)
        self.coloring.watch.begun(draft)
        size = photo.width, photo.height

        def ready(draft: str) -> None:
            file = FileState.of(draft)
            self._recorded(Attempt(self.seconds(), self.before, file, own_color="keep", size=size))

        force = self._replace()
        with whole(job.target, PhotoError, force=force, draft=draft, ready=ready) as name:
            shutil.copyfile(job.source, name)
        return Outcome("done", notes=tuple(self.notes))

    def _replace(self) -> bool:
        # What passed _is_done is ours, and so is an empty file with a line.
        return self.job.force or os.path.lexists(self.job.target)

    def _recorded(self, attempt: Attempt) -> None:
        """Add the line of a complete result, unless the photo has changed meanwhile."""
        source = self.job.source
        try:
            now = os.stat(source)
        except OSError as error:
            raise PhotoError(
                f"{source}: has gone while it was being colored: {error.strerror}",
                "put it back, and run this again",
                retry=True,
            ) from None
        if self.before is None or not self.before.is_untouched(now):
            raise PhotoError(
                f"{source}: changed while it was being read", "run this again", retry=True
            )
        self.coloring.watch.ready()
        if note := self.coloring.manifest.append(self.job, self.settings, attempt):
            self.notes.append(note)
            self.coloring.watch.note(note)
        self.written = attempt.result

    def _is_done(self, known: Known) -> bool:
        """Whether the result is of this photo and these settings. Raises PhotoError if not ours."""
        job, source = self.job, self.before
        assert source is not None
        same = source.sha256 == known.source_file.sha256
        as_asked = known.settings == self.settings.key
        if same and as_asked and not other_color(known.own_color, self.coloring.color):
            return True
        moved = known.source != os.path.abspath(job.source)
        if moved and not same:
            raise PhotoError(
                f"{job.source}: {job.target} is the result of another photo, {known.source}",
                "choose another output folder, or use --force to replace it",
                retry=True,
            )
        try:
            ours = (
                known.result_file.is_untouched(os.stat(job.target))
                or FileState.of(job.target).sha256 == known.result_file.sha256
            )
        except OSError:
            ours = False
        if not ours:
            raise PhotoError(
                f"{job.source}: {job.target} has changed since it was made",
                "move it away, or use --force to replace it",
                retry=True,
            )
        return False


def _look(source: str) -> FileState:
    try:
        return FileState.of(source)
    except OSError:
        from photochrom.photo.read import read_photo

        read_photo(source)  # says what is wrong with it
        raise


def _make_folder(target: str) -> None:
    try:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    except OSError as error:
        raise PhotoError(
            f"{target}: its folder cannot be created: {error.strerror}",
            "choose an output folder that is writable and has free space",
            retry=True,
        ) from error


def _mean(seen: Sequence[tuple[int, tuple[float, float, float]]]) -> Certainty | None:
    """Over all pages, each with its number of pixels."""
    total = sum(pixels for pixels, _ in seen)
    if not total:
        return None
    means = (sum(n * sure[i] for n, sure in seen) / total for i in range(3))
    return Certainty(*(round(value, 4) for value in means))
