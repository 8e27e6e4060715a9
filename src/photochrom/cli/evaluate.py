"""`photochrom evaluate`: figures on photos of known color."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from photochrom.cli.terminal import shown
from photochrom.cli.values import counts_value, named_folder, named_model, numbers_value
from photochrom.color.bins import TEMPERATURE
from photochrom.errors import DataError
from photochrom.text import printable

__all__ = ["EXAMPLES", "arguments", "run"]


EXAMPLES = """\
  photochrom evaluate photos/ -o report/                       the bundled model
  photochrom evaluate val.tar -m mine.onnx -m photochrom-1 -o report/
  photochrom evaluate photos/ --against dahl=dahl_results/ -o report/
  photochrom evaluate val.tar --temperature 0,0.38,1 -o report/

To resume an interrupted evaluation, run the same command again."""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "photos", nargs="+", metavar="PHOTOS",
        help="folders or tar files of color photos; the models get them in gray",
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", required=True, metavar="REPORT",
        help="folder for report.html, report.json and photos.csv",
    )  # fmt: skip
    _row_arguments(p)
    _photo_arguments(p)
    _figure_arguments(p)
    p.add_argument(
        "--workers", type=int, default=0, metavar="N",
        help="number of processes (default: one per CPU core)",
    )  # fmt: skip
    p.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="seed for resampling and picture grids (default: 0)",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace the contents of REPORT")


def _row_arguments(p: argparse.ArgumentParser) -> None:
    """What is compared: each is a row of the report."""
    p.add_argument(
        "-m", "--model", action="append", default=[], metavar="[NAME=]MODEL",
        help="bundled model or .onnx file; can be given several times (default: photochrom-1)",
    )  # fmt: skip
    p.add_argument(
        "--against", action="append", default=[], metavar="NAME=DIR",
        help="folder with the results of another colorizer, with the same file names as PHOTOS; "
             "can be given several times",
    )  # fmt: skip
    p.add_argument(
        "--baselines", action=argparse.BooleanOptionalAction, default=True,
        help="add rows to the table for the originals, for plain gray, and for colors taken from "
             "other photos (default: yes)",
    )  # fmt: skip
    p.add_argument(
        "-t", "--temperature", type=numbers_value, default=(TEMPERATURE,), metavar="T[,T...]",
        help=f"temperatures to measure, one row each (default: {TEMPERATURE})",
    )  # fmt: skip
    p.add_argument(
        "--rebalance", type=numbers_value, default=(1.0,), metavar="X[,X...]",
        help="how much of the model's class rebalancing (the boost for rare colors) to keep, from "
             "0 (none) to 1 (all), one row each (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--hints", type=counts_value, default=(0,), metavar="N[,N...]",
        help="number of hints to give the models, with true colors at random places, one row each "
             "(default: 0)",
    )  # fmt: skip
    p.add_argument(
        "--size", type=int, metavar="N",
        help="short side of the networks' input, in pixels (default: the model's)",
    )  # fmt: skip


def _photo_arguments(p: argparse.ArgumentParser) -> None:
    """Which photos are measured, and how large."""
    p.add_argument(
        "--short-side", type=int, default=256, metavar="N",
        help="shrink larger photos to this short side; 0 keeps their size and skips those over 8 "
             "megapixels (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--skip", type=int, default=0, metavar="N", help="skip the first N photos")
    p.add_argument(
        "--limit", type=int, default=0, metavar="N", help="measure only N photos (default: all)"
    )


def _figure_arguments(p: argparse.ArgumentParser) -> None:
    """What the figures need."""
    p.add_argument(
        "--sweep", type=int, default=500, metavar="N",
        help="number of photos in the temperature sweep (a series of temperatures); 0 for no sweep "
             "(default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--prior", metavar="FILE",
        help="color frequencies for the rebalanced columns: a prior.npy written by `prepare`, or "
             "the word 'measured' to count them in PHOTOS (default: those of photochrom-1's "
             "training photos)",
    )  # fmt: skip
    p.add_argument(
        "--classifier", metavar="FILE",
        help="image classifier (.onnx) for the semantic test; a photo's class is the name of its "
             "folder or, in a tar file, the WordNet ID at the end of its name",
    )  # fmt: skip
    p.add_argument(
        "--fid", metavar="FILE",
        help="feature network (.onnx) for FID; needs photochrom[fid]",
    )  # fmt: skip
    p.add_argument(
        "--lpips", metavar="FILE",
        help="LPIPS network with two inputs (.onnx), for the perceptual distance",
    )  # fmt: skip
    p.add_argument(
        "--ssim", action="store_true",
        help="add structural similarity (SSIM); needs photochrom[ssim]",
    )  # fmt: skip
    p.add_argument(
        "--compare", metavar="ROW",
        help="row to compare all other rows with (default: the first model's row)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run `photochrom evaluate`."""
    from photochrom.evaluate.question import Evaluation
    from photochrom.evaluate.report import check_target, table, write_report
    from photochrom.evaluate.run import evaluate
    from photochrom.evaluate.summary import summary
    from photochrom.models import DEFAULT

    models = [named_model(text) for text in options.model]
    against = [(n, str(d)) for n, d in (named_folder("--against", t) for t in options.against)]
    missing = _missing_judges(options)
    asked = Evaluation(
        photos=tuple(options.photos),
        models=tuple(models or [(DEFAULT, DEFAULT)]),
        against=tuple(against),
        baselines=options.baselines,
        temperatures=options.temperature,
        rebalance=options.rebalance,
        hints=options.hints,
        working_size=options.size,
        short_side=options.short_side,
        skip=options.skip,
        limit=options.limit,
        sweep=options.sweep,
        prior=options.prior,
        classifier=options.classifier,
        features=options.fid,
        distance=options.lpips,
        ssim=options.ssim,
        compare=options.compare,
        seed=options.seed,
    )
    folder = Path(options.output)
    work = folder / ".work"
    try:
        check_target(folder, work, options.force)
        result = evaluate(asked, work, workers=options.workers, force=options.force)
        facts = summary(result)
        write_report(result, facts, folder)
    except KeyboardInterrupt:
        print("\nphotochrom: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    except OSError as error:
        place = getattr(error, "filename", None) or folder
        raise DataError(
            f"{place}: cannot be written: {error.strerror}",
            "make room or name another folder, and run the command again; finished scores are kept",
        ) from error
    print(table(facts))
    print(f"\n{len(result.used)} photos; prior: {result.prior}; ± and brackets are 95 % intervals")
    for note in facts["notes"]:
        print(note)
    if facts["labeled"]:
        print(f"top-1 counts the {facts['labeled']} photos with a class that the classifier knows")
    print(f"{shown(str(folder / 'report.html'))}: curves, subjects, pictures")
    for _, reason in result.skipped[:10]:
        print(f"photochrom: skipped: {printable(reason)}", file=sys.stderr)
    if len(result.skipped) > 10:
        print(
            f"photochrom: skipped {len(result.skipped)} photos in all; see report.json",
            file=sys.stderr,
        )
    return 1 if result.skipped or missing else 0


def _missing_judges(options: argparse.Namespace) -> int:
    """Say which columns are left out, and why; returns how many that were asked for."""
    missing = 0
    for name, column in (("classifier", "top-1"), ("fid", "FID"), ("lpips", "LPIPS")):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            print(
                f"photochrom: {path}: no such file; leaving out the column {column}",
                file=sys.stderr,
            )
            setattr(options, name, None)
            missing += 1
    return missing
