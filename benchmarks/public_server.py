"""What a public server stands: many visitors at once, hostile files, a full disk, and an end at any moment.

    python benchmarks/public_server.py [--clients 50] [--seconds 120] [--readme]

Starts `app.py` in a process of its own, talks to it as browsers do, over Gradio's queue, and prints a table: what was
tried, what came of it, what is asked for, and whether that is met. Exits with 1 where it is not. Nothing leaves this
machine. Takes the seconds given and about two minutes more.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from var.model.config import VARConfig, VQVAEConfig  # noqa: E402  (found by the line above)
from var.model.transformer import VAR  # noqa: E402
from var.model.vqvae import VQVAE  # noqa: E402
from var.training.transformer import initialize_var  # noqa: E402

DEADLINE = 240.0  # seconds after which a request counts as unanswered
API = "/gradio_api"
BOX, OTHER = "fruits96.pth", "other.pth"
LABELS, SEEDS = (1, 4), range(16)
REQUESTS = [(name, label, seed) for name in (BOX, OTHER) for label in LABELS for seed in SEEDS]
SETTINGS = {"cfg_scale": 2.0, "top_k": 50, "top_p": 0.9}  # given, so that nothing depends on what a file suggests
FEW, SOME, MANY = 2, 8, len(SEEDS)  # images of a run
PATCH_NUMS = (1, 2, 3, 4)
NUM_UNLOADS = 40
NUM_BOMBS = 20
BOMB_SIDE = 8000
MILLION = 1_000_000
SMALL_DISK = 100_000_000  # bytes
MB = 1e6


class UnansweredError(Exception):
    """Raised where a request gets neither a result nor a sentence within `DEADLINE`."""


class AnsweredError(Exception):
    """Raised where the answer is a sentence about what is wrong."""


def answered(sentence: str | None) -> Exception:
    """Return the error of an answer; one without a sentence is none."""
    return AnsweredError(sentence) if sentence else UnansweredError("failed without a sentence")


@dataclass
class Row:
    """One line of the table."""

    what: str
    found: str
    goal: str
    is_met: bool


@dataclass
class Server:
    """A running `app.py`."""

    process: subprocess.Popen
    address: str
    temporary: Path

    def memory(self) -> float:
        """Return the bytes that it has in memory, with the processes that it started; 0 once it is gone."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return float(sum(process.memory_info().rss for process in (own, *own.children(recursive=True))))
        return 0.0


@dataclass
class Visitor:
    """A browser's side of Gradio's queue: sessions are new for each request unless one is given."""

    http: httpx.AsyncClient
    config: dict[str, Any]
    info: dict[str, Any]
    counts: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # that answers took

    def function(self, name: str) -> dict[str, Any]:
        """Return the entry of a named endpoint."""
        return next(entry for entry in self.config["dependencies"] if entry["api_name"] == name)

    def arguments(self, endpoint: str, **given: Any) -> list[Any]:
        """Return the arguments of a call in order; what is not given is what the endpoint has in its place."""
        parameters = self.info["named_endpoints"][f"/{endpoint}"]["parameters"]
        given = SETTINGS | given
        return [given.get(one["parameter_name"], one.get("parameter_default")) for one in parameters]

    async def generate(self, checkpoint: Any, label: int, seed: int, num_images: int = 1, **more: Any) -> list[bytes]:
        """Ask for images of a class; returns the PNG files."""
        data = self.arguments("generate", class_labels=[label], checkpoint=checkpoint, num_images=num_images, seed=seed)
        result = await self.call("generate", data, **more)
        if result is None:  # it left
            return []
        files, _ = result
        return [(await self.http.get(file["url"])).content for file in files]

    async def call(self, name: str, data: list[Any], *, leave_after: float | None = None, cancel: bool = False) -> Any:
        """Put a call into the queue and wait for its result.

        Args:
            name: of the endpoint.
            data: its arguments.
            leave_after: seconds after which the stream is closed, as by a reload or a closed tab.
            cancel: whether it is called off then, instead.
        """
        number, session = self.function(name)["id"], secrets.token_hex(6)
        began = time.monotonic()
        self.counts["requests"] += 1
        try:
            async with asyncio.timeout(DEADLINE):
                joined = await self.http.post(
                    f"{API}/queue/join", json={"data": data, "fn_index": number, "session_hash": session}
                )
                if joined.status_code != 200:
                    raise AnsweredError(f"HTTP {joined.status_code}: {joined.text[:200]}")
                event = joined.json()["event_id"]
                answer = asyncio.create_task(self.result(session))
                if leave_after is None:
                    return await answer
                done, _ = await asyncio.wait([answer], timeout=leave_after)
                if done:
                    return await answer
                if cancel:
                    called_off = {"session_hash": session, "fn_index": number, "event_id": event}
                    (await self.http.post(f"{API}/cancel", json=called_off)).raise_for_status()
                answer.cancel()
                await asyncio.wait([answer])
                return None
        except UnansweredError:
            self.counts["unanswered"] += 1
            raise
        except (TimeoutError, httpx.HTTPError) as error:
            self.counts["unanswered"] += 1
            raise UnansweredError(f"{name}: {type(error).__name__} after {time.monotonic() - began:.0f} s") from error
        finally:
            self.seconds.append(time.monotonic() - began)

    async def result(self, session: str) -> Any:
        """Wait for what the queue tells a session at last."""
        stream = self.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}, timeout=DEADLINE)
        async with stream as response:
            async for line in response.aiter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {"msg": ""}
                if message["msg"] == "process_completed":
                    if message["success"]:
                        return message["output"]["data"]
                    raise answered(message["output"].get("error"))
                if message["msg"] == "unexpected_error":
                    raise answered(message.get("message"))
        raise TimeoutError("the stream ended")

    async def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Upload a file; returns what names it in a call."""
        answer = await self.http.post(f"{API}/upload", files={"files": (name, content)})
        if answer.status_code != 200:
            raise AnsweredError(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def unload(self) -> None:
        """Press Unload."""
        button = next(part["id"] for part in self.config["components"] if part["props"].get("elem_id") == "unload")
        entry = next(one for one in self.config["dependencies"] if [button, "click"] in one["targets"])
        body = {"data": [], "fn_index": entry["id"], "session_hash": secrets.token_hex(6)}
        self.counts["requests"] += 1
        try:
            async with asyncio.timeout(DEADLINE):
                await self.http.post(f"{API}/run/predict", json=body)
        except (TimeoutError, httpx.HTTPError) as error:
            self.counts["unanswered"] += 1
            raise UnansweredError("unload") from error


def main() -> int:
    """Run everything; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clients", type=int, default=50, metavar="N")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="S", help="of many visitors at once")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="var-proof-") as place:
        folder = Path(place)
        make_checkpoints(folder / "checkpoints")
        asyncio.run(try_everything(folder, args.clients, args.seconds, rows))
    table = markdown(rows)
    print(table)
    if args.readme:
        write_readme(table)
    return 0 if all(row.is_met for row in rows) else 1


async def try_everything(folder: Path, num_clients: int, seconds: float, rows: list[Row]) -> None:
    """Fill the table."""

    async def tell(part: Awaitable[list[Row]]) -> None:
        for row in await part:
            print(f"{'✓' if row.is_met else '✗'} {row.what}: {row.found}", file=sys.stderr, flush=True)
            rows.append(row)

    server = start(folder)
    try:
        async with visiting(server) as visitor:
            alone = await make_alone(visitor)
            await tell(many_visitors(server, visitor, alone, num_clients, seconds))
            await tell(unloads(visitor, alone))
            await tell(bombs(server, visitor))
            await tell(many_classes(server, visitor))
            await tell(too_large(server, visitor, folder))
            await tell(changing_files(visitor, alone, folder / "checkpoints"))
            await tell(end_within_a_run(server, visitor))
    finally:
        kill(server)
    await tell(restart_after_kill(folder))
    await tell(full_disk(folder))


def make_checkpoints(folder: Path) -> None:
    """The model in the box, and a tiny one of random weights; both as trainers save them."""
    folder.mkdir()
    shutil.copy(ROOT / "checkpoints" / BOX, folder / BOX)
    torch.manual_seed(0)
    torch.save(tiny_trainer_file(), folder / OTHER)


def tiny_trainer_file() -> dict[str, Any]:
    """A checkpoint of 16 by 16 pixels and two million parameters."""
    var = VAR(VARConfig(depth=2, embed_dim=64, num_heads=2, num_classes=10, patch_nums=PATCH_NUMS, vocab_size=64))
    initialize_var(var)
    vqvae = VQVAE(VQVAEConfig(vocab_size=64, ch=32, ch_mult=(1, 1, 2)))
    return {
        "epoch": 1,
        "iter": 1,
        "trainer": {
            "config": {"patch_nums": PATCH_NUMS},
            "var_wo_ddp": var.state_dict(),
            "vae_local": vqvae.state_dict(),
            "var_opt": {"optimizer": {"state": {}, "param_groups": []}},
        },
        "args": {"depth": 2},
    }


def start(folder: Path, prefix: tuple[str, ...] = (), temporary: Path | None = None) -> Server:
    """Start a server on a free port, and wait until it answers."""
    temporary = temporary or folder / "server"
    environment = os.environ | {
        "GRADIO_TEMP_DIR": str(temporary),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "0",
    }
    command = [*prefix, sys.executable, "-u", str(ROOT / "app.py"), "--checkpoints", str(folder / "checkpoints")]
    process = subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    printed = ""
    while not (found := re.search(r"http://\S+", printed)):
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"The server did not start: {printed}")
        printed += line
    log = (folder / "server.log").open("ab")
    subprocess.Popen(["cat"], stdin=process.stdout, stdout=log)  # so that it never waits for a reader
    return Server(process, found[0].rstrip("/"), temporary)


def kill(server: Server) -> None:
    """End a server at once, if it still runs."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(server.process.pid).children(recursive=True):
            child.kill()
    server.process.kill()
    server.process.wait()


@contextlib.asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[Visitor]:
    """A visitor who has opened the page."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.address, timeout=DEADLINE, limits=limits, trust_env=False) as http:
        yield Visitor(http, (await http.get("/config")).json(), (await http.get(f"{API}/info")).json())


async def make_alone(visitor: Visitor) -> dict[tuple[str, int, int], bytes]:
    """Make each image with nobody else there."""
    return {request: pixels((await visitor.generate(*request))[0]) for request in REQUESTS}


def pixels(png: bytes) -> bytes:
    """Return the pixels of a PNG."""
    return Image.open(BytesIO(png)).convert("RGB").tobytes()


async def many_visitors(
    server: Server, visitor: Visitor, alone: dict[tuple[str, int, int], bytes], num_clients: int, seconds: float
) -> list[Row]:
    """Everything at once for a while: runs of two checkpoints, cancelled, left and reloaded ones, uploads, Unload."""
    end, made, wrong, unexpected = time.monotonic() + seconds, Counter(), 0, Counter()
    buffer = BytesIO()
    torch.save(tiny_trainer_file(), buffer)
    good, bad = buffer.getvalue(), os.urandom(200_000)

    async def check(client: int, number: int) -> None:
        """Images of one run, each compared with the one made alone."""
        nonlocal wrong
        name, label = random.choice((BOX, OTHER)), random.choice(LABELS)
        first = random.randrange(len(SEEDS) - number + 1)
        files = await visitor.generate(name, label, first, number)
        for seed, png in enumerate(files, first):
            made[client] += 1
            wrong += pixels(png) != alone[name, label, seed]

    async def leave(cancel: bool) -> None:
        name, label, seed = random.choice(REQUESTS)
        await visitor.generate(name, label, seed, leave_after=random.uniform(0.05, 3), cancel=cancel)

    async def reload() -> None:
        await leave(False)
        await visitor.http.get("/")

    async def upload(content: bytes, is_good: bool) -> None:
        file = await visitor.upload("a.pth", content)
        visitor.counts["uploads"] += 1
        if is_good:
            await visitor.generate(file, 1, 0)
            return
        try:
            await visitor.call("inspect", [file, ""])
        except AnsweredError:
            visitor.counts["refused files"] += 1
            return
        unexpected["a bad file was read"] += 1

    async def client(number: int) -> None:
        honest, greedy = number == 0, 1 <= number <= num_clients // 5
        while time.monotonic() < end:
            kind = random.random()
            try:
                if honest or greedy or kind < 0.5:
                    await check(number, MANY if greedy else SOME if honest else FEW)
                elif kind < 0.75:
                    await leave(cancel=kind < 0.63)
                elif kind < 0.83:
                    await reload()
                elif kind < 0.91:
                    await upload(good, True)
                elif kind < 0.97:
                    await upload(bad, False)
                else:
                    await visitor.unload()
            except AnsweredError as error:
                unexpected[str(error)[:100]] += 1
                await asyncio.sleep(0.2)
            except UnansweredError as error:
                unexpected[str(error)[:100]] += 1

    samples: list[float] = []

    async def watch() -> None:
        while True:
            samples.append(server.memory())
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    visitor.seconds.clear()
    began = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(num_clients)))
    took = time.monotonic() - began
    watching.cancel()
    per_minute = max(1, min(120, len(samples) // 3))
    first, last = statistics.median(samples[:per_minute]), statistics.median(samples[-per_minute:])
    total, share = sum(made.values()), made[0] / max(1, sum(made.values())) * num_clients
    counts, unanswered = visitor.counts, visitor.counts["unanswered"]
    slowest = max(visitor.seconds)
    for text, number in unexpected.items():
        print(f"  {number} × {text}", file=sys.stderr)
    return [
        Row(
            f"{num_clients} visitors for {took:.0f} s: runs of two checkpoints, cancelled, left and reloaded ones, "
            f"{counts['uploads']} uploads, Unload",
            f"{counts['requests']} requests, {total} images, {total / took:.1f} a second",
            "",
            True,
        ),
        Row("images other than those of the same request alone", f"{wrong} of {total}", "0", wrong == 0 and total > 0),
        Row("requests without an answer", str(unanswered), "0", unanswered == 0),
        Row("errors that nobody brought about", str(sum(unexpected.values())), "0", not unexpected),
        Row("slowest answer", f"{slowest:.0f} s", f"≤ {DEADLINE:.0f} s", slowest <= DEADLINE),
        Row(
            "memory at the end over that at the beginning",
            f"{last / first:.2f} ({first / MB:.0f} → {last / MB:.0f} MB, at most {max(samples) / MB:.0f})",
            "≤ 1.2",
            last <= 1.2 * first,
        ),
        Row(
            f"share of the images of one who asks for {SOME} at a time, beside {num_clients // 5} who ask for {MANY}",
            f"{share:.1f} / {num_clients}",
            f"≥ 1 / {num_clients}",
            share >= 1,
        ),
    ]


async def unloads(visitor: Visitor, alone: dict[tuple[str, int, int], bytes]) -> list[Row]:
    """Many press Unload during one run."""
    began = time.monotonic()
    request = REQUESTS[0]
    run = asyncio.create_task(visitor.generate(*request, num_images=SOME))
    await asyncio.sleep(0.5)
    answers = await asyncio.gather(*(visitor.unload() for _ in range(NUM_UNLOADS)), return_exceptions=True)
    files = await run
    right = pixels(files[0]) == alone[request] and len(files) == SOME
    failed = sum(isinstance(answer, BaseException) for answer in answers)
    took = time.monotonic() - began
    return [
        Row(
            f"Unload {NUM_UNLOADS} times during one run",
            f"{failed} unanswered, the run {'is right' if right else 'is wrong'}, {took:.1f} s",
            "0 unanswered, right",
            right and not failed,
        )
    ]


async def bombs(server: Server, visitor: Visitor) -> list[Row]:
    """Small files that are huge pictures, all at once."""
    bomb = png_bomb(BOMB_SIDE)
    file = await visitor.upload("bomb.png", bomb)
    before, most = server.memory(), 0.0
    answers: Counter = Counter()

    async def edit() -> None:
        try:
            await visitor.call("edit", visitor.arguments("edit", image=file, class_labels=[1]))
            answers["made"] += 1
        except AnsweredError:
            answers["refused"] += 1
        except UnansweredError:
            answers["unanswered"] += 1

    edits = [asyncio.create_task(edit()) for _ in range(NUM_BOMBS)]
    while not all(one.done() for one in edits):
        most = max(most, server.memory())
        await asyncio.sleep(0.05)
    grown = (most - before) / MB
    return [
        Row(
            f"{NUM_BOMBS} edits of a PNG of {len(bomb) / 1e3:.0f} kB and {BOMB_SIDE} × {BOMB_SIDE} pixels at once",
            f"{answers['refused']} refused, {answers['made']} made, {answers['unanswered']} unanswered, "
            f"{grown:+.0f} MB",
            "0 unanswered, ≤ 300 MB",
            not answers["unanswered"] and grown <= 300,
        )
    ]


def png_bomb(side: int) -> bytes:
    """A PNG of few bytes and many pixels: one color of a palette, one bit a pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes((1, 3, 0, 0, 0))
    rows = zlib.compress(bytes((1 + (side + 7) // 8) * side), 9)
    parts = (chunk(b"IHDR", header), chunk(b"PLTE", bytes(6)), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def many_classes(server: Server, visitor: Visitor) -> list[Row]:
    """A checkpoint that says that it has a million classes."""
    content = tiny_trainer_file()
    state = content["trainer"]["var_wo_ddp"]
    state["class_emb.weight"] = torch.zeros(MILLION + 1, 4)[:, :1].expand(-1, 64).contiguous()
    buffer = BytesIO()
    torch.save(content, buffer)
    file = await visitor.upload("classes.pth", buffer.getvalue())
    before, began = server.memory(), time.monotonic()
    try:
        await visitor.call("inspect", [file, ""])
        answer = "read"
    except AnsweredError:
        answer = "refused"
    took, grown = time.monotonic() - began, (server.memory() - before) / MB
    return [
        Row(
            f"a file of {len(buffer.getvalue()) / MB:.0f} MB with a million classes",
            f"{answer} in {took:.2f} s, {grown:+.0f} MB",
            "refused, ≤ 2 s, ≤ 50 MB",
            answer == "refused" and took <= 2 and grown <= 50,
        )
    ]


async def too_large(server: Server, visitor: Visitor, folder: Path) -> list[Row]:
    """A checkpoint that this machine has no memory for; its file has holes in place of the weights."""
    memory, width = psutil.virtual_memory().total, 64
    while 4 * 18 * (width // 64) * width**2 < 2 * memory:  # bytes, about
        width += 64
    config = VARConfig(depth=width // 64, embed_dim=width, num_heads=width // 64)
    with torch.device("meta"):
        states = {"var": VAR(config).state_dict(), "vae": VQVAE(VQVAEConfig()).state_dict()}
    header, place = {}, 0
    levels = torch.cat([torch.full((side * side,), level) for level, side in enumerate(config.patch_nums)])
    path = folder / "checkpoints" / "large.safetensors"
    levels_at = 0
    for model, state in states.items():
        for key, tensor in state.items():
            kind, item = ("I64", 8) if tensor.dtype == torch.int64 else ("F32", 4)
            place += -place % 8
            if key == "lvl_1L":
                levels_at = place
            span = [place, place + tensor.numel() * item]
            header[f"{model}.{key}"] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": span}
            place = span[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
        file.seek(8 + len(text) + levels_at)
        file.write(levels.view(1, -1).to(torch.int64).numpy().tobytes())
    before, began = server.memory(), time.monotonic()
    try:
        await visitor.generate(path.name, 1, 0)
        said = "it was loaded"
    except AnsweredError as error:
        said = str(error)
    took, grown = time.monotonic() - began, (server.memory() - before) / MB
    path.unlink()
    right = "memory" in said
    if not right:
        print(f"  too large: {said}", file=sys.stderr)
    return [
        Row(
            f"a checkpoint of {place / 1e9:.0f} GB on a machine of {memory / 1e9:.0f} GB",
            f"{'refused, with what it needs' if right else 'another answer'} in {took:.1f} s, {grown:+.0f} MB",
            "refused, ≤ 300 MB",
            right and grown <= 300,
        )
    ]


async def changing_files(visitor: Visitor, alone: dict[tuple[str, int, int], bytes], folder: Path) -> list[Row]:
    """A checkpoint that is deleted, rewritten or cut while it is loaded."""
    outcomes: Counter = Counter()
    source, other = (folder / BOX).read_bytes(), (folder / OTHER).read_bytes()
    results = {pixels_of for (_, label, seed), pixels_of in alone.items() if (label, seed) == (1, 0)}
    for number in range(12):
        path = folder / f"changing{number}.pth"
        path.write_bytes(source)
        run = asyncio.create_task(visitor.generate(path.name, 1, 0))
        await asyncio.sleep(random.uniform(0, 0.8))
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            replacement = path.with_suffix(".new")
            replacement.write_bytes(other)
            os.replace(replacement, path)
        else:
            os.truncate(path, random.randrange(len(source)))
        try:
            is_right = pixels((await run)[0]) in results
            outcomes["right" if is_right else "wrong"] += 1
        except AnsweredError:
            outcomes["told"] += 1
        except UnansweredError:
            outcomes["unanswered"] += 1
        path.unlink(missing_ok=True)
    after = pixels((await visitor.generate(*REQUESTS[0]))[0]) == alone[REQUESTS[0]]
    return [
        Row(
            "a checkpoint deleted, rewritten or cut while it loads, 12 times",
            f"{outcomes['right']} right images, {outcomes['told']} sentences, {outcomes['wrong']} wrong, "
            f"{outcomes['unanswered']} unanswered",
            "0 wrong, 0 unanswered",
            after and not outcomes["wrong"] and not outcomes["unanswered"],
        )
    ]


async def end_within_a_run(server: Server, visitor: Visitor) -> list[Row]:
    """SIGTERM while a run goes on."""
    with contextlib.suppress(AnsweredError):
        await visitor.upload("left.pth", os.urandom(1000))
    run = asyncio.create_task(visitor.generate(BOX, 1, 0, 16))
    await asyncio.sleep(1)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(server.process.wait, 120)
    took = time.monotonic() - began
    came = 0
    with contextlib.suppress(AnsweredError, UnansweredError, httpx.HTTPError):
        came = len(await run)
    left = left_files(server.temporary)
    return [
        Row(
            "SIGTERM during a run of 16 images",
            f"ends with {code} after {took:.1f} s, {came} of its images came, {len(left)} files left",
            "0, ≤ 60 s, 0 files",
            code == 0 and took <= 60 and not left,
        )
    ]


async def restart_after_kill(folder: Path) -> list[Row]:
    """kill -9 during a run; the next server takes the leftovers away."""
    server = start(folder)
    try:
        async with visiting(server) as visitor:
            await visitor.upload("left.pth", os.urandom(1000))
            run = asyncio.create_task(visitor.generate(BOX, 1, 0, 16))
            await asyncio.sleep(2)
            kill(server)
            with contextlib.suppress(Exception):
                await run
        left = len(left_files(server.temporary))
        began = time.monotonic()
        server = start(folder)
        async with visiting(server) as visitor:
            await visitor.generate(BOX, 1, 0)
        took = time.monotonic() - began
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait, 120)
    finally:
        kill(server)
    after = len(left_files(server.temporary))
    return [
        Row(
            "kill -9 during a run, and a start after it",
            f"{left} files left, {after} after the next server; its first image after {took:.1f} s",
            "0 files in the end",
            after == 0 and left > 0,
        )
    ]


def left_files(folder: Path) -> list[Path]:
    """Files of a server, apart from the lock that all servers share."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-lock")]


async def full_disk(folder: Path) -> list[Row]:
    """A server on a disk of its own that gets full; needs a file system in memory, which Linux lets its users have."""
    disk = folder / "disk"
    disk.mkdir()
    shell = f'mount -t tmpfs -o size={SMALL_DISK} none "{disk}" && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "sh")
    tried = f"a disk of {SMALL_DISK / MB:.0f} MB that is full"
    if sys.platform != "linux" or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        return [Row(tried, "not tried: no file system can be mounted here", "", True)]
    server = start(folder, prefix, disk)
    inside = Path(f"/proc/{server.process.pid}/root{disk}")
    answers: Counter = Counter()
    try:
        async with visiting(server) as visitor:
            try:
                await visitor.upload("a.pth", os.urandom(1000))
                answers["upload taken"] += 1
            except AnsweredError:
                answers["upload refused"] += 1
            fill(inside / "filler")
            for _ in range(3):
                try:
                    await visitor.generate(BOX, 1, 0)
                    answers["made"] += 1
                except AnsweredError:
                    answers["told"] += 1
                except UnansweredError:
                    answers["unanswered"] += 1
            (inside / "filler").unlink()
            again = len(await visitor.generate(BOX, 1, 0)) == 1
    finally:
        kill(server)
    return [
        Row(
            tried,
            ", ".join(f"{number} × {text}" for text, number in answers.items())
            + f"; once there is room an image {'is' if again else 'is not'} made",
            "0 unanswered, then made",
            again and not answers["unanswered"] and not answers["upload taken"],
        )
    ]


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            if file.write(bytes(4096)) < 4096:
                return


def markdown(rows: list[Row]) -> str:
    """Return the table, with the machine that it is of."""
    lines = [f"| {row.what} | {row.found} | {row.goal} | {'✓' if row.is_met else '✗'} |" for row in rows]
    machine = f"{os.cpu_count()} CPU cores, {psutil.virtual_memory().total / 1e9:.0f} GB of memory"
    return "\n".join(
        [f"On {machine}, no GPU:\n", "| tried | found | asked for | |", "| --- | --- | --- | --- |", *lines]
    )


def write_readme(table: str) -> None:
    """Put the table in the place of the last one."""
    path = ROOT / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- public server -->\n")
    _, _, after = rest.partition("<!-- /public server -->\n")
    marked = f"<!-- public server -->\n{table}\n<!-- /public server -->\n"
    path.write_text(before + marked + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
