"""The progress of a run: the bar, TensorBoard, Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from photochrom.train.config import AB_SCALE
from photochrom.train.lab import annealed_mean

if TYPE_CHECKING:
    from photochrom.train.loop import Trainer

__all__ = ["Board", "Interrupt", "ProgressBar"]


class Interrupt:
    """Ctrl-C and SIGTERM ask the loop to stop after the step; the third in a row stops it at once.

    Not the second: one Ctrl-C reaches the processes of torchrun from the terminal and from it.
    """

    count = 0

    @property
    def asked(self) -> bool:
        return self.count > 0

    def __enter__(self) -> Interrupt:
        self._old: dict[int, Any] = {}
        with contextlib.suppress(ValueError):  # not the main thread: leave signals alone
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 2:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


class ProgressBar:
    """Progress: loss, photos a second, time left."""

    def __init__(self, trainer: Trainer, show: bool) -> None:
        self.trainer = trainer
        self.began, self.first = time.monotonic(), trainer.step
        self.bar: Any = None
        self.said = self.began
        self.lines = show
        # A machine lent for its GPU may have PyTorch and little else: lines instead of a bar.
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

            form = "{desc} {percentage:5.1f}%|{bar}| {postfix}"
            self.bar = tqdm(
                total=1000, desc="train", disable=not show, bar_format=form, initial=self._now()
            )
            self.lines = False

    def _now(self) -> int:
        return int(1000 * self.trainer.progress)

    def update(self, loss: float) -> None:
        t = self.trainer
        spent = time.monotonic() - self.began
        rate = (t.step - self.first) * t.config.batch / max(spent, 1e-9)
        if t.config.steps:
            left = (t.config.steps - t.step) * t.config.batch / max(rate, 1e-9)
        else:
            left = 60 * t.config.minutes - t.seconds
        text = (
            f"step {t.step}, loss {loss:.4f}, {rate:.1f} photos/s, {max(0, left) / 60:.1f} min left"
        )
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(self._now() - self.bar.n)
        elif self.lines and time.monotonic() - self.said > 15:
            print(f"train {t.progress:6.1%}, {text}", file=sys.stderr, flush=True)
            self.said = time.monotonic()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()


class Board:
    """TensorBoard scalars and pictures (gray, predicted, true), where TensorBoard is installed."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.writer: Any = None
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(trainer.run / "log"))

    def write(self, loss: float, x: Tensor, ab: Tensor) -> None:
        t = self.trainer
        if self.writer is None:
            return
        if t.step % 10 == 0:
            self.writer.add_scalar("loss", loss, t.step)
            self.writer.add_scalar("learning_rate", t.learning_rate(), t.step)
            self.writer.add_scalar("photos_per_minute", 60 * t.step / max(t.seconds, 1e-9), t.step)
        every = t.config.sample_every
        if every and t.step % every == 0:
            self.writer.add_image("gray, predicted, true", _picture(t, x[:8], ab[:8]), t.step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


@torch.no_grad()
def _picture(trainer: Trainer, x: Tensor, ab: Tensor) -> np.ndarray[Any, Any]:
    """uint8 (3, 3h, Nw): one column a sample."""
    from photochrom.color.lab import fit_gamut, from_unit

    network = trainer.averaged()
    output = network(x)
    regression = trainer.config.objective == "regression"
    predicted = output * AB_SCALE if regression else annealed_mean(output)
    scale = float(trainer.network.L_scale)
    L = torch.nn.functional.avg_pool2d(x[:, :1] * scale + 50, 4)[:, 0].cpu().numpy()
    rows = []
    for colors in (torch.zeros_like(ab), predicted, ab):
        rgb = fit_gamut(L, colors.movedim(1, -1).cpu().numpy())
        rows.append(np.concatenate(list(from_unit(rgb, np.uint8)), axis=1))
    return np.concatenate(rows, axis=0).transpose(2, 0, 1)
