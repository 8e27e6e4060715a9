"""ONNX Runtime without telemetry.

Official builds send trace events to Microsoft by default, and keep an identifier of the machine in
the user's cache. What is colored here is nobody else's business, so we turn this off before ONNX
Runtime starts; see its Privacy.md, "Disabling Telemetry". If a program imports ONNX Runtime before
photochrom, its own choice applies.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]

onnxruntime.disable_telemetry_events()
