"""How many requests a second does the server answer, how soon, and what do batches give?

Servers of the same generator, each in a process of its own, take turns: `sparring serve` as it is; the same with one
request a batch; the same with `--precision bf16`; and a plain one, as a tutorial would write it: FastAPI, a route in a
thread, one forward of one picture, PNG. Each is kept to as many processor cores as it has threads (on Linux), since the
plain one takes a thread for every request. Clients are connections of this process, which ask again as soon as they are
answered, every time for one picture of another seed, so that nothing comes from memory; a request takes this process a
few hundredths of a millisecond. The table has requests a second, and the latency in the middle and at the 99th
percentile; the ratio is to the plain server with as many clients. What the server's process used of processors, a
request, hardly changes with what else runs (on Linux). Answers other than 200 are counted apart. The generator was not
trained: its weights do not change the time.

    python benchmarks/serve.py --threads 1
    python benchmarks/serve.py --networks r3 --resolution 64 --clients 1 8 64 --seconds 10 --json serve.json

The plain server gives each picture the bytes of a batch of one; `sparring serve` looks for sizes of batches in which
every picture has the bytes that it has in a batch of 32, and may have to fill them up: a single client pays for that.

    python benchmarks/serve.py --requests 100000

asks `sparring serve` alone for so many pictures, from the last number of clients, and tells what memory its process
holds after each tenth (on Linux).
"""

import argparse
import json
import math
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count, islice, product, takewhile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from sparring.model import Model
from sparring.serving import batching
from sparring.tasks import generate

ARMS = ("plain", "one a batch", "sparring serve", "the same in bf16")
WARM = 5
"""Requests of each client that are not counted."""

PATIENCE = 60
"""Seconds without any answer."""

HEAD = (
    b"POST /v1/sample HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: image/png\r\n"
    b"Content-Length: %d\r\n\r\n"
)


@dataclass(frozen=True)
class Result:
    """Of one server with some clients: requests a second, seconds at percentiles and of processors, a request, and
    answers by status."""

    server: str
    clients: int
    rate: float
    p50: float
    p99: float
    processor: float
    answers: dict[int, int]


def run_server(arm: str, place: Path, threads: int) -> None:
    """A server until the process ends; its port is the first line of standard output."""
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    if arm == "plain":
        plain_server(place)
        return
    from sparring.serving.server import serve

    if arm == "one a batch":
        batching.Line.take = one_at_a_time  # type: ignore[method-assign, assignment]

    def started(address: str, _: object) -> None:
        print(address.rsplit(":", 1)[1], flush=True)

    serve([place], "127.0.0.1", 0, None, "cpu", started, "bf16" if arm == ARMS[-1] else "fp32")


def one_at_a_time(line: batching.Line) -> list[batching.Job] | None:
    """In the place of `Line.take`: the first job, alone, and without a wait for others."""
    with line.changed:
        line.changed.wait_for(lambda: line.jobs or line.closed)
        return [line.pop()] if line.jobs else None


def plain_server(place: Path) -> None:
    """One request, one forward."""
    import io

    import uvicorn
    from fastapi import Body, FastAPI, Response
    from PIL import Image

    model = Model.load(place)
    app = FastAPI()

    @app.post("/v1/sample")
    def sample(seed: int = Body(embed=True)) -> Response:
        with torch.no_grad():
            z = torch.randn(1, model.from_noise.z_dim, generator=torch.Generator().manual_seed(seed))
            made = model.generator(z, None)[0].clamp(-1, 1)
        stream = io.BytesIO()
        Image.fromarray(((made + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(stream, "PNG")
        return Response(stream.getvalue(), media_type="image/png")

    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


@contextmanager
def serving(arm: str, place: Path, threads: int) -> Iterator[tuple[int, int]]:
    """The port of a server in another process, and its number."""
    command = [sys.executable, __file__, "--serve", arm, "--place", str(place), "--threads", str(threads)]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # as `sparring serve` has it
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()
            process.wait(30)


class Client:
    """A connection on which one request at a time is made."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.came, self.began = b"", 0.0

    def ask(self, seed: int) -> None:
        """For the first picture of a seed."""
        body = b'{"seed": %d}' % seed
        self.began = time.perf_counter()
        self.connection.sendall(HEAD % len(body) + body)

    def answer(self) -> tuple[int, float] | None:
        """Takes what has come: the status and how long it took once the answer is whole."""
        part = self.connection.recv(2**18)
        if not part:
            raise ConnectionError("the server closed a connection on which it was asked")
        self.came += part
        head, end, body = self.came.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return None
        self.came = b""
        return int(head[9:12]), time.perf_counter() - self.began


def answers(clients: Sequence[Client], seeds: Iterator[int]) -> Iterator[tuple[int, float]]:
    """Status and seconds of each answer, as they come, while all clients ask as long as there are seeds."""
    with selectors.DefaultSelector() as selector:
        asking = 0
        for client, seed in zip(clients, seeds, strict=False):
            selector.register(client.connection, selectors.EVENT_READ, client)
            client.ask(seed)
            asking += 1
        while asking:
            if not (ready := selector.select(PATIENCE)):
                raise TimeoutError(f"no answer for {PATIENCE} seconds")
            for key, _ in ready:
                if (answered := key.data.answer()) is None:
                    continue
                if (seed := next(seeds, None)) is None:
                    asking -= 1
                else:
                    key.data.ask(seed)
                yield answered


@contextmanager
def connected(port: int, many: int) -> Iterator[list[Client]]:
    """So many clients."""
    with ExitStack() as stack:
        clients = [Client(port) for _ in range(many)]
        for client in clients:
            stack.enter_context(client.connection)
        yield clients


def measure(arm: str, port: int, process: int, many: int, seconds: float, seeds: Iterator[int]) -> Result:
    """Asks for so long with so many clients."""
    with connected(port, many) as clients:
        for _ in answers(clients, islice(seeds, WARM * many)):
            pass
        began, used = time.perf_counter(), processor_seconds(process)
        found = list(answers(clients, takewhile(lambda _: time.perf_counter() < began + seconds, seeds)))
        took, used = time.perf_counter() - began, processor_seconds(process) - used
    times = sorted(each for status, each in found if status == 200)
    by_status = dict(Counter(status for status, _ in found))
    p50, p99 = (statistics.median(times), times[int(0.99 * len(times))]) if times else (math.nan, math.nan)
    return Result(arm, many, len(times) / took, p50, p99, used / len(found), by_status)


def processor_seconds(process: int) -> float:
    """What a process has used so far, of all cores; not a number where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def middle(results: Sequence[Result]) -> list[Result]:
    """One for each server and number of clients, with the medians of its rounds."""
    found: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        found.setdefault((result.server, result.clients), []).append(result)
    medians = []
    for (server, clients), rounds in found.items():
        each = zip(*((one.rate, one.p50, one.p99, one.processor) for one in rounds), strict=True)
        answers = sum((Counter(one.answers) for one in rounds), Counter[int]())
        medians.append(Result(server, clients, *map(statistics.median, each), dict(answers)))
    return medians


def watch_memory(place: Path, threads: int, many: int, requests: int) -> list[tuple[int, int]]:
    """MiB that the server's process holds after so many requests, a line for each tenth."""
    held: list[tuple[int, int]] = []
    with serving("sparring serve", place, threads) as (port, process), connected(port, many) as clients:
        for tenth in range(1, 11):
            last = requests * tenth // 10
            for status, _ in answers(clients, iter(range(requests * (tenth - 1) // 10, last))):
                assert status == 200, f"answered with {status}"
            (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if "VmRSS" in line)
            held.append((last, int(line.split()[1]) // 1024))
            print(f"{held[-1][0]:9,} requests: {held[-1][1]:,} MiB", flush=True)
    return held


def tell(results: list[Result], what: str) -> None:
    """The table."""
    table = Table(title=what)
    for name in ("clients", "server", "requests/s", "ratio", "p50 ms", "p99 ms", "cpu ms", "refused"):
        table.add_column(name, justify="left" if name == "server" else "right")
    plain = {result.clients: result.rate for result in results if result.server == "plain"}
    for result in sorted(results, key=lambda result: (result.clients, ARMS.index(result.server))):
        refused = sum(count for status, count in result.answers.items() if status != 200)
        table.add_row(
            str(result.clients),
            result.server,
            f"{result.rate:.0f}",
            f"{result.rate / plain[result.clients]:.2f}" if result.clients in plain else "-",
            f"{1000 * result.p50:.1f}",
            f"{1000 * result.p99:.1f}",
            f"{1000 * result.processor:.2f}",
            str(refused),
        )
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="fast", help="fast, r3 or dcgan")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each server with each number of clients")
    parser.add_argument("--rounds", type=int, default=1, help="of all servers; the table has the medians")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch in each server")
    parser.add_argument("--run", type=Path, help="a run without classes, in the place of a new generator")
    parser.add_argument("--requests", type=int, help="watch the memory of `sparring serve` over so many instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run_server(given.serve, given.place, given.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = given.run
        if place is None:
            torch.manual_seed(0)
            blueprint = generate.Blueprint(given.networks, (3, given.resolution, given.resolution), 64, given.width, 1)
            place = Path(folder) / "generator.safetensors"
            Model(blueprint.generator(), blueprint).save(place)
            what = f"{given.networks}, {given.resolution}x{given.resolution}, width {given.width}"
        else:
            what = str(given.run)
        if given.requests:
            held = watch_memory(place, given.threads, given.clients[-1], given.requests)
            if given.json:
                given.json.write_text(json.dumps({"generator": what, "held": held}, indent=2))
            return
        results = []
        seeds = count()
        for _, clients, arm in product(range(given.rounds), given.clients, ARMS):
            with serving(arm, place, given.threads) as (port, process):
                results.append(measure(arm, port, process, clients, given.seconds, seeds))
    results = middle(results)
    tell(results, f"{what}, {given.threads} threads")
    if given.json:
        about = {
            "generator": what,
            "threads": given.threads,
            "torch": torch.__version__,
            "machine": platform.processor(),
        }
        given.json.write_text(json.dumps({**about, "results": [asdict(one) for one in results]}, indent=2))


if __name__ == "__main__":
    main()
