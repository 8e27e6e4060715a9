"""What libvips warns of never runs Python code, which could end the process."""

from __future__ import annotations

import io
import subprocess
import sys

from PIL import Image

# GLib ends a process that warns while it handles a warning. Python code that handles one can do
# that: any allocation may collect garbage, and what is freed may warn in its turn.
HANDLING = """
import logging, sys
from photochrom.errors import PhotochromError
from photochrom.photo.read import decode_photo

data = sys.stdin.buffer.read()
heard = []

def read():
    try:
        decode_photo(data)
    except PhotochromError as error:
        return error

class Handler(logging.Handler):
    def emit(self, record):
        heard.append(record)
        read()

logging.getLogger("pyvips").addHandler(Handler())
print(read() is not None, len(heard))
"""


def test_a_warning_of_libvips_reaches_no_handler_in_python() -> None:
    file = io.BytesIO()
    Image.new("L", (60, 40), 90).save(file, "PNG")
    damaged = bytearray(file.getvalue())
    start = damaged.index(b"IDAT") + 4
    damaged[start + 2 : start + 8] = b"\xff" * 6  # no such kind of block
    done = subprocess.run(
        [sys.executable, "-c", HANDLING], input=damaged, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert done.stdout.split() == [b"True", b"0"]
    assert done.stderr == b""
