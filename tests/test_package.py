import subprocess
import sys
from pathlib import Path

import pytest

import photochrom


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_every_name_exists() -> None:
    assert photochrom.__all__ == sorted(photochrom.__all__)
    for name in photochrom.__all__:
        assert getattr(photochrom, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = photochrom.no_such_name


def test_inference_never_imports_torch_or_pillow() -> None:
    code = (
        "import sys, numpy as np, photochrom\n"
        "photochrom.Colorizer().predict(np.zeros((40, 50), np.uint8)).render()\n"
        "print(sorted({'torch', 'PIL', 'onnx', 'skimage'} & set(sys.modules)))"
    )
    assert _run(code) == "[]"


def test_training_imports_with_torch_numpy_and_pillow_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('onnxruntime', 'pyvips', 'onnx', 'onnxscript', 'tqdm', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"  # importing any of them raises
        "from photochrom.train import (lab, config, data, validate, losses, loop, networks)\n"
        "print(networks.Photochrom('lite0').outputs)"
    )
    assert _run(code) == "313"


def test_importing_the_package_itself_loads_nothing_heavy() -> None:
    code = (
        "import sys, photochrom\n"
        "print(sorted({'numpy', 'onnxruntime', 'pyvips', 'torch'} & set(sys.modules)))"
    )
    assert _run(code) == "[]"


def test_what_is_installed_has_every_bundled_model_and_its_card(tmp_path: Path) -> None:
    from photochrom.models import MODELS

    root = Path(__file__).parents[1]
    code = (
        "import os, sys; from setuptools.dist import Distribution\n"
        "os.chdir(sys.argv[1]); d = Distribution({'script_name': 'setup.py'})\n"
        "d.parse_config_files()\n"
        "command = d.get_command_obj('build_py'); command.build_lib = sys.argv[2]\n"
        "command.ensure_finalized(); command.run()"
    )
    command = [sys.executable, "-c", code, str(root), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = {p.name for p in (tmp_path / "photochrom" / "weights").iterdir()}
    for row in MODELS:
        assert {row.file, f"{row.name}.md"} <= built
