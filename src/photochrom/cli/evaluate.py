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

__all__ = ["evaluate_arguments", "run_evaluate"]


def run_evaluate(options: argparse.Namespace) -> int:
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
        models=tuple(models or ([] if against else [(DEFAULT, DEFAULT)])),
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
        compare=options.compare,
        seed=options.seed,
    )
    folder = Path(options.output)
    work = folder / ".work"
    try:
        check_target(folder, work, options.force)
        result = evaluate(asked, work, workers=options.workers, anew=options.force)
        facts = summary(result)
        write_report(result, facts, folder)
    except KeyboardInterrupt:
        print("\nphotochrom: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        place = getattr(error, "filename", None) or folder
        raise DataError(
            f"{place}: cannot be written: {error.strerror}; what was scored before is kept: make "
            "room or name another folder"
        ) from error
    print(table(facts))
    print(f"\n{len(result.used)} photos; prior: {result.prior}; ± and brackets: 95 % interval")
    if facts["labeled"]:
        print(f"top-1 over the {facts['labeled']} photos whose class the classifier knows")
    print(f"{shown(str(folder / 'report.html'))}: curves, subjects, pictures")
    for _, reason in result.skipped[:10]:
        print(f"photochrom: left out: {printable(reason)}", file=sys.stderr)
    if len(result.skipped) > 10:
        print(
            f"photochrom: {len(result.skipped)} photos left out in all, see report.json",
            file=sys.stderr,
        )
    return 1 if result.skipped or missing else 0


def _missing_judges(options: argparse.Namespace) -> int:
    """Say which columns are left out, and why; returns how many that were asked for."""
    missing = 0
    for name, column in (("classifier", "top-1"), ("fid", "FID")):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            print(
                f"photochrom: {path}: no such file; the column {column} is left out",
                file=sys.stderr,
            )
            setattr(options, name, None)
            missing += 1
    return missing


def evaluate_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTOS",
        help="folders of color photos, or tar shards; the models see them in gray",
    )
    p.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="REPORT",
        help="folder for report.html, report.json and photos.csv",
    )
    p.add_argument(
        "-m",
        "--model",
        action="append",
        default=[],
        metavar="[NAME=]MODEL",
        help="bundled name or .onnx file; may be repeated (default: the bundled one)",
    )
    p.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="results of another colorizer, same file names; may be repeated",
    )
    p.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the row with the colors of other photos (default: yes)",
    )
    p.add_argument(
        "-t",
        "--temperature",
        type=numbers_value,
        default=(TEMPERATURE,),
        metavar="T[,T...]",
        help=f"a row for each (default: {TEMPERATURE})",
    )
    p.add_argument(
        "--rebalance",
        type=numbers_value,
        default=(1.0,),
        metavar="X[,X...]",
        help="how much of a model's rebalancing to keep, a row for each (default: 1)",
    )
    p.add_argument(
        "--hints",
        type=counts_value,
        default=(0,),
        metavar="N[,N...]",
        help="true colors at random places that the models are given, a row for each (default: 0)",
    )
    p.add_argument("--size", type=int, metavar="N", help="short side that the networks see")
    p.add_argument(
        "--short-side",
        type=int,
        default=256,
        metavar="N",
        help="larger photos are reduced to it; 0: none is, and those over 8 megapixels are left "
        "out (default: %(default)s)",
    )
    p.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N photos")
    p.add_argument("--limit", type=int, default=0, metavar="N", help="only N photos (default: all)")
    p.add_argument(
        "--sweep",
        type=int,
        default=500,
        metavar="N",
        help="photos for the temperature sweep; 0: none (default: %(default)s)",
    )
    p.add_argument(
        "--prior",
        metavar="FILE",
        help="prior.npy of the rebalanced columns (default: the one beside PHOTOS, else "
        "measured on PHOTOS)",
    )
    p.add_argument(
        "--classifier",
        metavar="FILE",
        help="image classifier (.onnx) for the semantic test; a photo's folder, or its "
        "key's end, is its class",
    )
    p.add_argument(
        "--fid",
        metavar="FILE",
        help="feature network (.onnx) for the Fréchet distance; needs photochrom[fid]",
    )
    p.add_argument(
        "--compare",
        metavar="ROW",
        help="row that the report compares the others with (default: the first model's)",
    )
    p.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes (default: all cores)"
    )
    p.add_argument("--seed", type=int, default=0, help="of resampling and grids (default: 0)")
    p.add_argument("-f", "--force", action="store_true", help="replace what REPORT holds")
