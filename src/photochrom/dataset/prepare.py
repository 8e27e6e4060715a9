"""Folders of photos to training shards: resize, drop the unfit, shuffle, write the prior.

There are two passes. The first examines each photo by itself, in parallel, and writes the outcomes
to a journal (`.work/` in the output), in the order of the input. It takes most of the time, and a
kill loses only the photos in progress. The second drops duplicates, shuffles, and writes the shards
from the journal. It takes seconds and is simply repeated after a kill. The output depends neither
on the number of workers nor on interruptions.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from photochrom.color import bins
from photochrom.dataset.decode import require_pillow
from photochrom.dataset.examine import (
    KINDS,
    Outcome,
    Settings,
    examine_loaded,
    find_duplicates,
    load_photo,
)
from photochrom.dataset.journal import Journal, refuse_other_work
from photochrom.dataset.store import JOURNAL, REPORT, PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError
from photochrom.files import sync_folder, whole, write_whole
from photochrom.naming import subject_of
from photochrom.pool import Died, cpus, spread

__all__ = ["PrepareReport", "prepare"]

PRIOR = "prior.npy"
DROPPED = "dropped.jsonl"
_FORMAT = 1  # of the journal; with another number, older work is not resumed


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did; also written to report.json in the output."""

    output: Path
    settings: Settings
    inputs: str  # fingerprint of the input photos
    found: int
    kept: int
    dropped: dict[str, int]  # by kind; each in dropped.jsonl with its reason
    shards: int
    subjects: dict[str, int]  # kept photos by subject, most first
    reused: bool = field(default=False, compare=False)  # it was finished before

    def summary(self) -> str:
        """The report in a few lines of text."""
        dropped = ", ".join(
            f"{count:,} {kind.replace('_', ' ')}" for kind, count in self.dropped.items() if count
        )
        subjects = ", ".join(f"{name} {count:,}" for name, count in list(self.subjects.items())[:8])
        more = len(self.subjects) - 8
        lines = [
            f"{self.output}: {self.kept:,} of {self.found:,} photos in {self.shards} "
            f"shard{'s' if self.shards > 1 else ''}" + (" (was ready)" if self.reused else ""),
            f"  dropped: {dropped or 'none'}" + (f"; see {DROPPED}" if dropped else ""),
            f"  subjects: {subjects}" + (f" and {more} more" if more > 0 else ""),
        ]
        return "\n".join(lines)

    def _to_json(self) -> str:
        fields = asdict(self)
        del fields["output"], fields["reused"]  # neither says anything about the content
        return json.dumps({"format": _FORMAT, **fields}, indent=2) + "\n"

    @classmethod
    def _load(cls, output: Path) -> PrepareReport:
        path = output / REPORT
        try:
            fields = json.loads(path.read_bytes())
            settings = Settings(**fields.pop("settings"))
            if fields.pop("format") != _FORMAT:
                raise ValueError("written by another version")
            return cls(output=output, settings=settings, reused=True, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{path}: not a report of photochrom prepare ({error})",
                "use another output folder, or --force to start over",
            ) from error


def _outcomes(
    store: PhotoStore, start: int, settings: Settings, workers: int
) -> Generator[Outcome]:
    """Outcomes of the photos from `start` on, in order, made by that many processes."""
    work = partial(examine_loaded, settings)
    photos = ((index, load_photo(store, index)) for index in range(start, len(store)))
    if workers == 1:
        yield from map(work, photos)
        return
    with closing(spread(work, photos, workers, in_order=True)) as results:
        for (index, _), outcome in results:
            if isinstance(outcome, Died):
                raise DataError(
                    f"{store.name(index)}: a worker died on this photo (exit code "
                    f"{outcome.exit_code}), perhaps out of memory",
                    "run this again with fewer --workers, and it resumes",
                )
            yield outcome


def _write(
    output: Path, store: PhotoStore, journal: Journal, settings: Settings, inputs: str
) -> PrepareReport:
    records = journal.records
    first_of = find_duplicates([r.hashes if r.kind == "kept" else None for r in records])
    kept = [i for i, r in enumerate(records) if r.kind == "kept" and i not in first_of]
    counts = Counter("duplicate" if i in first_of else r.kind for i, r in enumerate(records))
    dropped = {kind: counts[kind] for kind in KINDS}
    if not kept:
        raise DataError(
            f"{output}: none of {len(records)} photos could be used: "
            + ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in dropped.items() if n)
        )
    done = output / JOURNAL.split("/")[0] / "done"
    shutil.rmtree(done, ignore_errors=True)
    done.mkdir()

    order = np.random.default_rng(settings.seed).permutation(len(kept))
    prior = np.zeros(bins.Q)
    subjects: Counter[str] = Counter()

    def samples(numbers: range) -> Iterator[tuple[str, bytes]]:
        for number in numbers:
            index = kept[order[number]]
            subject = subject_of(store.key(index), store.in_shard(index))
            webp, shares = journal.payload(index)
            prior[shares["bin"]] += shares["sum"]
            subjects[subject] += 1
            yield f"{number:06d}-{subject}.webp", webp

    starts = range(0, len(kept), settings.shard_size)
    for shard, start in enumerate(starts):
        numbers = range(start, min(start + settings.shard_size, len(kept)))
        write_shard(done / f"shard-{shard:05d}.tar", samples(numbers))
    with whole(done / PRIOR) as draft:
        np.save(draft, (prior / prior.sum()).astype(np.float32))
    with whole(done / DROPPED) as draft, open(draft, "x", encoding="utf-8") as file:
        for i, record in enumerate(records):
            if record.kind != "kept" or i in first_of:
                again = i in first_of
                line = {
                    "photo": store.name(i),
                    "kind": "duplicate" if again else record.kind,
                    "reason": f"the same as {store.name(first_of[i])}" if again else record.reason,
                }
                file.write(json.dumps(line) + "\n")

    report = PrepareReport(
        output=output,
        settings=settings,
        inputs=inputs,
        found=len(records),
        kept=len(kept),
        dropped=dropped,
        shards=len(starts),
        subjects=dict(sorted(subjects.items(), key=lambda item: (-item[1], item[0]))),
    )
    for path in sorted(done.iterdir()):
        os.replace(path, output / path.name)
    sync_folder(output)
    # The report goes last: while it is missing, the output is not finished.
    write_whole(output / REPORT, report._to_json())
    return report


def _ours(output: Path) -> list[Path]:
    """The files in a folder that `prepare` would write."""
    named = (output / name for name in (REPORT, PRIOR, DROPPED))  # the report first, see _write
    return [path for path in named if path.exists()] + sorted(output.glob("shard-*.tar"))


def prepare(
    photos: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    workers: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> PrepareReport:
    """Turn photos into training shards: `shard-00000.tar`..., `prior.npy`, `report.json`.

    Photos that are unreadable, too small, gray, toned or duplicates are dropped. The report counts
    them, and `dropped.jsonl` lists each with its reason. The others are turned upright, converted
    to sRGB, cropped and reduced (never enlarged) as the settings say, stored as WebP and shuffled.
    Their keys are NNNNNN-SUBJECT; the subject is the top folder of the photo.

    If a call was interrupted, the same call resumes it. A finished output is left alone.

    Parameters
    ----------
    photos : folders of photos (with their subfolders), folders of shards, or shards
    output : folder for the shards; created if missing
    settings : None for the defaults
    workers : processes that read photos; None for one per CPU, 1 for this process alone
    progress : show a progress bar on stderr
    force : throw away what another call left in the output

    Returns
    -------
    The report; its `summary()` is for people.

    Raises
    ------
    ConfigError
        The output holds other work, or `workers` is out of range.
    DataError
        An input is missing or damaged, no photo is left, or the output cannot be written.
    DependencyError
        Pillow is not installed.
    """
    settings = settings or Settings()
    workers = cpus() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers = {workers}: must be at least 1")
    require_pillow()
    target = Path(output)
    sources = [photos] if isinstance(photos, str | os.PathLike) else list(photos)
    if target.resolve() in (Path(source).resolve() for source in sources):
        raise ConfigError(f"{target}: is also an input", "choose another output folder")
    store = PhotoStore(sources)
    inputs = store.fingerprint()
    identity = {"format": _FORMAT, "settings": asdict(settings), "inputs": inputs}
    work = (target / JOURNAL).parent
    try:
        if report := _finished(target, identity, force):
            return report
        with Journal(target, identity) as journal:
            _examine_all(store, journal, settings, workers, progress)
            report = _write(target, store, journal, settings, inputs)
            shutil.rmtree(work)
            return report
    except OSError as error:
        raise DataError(
            f"{error.filename or target}: {error.strerror}",
            "fix that and run this again, and it resumes",
        ) from error


def _finished(target: Path, identity: dict[str, Any], force: bool) -> PrepareReport | None:
    """The report of an output that is finished already; None if there is work to do.

    Raises
    ------
    ConfigError
        The output holds other work.
    """
    work = (target / JOURNAL).parent
    if force:
        for path in _ours(target):
            path.unlink()
        shutil.rmtree(work, ignore_errors=True)
    if (target / REPORT).exists():
        report = PrepareReport._load(target)
        was = {"settings": asdict(report.settings), "inputs": report.inputs}
        refuse_other_work(target, {"format": _FORMAT, **was}, identity)
        shutil.rmtree(work, ignore_errors=True)  # if a kill came right before this line
        return report
    if not (target / JOURNAL).exists() and (found := _ours(target)):
        raise ConfigError(
            f"{found[0]}: not made by photochrom prepare",
            "use another output folder, or --force to replace it",
        )
    return None


def _examine_all(
    store: PhotoStore, journal: Journal, settings: Settings, workers: int, progress: bool
) -> None:
    start = len(journal.records)
    counts = Counter(record.kind for record in journal.records)
    with (
        tqdm(total=len(store), initial=start, unit="photo", disable=not progress) as bar,
        closing(_outcomes(store, start, settings, workers)) as outcomes,
    ):
        for outcome in outcomes:
            journal.append(outcome)
            counts[outcome.kind] += 1
            if outcome.kind != "kept":
                dropped = {kind: counts[kind] for kind in KINDS if counts[kind]}
                bar.set_postfix(dropped, refresh=False)
            bar.update()
