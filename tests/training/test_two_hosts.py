"""Two hosts, one of which dies: network namespaces with a cable between them, where the rights for it are there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.training.test_ranks import assignments

HOSTS = {f"sparring{os.getpid()}a": "10.77.83.1", f"sparring{os.getpid()}b": "10.77.83.2"}
PORT = 29400


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """The names of two hosts that reach each other and nothing else."""
    first, second = HOSTS
    try:
        ip("netns", "add", first)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("network namespaces cannot be made here")
    try:
        ip("netns", "add", second)
        ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        for name, address in HOSTS.items():
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield [first, second]
    finally:
        for name in HOSTS:
            kill(name)
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def kill(host: str) -> None:
    """All that runs on a host, at once."""
    listed = subprocess.run(["ip", "netns", "pids", host], check=False, capture_output=True, text=True).stdout
    for process in listed.split():
        os.kill(int(process), signal.SIGKILL)


def launch(host: str, run: Path) -> subprocess.Popen[str]:
    """The same torchrun on each host; either may go on alone when the other is gone."""
    address, endpoint = HOSTS[host], next(iter(HOSTS.values()))
    rendezvous = f"is_host={int(address == endpoint)},last_call_timeout=5,keep_alive_interval=1"
    command = [
        *("ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", "--nnodes", "1:2"),
        *("--nproc-per-node", "1", "--max-restarts", "3", "--rdzv-backend", "c10d", "--rdzv-id", "two-hosts"),
        *("--rdzv-endpoint", f"{endpoint}:{PORT}", "--rdzv-conf", rendezvous, "--local-addr", address),
        *("-m", "sparring", "train", "digits", "--out", str(run), "--images", "12800"),
        *assignments("save_seconds=0.1"),
    ]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "cable"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_host_dies_and_the_other_goes_on_from_the_last_checkpoint(tmp_path: Path, hosts: list[str]) -> None:
    run = tmp_path / "run"
    first, second = (launch(host, run) for host in hosts)
    assert first.stderr is not None
    told = []
    for line in first.stderr:  # ranks go by address, and the first one speaks
        told.append(line)
        if "quality after 1,280" in line:
            kill(hosts[1])
            break
    rest = first.stderr.read()
    assert first.wait() == 0, "".join(told) + rest
    assert second.wait() != 0
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["started", "resumed", "finished"], events
    assert "by 2 processes" in events[0]["message"]
    assert "by 2" not in events[1]["message"]
    assert events[1]["images"] >= 640
    assert events[2]["images"] == 12_800
    measured = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in measured if "quality" in line] == list(range(640, 12_801, 640))
