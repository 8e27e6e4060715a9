"""The studio under load: a cold photo, a slider, and fifty people who click at once.

    python benchmarks/studio.py                  all of it, about two minutes
    python benchmarks/studio.py --users 50 --seconds 60

The server is `photochrom studio` in a process of its own, on loopback; what is told is what a
client sees, from its request to the last byte. Memory is that of the server's process (VmRSS); the
server may keep 300 MB of what it computed, so that it soon has to give up as much as it adds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pyvips

EXAMPLES = Path(__file__).parent.parent / "examples"


def photo(megapixels: float, color: bool, seed: int = 0) -> bytes:
    """A JPEG of an example photo, enlarged, with grain of its own."""
    names = sorted(EXAMPLES.glob("*.jpg"))
    image = pyvips.Image.new_from_file(str(names[seed % len(names)])).colourspace("srgb")
    image = image.resize((megapixels * 1e6 / (image.width * image.height)) ** 0.5)
    if not color:
        image = image.colourspace("b-w")
    grain = pyvips.Image.gaussnoise(image.width, image.height, sigma=4, mean=0, seed=seed)
    return bytes((image + grain).cast("uchar").jpegsave_buffer(Q=92))


class Server:
    """`photochrom studio` on a free port."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "photochrom", "studio", "--port", "0", "--no-browser"]
        command += ["--memory", "300"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[0].rstrip("/")

    def memory(self) -> float:
        """Megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def processor(self) -> float:
        """Seconds that it has computed, on all cores together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it, as Ctrl-C does."""
        self.process.terminate()
        self.process.wait()


def summary(name: str, seconds: list[float]) -> str:
    ms = np.array(seconds) * 1000
    low, middle, high = np.quantile(ms, [0, 0.5, 0.95])
    return f"{name:34} n {len(ms):5}   min {low:7.1f}   median {middle:7.1f}   p95 {high:7.1f} ms"


def alone(server: Server, repeat: int) -> None:
    """One user: a cold photo, and settings that change."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=120) as client:

        def timed(method: str, address: str, **options: object) -> tuple[float, httpx.Response]:
            began = time.perf_counter()
            reply = client.request(method, address, **options)  # type: ignore[arg-type]
            reply.raise_for_status()
            return time.perf_counter() - began, reply

        for color in (False, True):
            cold, whole = [], []
            for seed in range(5):
                data = photo(12, color, seed)
                sent, reply = timed("POST", "/api/photos", content=data)
                told = reply.json()
                address = f"/api/photos/{told['photo']}/predictions/{told['prediction']}"
                cold.append(sent + timed("GET", f"{address}/preview?size=1024")[0])
                whole.append(timed("POST", "/api/color", content=data)[0])
            kind = "color" if color else "gray"
            print(summary(f"12 MP {kind}: sent and seen", cold))
            print(summary(f"12 MP {kind}: /api/color, whole file", whole))
        for name, query in (
            ("preview 1024, temperature", "preview?size=1024&temperature={}"),
            ("preview 1024, candidate", "preview?size=1024&candidate=1&temperature={}"),
            ("preview 1600, temperature", "preview?size=1600&temperature={}"),
            ("tile 512 x 512 at 1:1", "tile?x={}&y=700&width=512&height=512&saturation=1.1"),
        ):
            times = []
            timed("GET", f"{address}/{query.format(0 if name.startswith('tile') else 0.19)}")
            before = server.processor()
            for n in range(repeat):
                value = 100 * (n % 20) if name.startswith("tile") else 0.2 + n / 100
                times.append(timed("GET", f"{address}/{query.format(value)}")[0])
            each = (server.processor() - before) / repeat * 1000
            print(f"{summary(name, times)}   processor {each:.1f}")
        palette = [timed("GET", f"{address}/palette?x={n}&y=50")[0] for n in range(repeat)]
        print(summary("palette", palette))
        clicks = []
        for n in range(repeat):
            hint = {"x": 10 + n, "y": 40, "color": [200, 60, 40]}
            body = {"hints": [hint]}
            clicks.append(timed("POST", address.rpartition("/")[0], json=body)[0])
        print(summary("a hint, through the network", clicks))


async def user(number: int, url: str, until: float, times: dict[str, list[float]]) -> list[str]:
    """Drags, clicks and zooms without a pause; returns what went wrong."""
    choose, wrong = random.Random(number), []
    limits = httpx.Timeout(120)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=limits) as client:

        async def ask(kind: str, method: str, address: str, **options: object) -> httpx.Response:
            began = time.perf_counter()
            reply = await client.request(method, address, **options)  # type: ignore[arg-type]
            times.setdefault(kind, []).append(time.perf_counter() - began)
            if reply.is_error:
                wrong.append(f"{kind}: {reply.status_code} {reply.text[:80]}")
            return reply

        data = await asyncio.to_thread(photo, 1, number % 2 == 0, number)
        told = (await ask("photo", "POST", "/api/photos", content=data)).json()
        predictions, name = f"/api/photos/{told['photo']}/predictions", told["prediction"]
        hints: list[dict[str, object]] = []
        while time.perf_counter() < until:
            x, y = choose.randrange(told["width"]), choose.randrange(told["height"])
            await ask("palette", "GET", f"{predictions}/{name}/palette?x={x}&y={y}")
            rgb = [choose.randrange(256) for _ in range(3)]
            hints = [*hints[-7:], {"x": x, "y": y, "color": rgb}]
            reply = await ask("hint", "POST", predictions, json={"hints": hints})
            name = reply.json().get("prediction", name)
            for _ in range(3):
                T = round(choose.uniform(0.1, 1), 3)
                query = f"preview?size=1024&temperature={T}"
                await ask("preview 1024", "GET", f"{predictions}/{name}/{query}")
            box = f"x={x // 2}&y={y // 2}&width=256&height=256"
            await ask("tile", "GET", f"{predictions}/{name}/tile?{box}")
    return wrong


async def crowd(server: Server, users: int, seconds: float) -> None:
    """Many users at once."""
    times: dict[str, list[float]] = {}
    until = time.perf_counter() + seconds

    async def watch() -> list[float]:
        seen = []
        while time.perf_counter() < until:
            await asyncio.sleep(seconds / 12)
            seen.append(server.memory())
        return seen

    watching = asyncio.ensure_future(watch())
    wrong = await asyncio.gather(*(user(n, server.url, until, times) for n in range(users)))
    memory = await watching
    print(f"{users} users for {seconds:g} s: {sum(map(len, times.values()))} requests, "
          f"{sum(map(len, wrong))} errors")  # fmt: skip
    for text in [text for texts in wrong for text in texts][:5]:
        print("  " + text)
    for kind, taken in times.items():
        print("  " + summary(kind, taken))
    print("  memory, MB, at twelfths: " + " ".join(f"{m:.0f}" for m in memory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeat", type=int, default=40)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    server = Server()
    try:
        print(f"memory at the start {server.memory():.0f} MB")
        alone(server, options.repeat)
        print(f"memory after one user {server.memory():.0f} MB; load {os.getloadavg()[0]:.1f}")
        asyncio.run(crowd(server, options.users, options.seconds))
        print(f"load {os.getloadavg()[0]:.1f}")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
