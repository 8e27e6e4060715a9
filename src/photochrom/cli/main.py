"""The command line: parse, call, report, exit code.

Exit codes: 0 all done; 1 something failed (each failure is named on stderr); 2 wrong usage;
130 interrupted, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from photochrom._version import __version__
from photochrom.cli.colorize import colorize_arguments, run_colorize
from photochrom.cli.evaluate import evaluate_arguments, run_evaluate
from photochrom.cli.models import run_models
from photochrom.cli.signals import Terminated
from photochrom.cli.studio import run_studio, studio_arguments
from photochrom.cli.study import (
    run_study_report,
    run_study_serve,
    study_report_arguments,
    study_serve_arguments,
)
from photochrom.cli.terminal import open_streams, say
from photochrom.cli.train import (
    export_arguments,
    import_arguments,
    prepare_arguments,
    run_export,
    run_import,
    run_prepare,
    run_train,
    train_arguments,
)
from photochrom.errors import ConfigError, PhotochromError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    open_streams()
    parser = _parser()
    options = parser.parse_args(argv)
    if options.run is None:
        parser.print_help()
        return 2
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except PhotochromError as error:
        for line in (str(error), *getattr(error, "__notes__", ())):
            say(line)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt as error:
        print("photochrom: interrupted", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    except BrokenPipeError:  # the reader of our output has gone, as in `photochrom ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="photochrom",
        description="Color for black-and-white photographs, on your own machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  photochrom colorize grandmother.jpg\n"
        "  photochrom colorize scans/ -o color/\n"
        "  photochrom models\n"
        "`photochrom COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"photochrom {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], int],
        help: str,
        examples: str,
        group: Any = commands,
    ) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = group.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    colorize_arguments(
        command(
            "colorize",
            run_colorize,
            "color photos",
            "  photochrom colorize old.jpg                    writes old.color.jpg beside it\n"
            "  photochrom colorize old.jpg -o new.png\n"
            "  photochrom colorize scans/ -o color/           a folder, its structure kept;\n"
            "                                                 a second run skips what is done\n"
            "  photochrom colorize scans/ -o color/ --shard 2/8    one of eight jobs\n"
            "  photochrom colorize - < old.jpg > new.jpg\n"
            "  photochrom colorize old.jpg --saturation 0.8   calmer\n"
            "  photochrom colorize old.jpg --hint 310,220,3a5fcd   this spot is blue",
        )
    )
    command("models", run_models, "list the bundled models", "  photochrom models")
    prepare_arguments(
        command(
            "prepare",
            run_prepare,
            "turn folders of color photos into training shards",
            "  photochrom prepare ~/Pictures -o shards/",
        )
    )
    train_arguments(
        command(
            "train",
            run_train,
            "train a network on shards",
            "  photochrom train shards/ -o runs/first --minutes 90\n"
            "  photochrom train shards/ -o runs/first --resume\n"
            "  torchrun --nproc-per-node 2 -m photochrom train shards/ -o runs/two --steps 20000",
        )
    )
    evaluate_arguments(
        command(
            "evaluate",
            run_evaluate,
            "measure how good the colors are, as the paper does and more",
            "  photochrom evaluate photos/ -o report/                       the bundled model\n"
            "  photochrom evaluate val.tar -m mine.onnx -m photochrom-1 -o report/\n"
            "  photochrom evaluate photos/ --against dahl=dahl_results/ -o report/\n"
            "  photochrom evaluate val.tar --temperature 0,0.38,1 -o report/\n"
            "An interrupted evaluation goes on when the same command is given again.",
        )
    )
    export_arguments(
        command(
            "export",
            run_export,
            "write a trained run as a model file, or a model file smaller",
            "  photochrom export runs/first -o mine.onnx\n"
            "  photochrom export mine.onnx -o small.onnx --bits 4 --photos photos/\n"
            "  photochrom colorize old.jpg --model mine.onnx",
        )
    )
    import_arguments(
        command(
            "import",
            run_import,
            "turn a checkpoint that the paper's authors released into a model file",
            "  photochrom import colorization_release_v2-9b330a0b.pth -o eccv16.onnx\n"
            "  photochrom import siggraph17-df00044c.pth -o siggraph17.onnx",
        )
    )
    studio_arguments(
        command(
            "studio",
            run_studio,
            "open a page to color photos and correct them, with a service that programs can use",
            "  photochrom studio\n"
            "  photochrom studio --port 8080 --no-browser\n"
            "  curl --data-binary @old.jpg http://127.0.0.1:8017/api/color -o new.jpg\n"
            "http://127.0.0.1:8017/api/docs describes the service.",
        )
    )
    study: Any = command(
        "study",
        run_study_serve,
        "ask people which photo was recolored",
        "  photochrom study serve --real photos/ --fake ours=color/ -o study.db\n"
        "  photochrom study report study.db",
    ).add_subparsers(title="commands", metavar="COMMAND", required=True)
    study_serve_arguments(
        command(
            "serve",
            run_study_serve,
            "open the page on which people take part",
            "  photochrom study serve --real photos/ --fake ours=color/ -o study.db\n"
            "  photochrom study serve --real photos/ --fake a=a/ --fake b=b/ -o study.db\n"
            "  photochrom study serve -o study.db            go on with a study",
            study,
        )
    )
    study_report_arguments(
        command(
            "report",
            run_study_report,
            "print how often each method fooled people",
            "  photochrom study report study.db\n"
            "  photochrom study report study.db --csv answers.csv",
            study,
        )
    )
    return parser
