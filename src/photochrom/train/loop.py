"""The training loop: budget, schedule, averaged weights, checkpoints, resume, several processes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from photochrom.color import bins
from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, DataError
from photochrom.files import write_whole
from photochrom.train.checkpoint import (
    CHECKPOINT,
    CONFIG,
    PRIOR,
    SOURCES,
    json_equal,
    load_checkpoint,
    load_other_run,
    load_prior,
    log_class_weights,
    save_checkpoint,
    save_prior,
)
from photochrom.train.config import TrainConfig
from photochrom.train.data import Batch, Loader, make_batch, measure_prior, require_color
from photochrom.train.eccv16 import ECCV16
from photochrom.train.encoder import encoder_weights
from photochrom.train.losses import Criterion
from photochrom.train.networks import Photochrom, build, output_layer
from photochrom.train.progress import Board, Interrupt, ProgressBar
from photochrom.train.resident import ResidentLoader
from photochrom.train.watch import Watch

__all__ = ["Session", "Trainer", "train"]


class Trainer:
    """One run: network, averaged weights, optimizer, and how far it has come.

    Parameters
    ----------
    config : TrainConfig
    store : the training photos
    prior : float32 (313,), sum 1
    run : folder of the run
    device : "cpu" or "cuda[:i]"

    Notes
    -----
    Under `torchrun` every process makes its part of each batch and gradients are averaged; the
    result is that of one process on the joint batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        store: PhotoStore,
        prior: np.ndarray[Any, Any],
        run: Path,
        device: str = "cpu",
    ) -> None:
        self.config, self.store, self.run = config, store, run
        self.device = torch.device(device)
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        torch.manual_seed(config.seed)
        self.loader = Loader(store, config, self.rank, self.world)
        self.prior = prior
        self.network = build(config).to(self.device)
        self.criterion = Criterion(config, torch.from_numpy(prior).float().to(self.device))
        self.step, self.seconds = 0, 0.0

    def start(self, init: Path | None = None) -> None:
        """Initialize: pretrained encoder fitted to gray photos, output bias at the prior.

        Parameters
        ----------
        init : a run whose averaged weights are taken instead, or an exported .onnx file

        Raises
        ------
        ConfigError
            The other network is not that of this run.
        DataError, ModelError
            There is no such run, or the file cannot be taken.

        Notes
        -----
        A network trained with class weights w learns p w. Where the other's w were not ours
        (another lambda, another prior, some of it taken off at export) the last layer's bias is
        shifted, so that what it has learned of p is kept.
        """
        network = self.network
        if init is not None:
            theirs, other, log_weights = load_other_run(init)
            # The two kinds of classification differ by the shift below.
            regressions = [c.objective == "regression" for c in (theirs, self.config)]
            keys = ("arch", "encoder") + ("objective",) * (regressions[0] != regressions[1])
            for key in keys:
                if getattr(theirs, key) != getattr(self.config, key):
                    raise ConfigError(
                        f"{init}: was trained with {key} {getattr(theirs, key)}, not "
                        f"{getattr(self.config, key)}"
                    )
            network.load_state_dict(other.state_dict())
            if self.config.objective != "regression":
                shift = self.log_class_weights() - log_weights
                bias = output_layer(network).bias
                assert bias is not None
                bias.data += torch.from_numpy(shift).to(self.device)
            self._prepare()
            return
        if isinstance(network, Photochrom) and self.config.pretrained:
            network.encoder.load_imagenet(encoder_weights(self.config.encoder))
            network.to(self.device)
        if isinstance(network, Photochrom):
            size = self.config.size_at(1.0)
            # The same photos in every process: the statistics must be equal.
            alone = Loader(self.store, self.config)
            steps = range(max(1, min(512, len(self.store)) // self.config.batch))
            inputs = (make_batch(alone.samples(s, size), 4, self.device).x for s in steps)
            network.encoder.calibrate([network.gray(x) for x in inputs])
        if self.config.objective != "regression":
            # What a network that sees nothing would learn: the (rebalanced) share of each bin.
            share = np.maximum(self.prior, 1e-6)
            if self.criterion.class_weights is not None:
                share = share * self.criterion.class_weights.cpu().numpy()
            bias = output_layer(network).bias
            assert bias is not None
            bias.data.copy_(torch.from_numpy(np.log(share / share.sum())))
        self._prepare()

    def log_class_weights(self) -> np.ndarray[Any, Any]:
        if self.config.objective != "full":
            return np.zeros(bins.Q, dtype=np.float32)
        return log_class_weights(self.config, self.prior)

    def _prepare(self) -> None:
        if self.world > 1 and isinstance(self.network, ECCV16):
            # Its BatchNorm learns the statistics of the batch, and these must be the joint batch's.
            if self.device.type != "cuda":
                raise ConfigError(
                    "arch eccv16: several processes need CUDA", "use one process on the CPU"
                )
            nn.SyncBatchNorm.convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]
        if isinstance(self.network, Photochrom):
            self.network.encoder.freeze(self.config.freeze)
            if self.config.pretrained:
                self.network.encoder.fold_norms()
        if self.config.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Averaged weights: every float of the state, BatchNorm statistics included.
        self.ema = {
            name: value.detach().clone()
            for name, value in self.network.state_dict().items()
            if value.is_floating_point()
        }
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=self.config.lr, betas=(0.9, 0.99), fused=self.device.type == "cuda"
        )
        self.model: nn.Module = self.network
        if self.world > 1:
            self.model = DistributedDataParallel(
                self.network, device_ids=[self.device] if self.device.type == "cuda" else None
            )

    def _groups(self) -> list[dict[str, Any]]:
        """Matrices decay, biases and norms do not; pretrained weights learn more slowly."""
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, p in self.network.named_parameters():
            if not p.requires_grad:
                continue
            slow = self.config.pretrained and name.startswith("encoder.")
            groups.setdefault((slow, p.ndim > 1), []).append(p)
        return [
            {
                "params": params,
                "scale": self.config.encoder_lr if slow else 1.0,
                "weight_decay": self.config.weight_decay if matrix else 0.0,
            }
            for (slow, matrix), params in groups.items()
        ]

    # --- schedule ---

    @property
    def progress(self) -> float:
        """Share of the budget that is used, 0..1."""
        if self.config.steps:
            return min(1.0, self.step / self.config.steps)
        return min(1.0, self.seconds / (60 * self.config.minutes))

    def learning_rate(self) -> float:
        """Linear warm-up, then the schedule of the config over the budget, to zero."""
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup))
        if self.config.schedule == "trapezoid":
            left = min(1.0, (1 - self.progress) / max(self.config.cooldown, 1e-9))
        else:
            left = 0.5 * (1 + math.cos(math.pi * self.progress))
        return self.config.lr * warm * left

    def _requests(self) -> Iterator[tuple[int, int]]:
        """What the loader makes next, until the budget is used."""
        step = self.step
        while self.config.steps == 0 or step < self.config.steps:
            share = step / self.config.steps if self.config.steps else self.progress
            yield step, self.config.size_at(share, step)
            step += 1

    # --- one step ---

    def train_step(self, x: Tensor, ab: Tensor) -> float:
        """Forward, backward, update, average. Returns this process's loss.

        Raises
        ------
        ConfigError
            The loss or its gradient is not finite; the weights are those of the step before.
        """
        if self.config.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp):
            output = self.model(x)
        loss: Tensor = self.criterion(output, ab)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        # The gradient is the joint batch's, so all processes stop here, or none.
        if not math.isfinite(norm):
            raise ConfigError(
                f"the loss is {float(loss.detach())} and its gradient's norm {float(norm)} at step "
                f"{self.step}: the run diverged",
                "start another with a lower --lr",
            )
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # A young average forgets faster, or it would remember the random start.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        torch._foreach_lerp_(list(self.ema.values()), [state[name] for name in self.ema], 1 - decay)

    # --- checkpoints ---

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "data": self.store.fingerprint(),
            "torch_rng": torch.get_rng_state(),
        }

    def save(self) -> None:
        """Write the checkpoint; a kill leaves this one or the last one, and always a whole one."""
        if not self.rank:
            save_checkpoint(self.run, self.state())

    def resume(self) -> None:
        """Go on from the run's checkpoint.

        Raises
        ------
        DataError
            There is none, it is damaged, or it was trained on other photos.
        """
        state = load_checkpoint(self.run)
        if state["data"] != self.store.fingerprint():
            raise DataError(f"{self.run}: was trained on other photos", "give the same shards")
        if "optimizer" not in state:
            raise DataError(f"{self.run}: holds weights alone", "start another run with --init")
        self.network.load_state_dict(state["network"])
        self._prepare()
        for name, value in state["ema"].items():
            self.ema[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        torch.set_rng_state(state["torch_rng"])

    # --- the loop ---

    def fit(self, *, progress: bool = True, watch: Watch | None = None) -> bool:
        """Train until the budget is used; validate as `watch` says, and at the end.

        Returns False when interrupted (the state is saved).
        """
        watch = None if self.rank else watch
        with Interrupt() as interrupt:
            self._fit(interrupt, progress and self.rank == 0, watch)
            self.save()
            if watch is not None and not interrupt.asked:
                watch.validate(self)
        return not interrupt.asked

    def _fit(self, interrupt: Interrupt, show: bool, watch: Watch | None) -> None:
        channels = self.network.in_channels
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(contextlib.closing(ProgressBar(self, show)))
            board = None
            if self.rank == 0:
                board = stack.enter_context(contextlib.closing(Board(self)))
            batches = stack.enter_context(contextlib.closing(self._batches(channels)))
            clock = saved = time.monotonic()
            validated = self.seconds
            loss_mean = math.nan
            for batch in batches:
                loss = self.train_step(batch.x, batch.ab)
                loss_mean = loss if math.isnan(loss_mean) else 0.98 * loss_mean + 0.02 * loss
                now = time.monotonic()
                self.seconds += now - clock
                clock = now
                bar.update(loss_mean)
                if board is not None:
                    board.write(loss, batch.x, batch.ab)
                if now - saved > self.config.save_every:
                    self.save()
                    saved = time.monotonic()
                if self._done(interrupt):
                    break
                if watch is not None and self.seconds - validated > watch.every:
                    watch.validate(self)
                    validated, clock = self.seconds, time.monotonic()

    def _batches(self, channels: int) -> Generator[Batch, None, None]:
        if self.config.resident:
            if self.world > 1:
                raise ConfigError("resident photos are for one process", "leave out --resident")
            loader = ResidentLoader(self.store, self.config, self.device)
            return loader.batches(self._requests(), channels)
        return self.loader.batches(self._requests(), channels, self.device)

    def _done(self, interrupt: Interrupt) -> bool:
        """Whether to stop here; all processes must agree, or the others would wait for this one."""
        over = self.progress >= 1 or interrupt.asked
        if self.world == 1:
            return over
        flag = torch.tensor([float(over), self.seconds], dtype=torch.float64, device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        self.seconds = float(flag[1])
        return bool(flag[0] > 0)

    def averaged(self) -> nn.Module:
        """A copy of the network with the averaged weights, in evaluation mode."""
        network = build(self.config)
        network.load_state_dict({**self.network.state_dict(), **self.ema})
        return network.to(self.device).eval()


@dataclass(frozen=True)
class Session:
    """How a run goes on this time; nothing of it changes what the network learns."""

    device: str = "cpu"
    progress: bool = True
    """Show a progress bar."""
    watch: Watch | None = None
    """Photos to validate on meanwhile."""


SESSION = Session()


def train(
    config: TrainConfig,
    sources: list[str],
    run: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    session: Session = SESSION,
) -> bool:
    """Train a run from start or checkpoint to the end of its budget.

    Parameters
    ----------
    config : of the run; on resume it must equal the stored one except for budget and schedule
    sources : tar or tar.gz shards, or a folder (`PhotoStore`)
    run : folder; gets config.json, prior.npy, checkpoint.pt and log/
    init : another run, whose averaged weights this one starts from, or an exported .onnx file; not
        for `resume`
    session : how it runs this time

    Returns
    -------
    False when it was interrupted: `resume` goes on.

    Raises
    ------
    ConfigError, DataError, ModelError
    """
    if resume and init is not None:
        raise ConfigError(
            "--init starts a run, and --resume goes on with one", "give only one of them"
        )
    device = session.device
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if several:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        if device == "cuda":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
    try:
        store = PhotoStore(sources)
        rank = dist.get_rank() if dist.is_initialized() else 0
        if rank == 0:
            _open_run(config, sources, store, run, resume)
        if dist.is_initialized():
            dist.barrier()
        trainer = Trainer(config, store, load_prior(run / PRIOR), run, device)
        if resume:
            trainer.resume()
        else:
            trainer.start(init)
        return trainer.fit(progress=session.progress, watch=session.watch)
    finally:
        if several:
            dist.destroy_process_group()


def _open_run(
    config: TrainConfig, sources: list[str], store: PhotoStore, run: Path, resume: bool
) -> None:
    """Make the run's folder, or check that it is the same run."""
    if resume:
        stored = TrainConfig.load(run / CONFIG).to_dict()
        budget = ("steps", "minutes", "schedule", "cooldown", "save_every", "sample_every")
        for key, value in config.to_dict().items():
            if key not in budget and json_equal(stored[key]) != json_equal(value):
                raise ConfigError(f"{run}: was started with {key} = {stored[key]!r}, not {value!r}")
        config.save(run / CONFIG)
        return
    if (run / CHECKPOINT).exists():
        raise ConfigError(f"{run}: holds a run", "use --resume to go on, or another folder")
    require_color(store)
    run.mkdir(parents=True, exist_ok=True)
    config.save(run / CONFIG)
    text = json.dumps([str(Path(s).resolve()) for s in sources]) + "\n"
    write_whole(run / SOURCES, text, DataError)
    save_prior(run / PRIOR, _find_prior(config, sources, store))


def _find_prior(config: TrainConfig, sources: list[str], store: PhotoStore) -> np.ndarray[Any, Any]:
    """The prior that `prepare` wrote beside the shards, else one measured now."""
    for source in sources:
        folder = Path(source) if Path(source).is_dir() else Path(source).parent
        path = folder / PRIOR
        if path.exists():
            return load_prior(path)
    return np.asarray(measure_prior(store, config), dtype=np.float32)
