"""How fast a training step is: our sparse loss against the plain one, and both against the machine.

    python benchmarks/train_step.py [--arch photochrom] [--encoder lite2] [--size 128] [--batch 32]
                                    [--device cpu] [--repeat 7]

A step is forward, loss with its targets, backward, clipping and AdamW, on a batch that is ready.
The plain formulation makes the soft-encoded target of each pixel with all 313 channels and takes
the pixel's class weight at the largest of them. Both train the same network and take turns, so
that other work on the machine disturbs both alike; figures are medians. Operations of a step are
counted as three forward passes; the ceiling is one large float32 matrix product on the same
device, measured between the steps.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.color import bins
from photochrom.train.config import ARCHITECTURES, ENCODERS, TrainConfig
from photochrom.train.losses import Criterion
from photochrom.train.networks import build, flops

Loss = Callable[[Tensor, Tensor], Tensor]


def prior() -> Tensor:
    """Falls off from gray as that of photographs does."""
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 12)
    return torch.tensor(p / p.sum(), dtype=torch.float32)


class PlainCriterion:
    """The full objective as written in the paper: a dense target for every pixel."""

    def __init__(self, config: TrainConfig, p: Tensor) -> None:
        self.config = config
        self.centers = torch.tensor(bins.BINS, device=p.device)
        w = bins.rebalancing_weights(p.cpu().numpy(), config.rebalance)
        self.class_weights = torch.from_numpy(w).to(p.device)

    def __call__(self, output: Tensor, ab: Tensor) -> Tensor:
        """The mean loss of output (B, 313, h, w) for ab (B, 2, h, w)."""
        colors = ab.movedim(1, -1).reshape(-1, 2)
        nearest = torch.cdist(colors, self.centers).topk(self.config.neighbors, largest=False)
        near = torch.exp(-(nearest.values**2) / (2 * self.config.sigma**2))
        dense = torch.zeros(len(colors), bins.Q, device=ab.device)
        dense.scatter_(1, nearest.indices, near / near.sum(dim=1, keepdim=True))
        batch, _, height, width = output.shape
        target = dense.reshape(batch, height, width, bins.Q).movedim(-1, 1)
        loss = -(target * F.log_softmax(output.float(), dim=1)).sum(dim=1)
        return (loss * self.class_weights[target.argmax(dim=1)]).mean()


def make_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, criterion: Loss, x: Tensor, ab: Tensor
) -> Callable[[], None]:
    def step() -> None:
        loss = criterion(network(x), ab)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def make_loss(criterion: Loss, logits: Tensor, ab: Tensor) -> Callable[[], None]:
    """The loss alone, forward and backward, on logits that are there."""
    leaf = logits.detach().requires_grad_()

    def loss() -> None:
        torch.autograd.grad(criterion(leaf, ab), leaf)

    return loss


def seconds(work: Callable[[], object], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=ARCHITECTURES, default="photochrom")
    parser.add_argument("--encoder", choices=ENCODERS, default=TrainConfig.encoder)
    parser.add_argument("--size", type=int, default=128, help="side of the photos, pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(options.device)
    config = TrainConfig(
        steps=1, arch=options.arch, encoder=options.encoder, batch=options.batch,
        sizes=((0.0, options.size),),
    )  # fmt: skip
    network = build(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    operations = 3 * options.batch * flops(network, options.size, options.size)

    x = torch.rand(options.batch, network.in_channels, options.size, options.size, device=device)
    x = x.sub(0.5).contiguous(memory_format=torch.channels_last)
    # Whole numbers, at which the table that ours looks up is exact; halves and fives are ties
    # between bins, which each formulation may break in its own way.
    side = options.size // 4
    ab = torch.randint(-40, 41, (options.batch, 2, side, side), device=device).float()
    ab = torch.where(ab % 5 == 0, ab + 1, ab)

    p = prior().to(device)
    ours, plain = Criterion(config, p), PlainCriterion(config, p)
    with torch.no_grad():
        logits = network(x)
        values = [float(criterion(logits, ab)) for criterion in (ours, plain)]
    if abs(values[0] / values[1] - 1) > 1e-4:
        print(f"the losses differ: {values[0]} and {values[1]}", file=sys.stderr)
        return 1

    n = 8192 if device.type == "cuda" else 2048
    left, right = torch.rand(2, n, n, device=device)
    jobs: dict[str, Callable[[], object]] = {
        "product": lambda: left @ right,
        "ours": make_step(network, optimizer, ours, x, ab),
        "plain": make_step(network, optimizer, plain, x, ab),
        "ours, loss": make_loss(ours, logits, ab),
        "plain, loss": make_loss(plain, logits, ab),
    }
    for work in jobs.values():
        work()
        work()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.repeat):
        for name, work in jobs.items():
            times[name].append(seconds(work, device))
    median = {name: float(np.median(values)) for name, values in times.items()}

    ceiling = 2 * n**3 / median["product"]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    print(f"{where}; {threads}; torch {torch.__version__}")
    name = f"{options.arch}-{options.encoder}" if options.arch == "photochrom" else options.arch
    print(f"{name}, {options.batch} photos of {options.size} x {options.size}, float32")
    print(f"a step: {operations / 1e9:.0f} GFLOP; matrix product: {ceiling / 1e9:.0f} GFLOP/s\n")
    print("                         photos/s   step, ms   loss alone, ms   share of the ceiling")
    for key, label in (("ours", "ours, sparse targets"), ("plain", "plain, dense targets")):
        step = median[key]
        low, high = (1000 * v for v in np.percentile(times[key], (10, 90)))
        print(
            f"{label:22} {options.batch / step:10.1f} {1000 * step:10.1f} "
            f"{1000 * median[f'{key}, loss']:16.1f} {operations / step / ceiling:22.1%}"
            f"   (step {low:.0f} to {high:.0f})"
        )
    gain, loss_gain = (median[f"plain{k}"] / median[f"ours{k}"] for k in ("", ", loss"))
    print(f"\nthe plain step takes {gain:.2f} times as long, its loss alone {loss_gain:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
