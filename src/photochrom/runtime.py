"""ONNX Runtime, kept from telling its maker about the user.

Official builds send trace events to Microsoft unless told not to, and keep an identifier of the
machine in the user's cache. Nothing that is colored here is anybody else's business, so it is
switched off before ONNX Runtime starts; see its Privacy.md, "Disabling Telemetry". A program that
imports ONNX Runtime before photochrom has started it with whatever it chose.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]

onnxruntime.disable_telemetry_events()
