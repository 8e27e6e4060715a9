"""`photochrom video` on several films: the plan, the manifest, one film after the other."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from photochrom.batch.job import Attempt, FileState, Job, settings_key
from photochrom.batch.manifest import Manifest
from photochrom.batch.plan import Rules, Step, plan, unknown_result
from photochrom.cli.terminal import fail, say, shown
from photochrom.errors import FilmError, PhotochromError

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer
    from photochrom.video.film import Report, Settings

__all__ = ["Decisive", "color_films"]


@dataclass(frozen=True)
class Decisive:
    """Everything but the film that decides a result, as the manifest stores it."""

    fields: dict[str, Any]

    @classmethod
    def of(cls, colorizer: Colorizer, settings: Settings) -> Decisive:
        """The settings of a film, and the model."""
        return cls(
            {
                "settings": {
                    "codec": settings.quality.codec,
                    "crf": settings.quality.crf,
                    "every": settings.pace.every,
                    "passes": settings.pace.passes,
                    "temperature": settings.look.temperature,
                    "saturation": settings.look.saturation,
                    "deinterlace": settings.deinterlace,
                    "size": colorizer.working_size,
                },
                "model": {"name": colorizer.info.name, "sha256": colorizer.model.sha256},
            }
        )

    @property
    def key(self) -> str:
        """Equal for settings that give equal results."""
        return settings_key(self.fields)


def color_films(
    jobs: list[tuple[str, str]],
    folder: str | None,
    decisive: Decisive,
    color: Callable[[str, str, bool], Report],
    force: bool,
) -> int:
    """Color films one after the other; those that are already done are skipped.

    Parameters
    ----------
    jobs : (source, target) each
    folder : where the manifest goes; None for none
    decisive : the settings of this run
    color : colors a source into a target, and replaces that if the third is true
    force : replace what exists

    Returns
    -------
    The exit code.
    """
    counts = Counter[str]()
    with contextlib.ExitStack() as stack:
        manifest = None if folder is None else stack.enter_context(Manifest(folder))
        work = _Work(manifest, decisive, color)
        for step in list(plan(jobs, decisive, folder, Rules(force=force, retry=True, noun="film"))):
            counts[work(step)] += 1
    say(
        f"{counts['done']} done, {counts['failed']} failed"
        + (f", {counts['skipped']} already done" if counts["skipped"] else "")
    )
    return 1 if counts["failed"] else 0


class _Work:
    """Does one step of the plan, and writes its line."""

    def __init__(
        self,
        manifest: Manifest | None,
        decisive: Decisive,
        color: Callable[[str, str, bool], Report],
    ) -> None:
        self._manifest, self._decisive, self._color = manifest, decisive, color

    def __call__(self, step: Step) -> str:
        if step.do == "skip":
            return "skipped"
        began = time.perf_counter()
        try:
            if step.do == "fail":
                raise step.error or FilmError(step.why)
            return self._do(step.job, began)
        except PhotochromError as error:
            fail(str(error))
            with contextlib.suppress(OSError, PhotochromError):
                self._note(step.job, Attempt(time.perf_counter() - began, error=str(error)))
            return "failed"

    def _do(self, job: Job, began: float) -> str:
        replace = job.force
        try:
            source = FileState.of(job.source)
        except OSError as error:
            raise FilmError(f"{job.source}: cannot be read: {error.strerror}") from None
        if os.path.lexists(job.target) and not job.force:
            if job.known is None or FileState.of(job.target) != job.known.result_file:
                raise unknown_result(job)
            same = source.sha256 == job.known.source_file.sha256
            if same and job.known.settings == self._decisive.key:
                self._note(job, Attempt(0.0, source, job.known.result_file))
                return "skipped"
            replace = True
        report = self._color(job.source, job.target, replace)
        seconds = time.perf_counter() - began
        result = FileState.of(job.target)
        self._note(job, Attempt(seconds, source, result, notes=tuple(report.notes)))
        print(shown(job.target), flush=True)
        return "done"

    def _note(self, job: Job, attempt: Attempt) -> None:
        if self._manifest is not None:
            self._manifest.append(job, self._decisive, attempt)
