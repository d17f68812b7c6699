"""The processes that train together, each with a part of every batch: what they tell each other.

`torchrun` starts them, says who is who by environment variables, and starts them anew when one dies. Players stay bare
modules: a step goes through the discriminator several times and differentiates it twice, which wrappers that watch a
single backward pass do not see. Instead each update brings the gradients to their mean once, all in one message.

Numbers of the clock and decisions go by the CPU (gloo), so that no GPU waits for them.
"""

import importlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor

from sparring.errors import RunError, SettingError, SparringError

if TYPE_CHECKING:  # there are builds of torch without it
    from torch.distributed import ProcessGroup, Store  # type: ignore[attr-defined]

T = TypeVar("T")

SILENCE = timedelta(minutes=10)
"""How long a rank that went away unseen, with its host, may keep the others waiting."""

HEARTBEAT = timedelta(seconds=1)
"""How long a process waits for an answer before it asks again."""

PREPARATION = timedelta(hours=12)
"""How long pictures may take to be decoded by one rank of a host, while the others wait."""


@dataclass(frozen=True)
class Ranks:
    """This process is number `rank` of `count`; on its host it is number `local_rank`.

    groups: those of `talk` and `preparation`; empty for a process by itself, and once the ranks have parted.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    groups: "list[ProcessGroup]" = field(default_factory=list)

    @property
    def talk(self) -> "ProcessGroup | None":
        """The way of the numbers of the clock, and of decisions."""
        return self.groups[0] if self.groups else None

    @property
    def preparation(self) -> "ProcessGroup | None":
        """The way of those that wait for one that prepares the data."""
        return self.groups[1] if self.groups else None

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes and speaks."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Brings float tensors to their mean over all ranks, in place, in one message."""
        if self.count == 1 or not tensors:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])
        with lost_ranks():
            dist.all_reduce(together)
        together /= self.count
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over all ranks."""
        if self.count == 1:
            return numbers
        together = torch.tensor(numbers, dtype=torch.float64)
        with lost_ranks():
            dist.all_reduce(together, dist.ReduceOp.MAX, self.talk)
        return tuple(together.tolist())

    def told(self, value: Any) -> Any:
        """What the first rank has for `value`."""
        if self.count == 1:
            return value
        values = [value]
        with lost_ranks():
            dist.broadcast_object_list(values, 0, self.talk)
        return values[0]

    def first_does(self, work: Callable[[], T]) -> T:
        """What `work` gives on the first rank, on all.

        Raises: what it raises, on the first rank; the others end without a word, for it is said once then.
        """
        made: list[T] = []
        refusal: SparringError | None = None
        if self.first:
            try:
                made.append(work())
            except SparringError as error:
                refusal = error
        found: list[T] = self.told(made)
        if refusal:
            raise refusal
        if not found:
            sys.exit(1)
        return found[0]

    def gathered(self, mine: Any) -> list[Any]:
        """What each rank has, in order."""
        if self.count == 1:
            return [mine]
        everyone: list[Any] = [None] * self.count
        with lost_ranks():
            dist.all_gather_object(everyone, mine, self.talk)
        return everyone

    def in_turn(self, total: int, size: int, work: Callable[[int, int], T]) -> list[T]:
        """What `work(start, stop)` gives for all chunks of `size` of `total` things, in order, on all ranks.

        They take chunks in turn, the same as one alone goes by, so that the numbers are the same.
        """
        starts = range(self.rank * size, total, self.count * size)
        everyone = self.gathered([work(start, min(start + size, total)) for start in starts])
        return [everyone[number % self.count][number // self.count] for number in range(-(-total // size))]

    def agree(self, value: Any, what: str) -> None:
        """Makes sure that all ranks see the same.

        Raises: RunError on all of them if they do not; `what` names it.
        """
        if any(other != value for other in self.gathered(value)):
            raise RunError(f"the processes see different things in {what}: it must be the same on all hosts")

    def part(self, total: int) -> int:
        """This rank's part of `total` samples of a batch.

        Raises: SettingError if they cannot be shared out evenly.
        """
        if total % self.count:
            fewer = total // self.count * self.count
            raise SettingError(
                f"batch={total} cannot be shared out evenly among {self.count} processes: give --set batch="
                f"{fewer + self.count}{f' or {fewer}' if fewer else ''}"
            )
        return total // self.count

    def wait(self, group: "ProcessGroup | None" = None) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            with lost_ranks():
                dist.barrier(group or self.talk)

    @contextmanager
    def one_a_host_first(self) -> Iterator[None]:
        """One process of each host goes through this first; the others then find what it left on disk.

        All leave together, for what comes next waits less long for those that are behind.
        """
        if self.local_rank > 0:
            self.wait(self.preparation)
        yield
        if self.local_rank == 0:
            self.wait(self.preparation)
        self.wait(self.preparation)


ALONE = Ranks()


def launch() -> str:
    """A name that a process has in common with those that the same `torchrun` restarts in its place; empty without it.

    That is its `--rdzv-id`, or else the parent of this process, which outlives it.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{socket.gethostname()}:{os.getppid()}" if name == "none" else name


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks that `torchrun` started, connected; or this process alone.

    On a machine with GPUs each rank has the one of its number. Raises: SettingError if there are too few of them, or if
    the variables of `torchrun` are there in part.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or dist.is_initialized():
        yield ALONE
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SettingError(
            f"the variable WORLD_SIZE says that {count} processes train together, but there is no "
            f"{' and no '.join(missing)}: start them by torchrun, or unset WORLD_SIZE"
        )
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if cuda:
        if local_rank >= torch.cuda.device_count():
            raise SettingError(
                f"process {local_rank} of this host has no GPU: there are {torch.cuda.device_count()}; "
                "give torchrun a --nproc-per-node of at most that"
            )
        torch.cuda.set_device(local_rank)
    # Imported later, as optimisers do, its functions would keep the group of then as a default for good.
    importlib.import_module("torch.distributed.nn")
    with lost_ranks():
        store, _, _ = next(dist.rendezvous("env://", timeout=SILENCE))  # type: ignore[attr-defined]
        store = dist.PrefixStore(attempt(store, rank, count), store)  # type: ignore[attr-defined]
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=SILENCE)
        groups = [dist.new_group(backend="gloo", timeout=timeout) for timeout in (SILENCE, PREPARATION)]
        ranks = Ranks(rank, count, local_rank, groups)
    try:
        yield ranks
        ranks.wait()  # the first may still be writing what the others read next
    finally:
        dist.destroy_process_group()
        # The threads of a group end when nothing refers to it. Those that live when the interpreter ends can end the
        # process by an abort, and with it the whole launch (https://github.com/pytorch/pytorch/issues/190489).
        groups.clear()


def attempt(store: "Store", rank: int, count: int) -> str:
    """A name that just these processes have in common, not those that died before them.

    torchrun keeps one store through all restarts, and processes that take the addresses of dead ones from it never meet
    (https://github.com/pytorch/pytorch/issues/135712). So the first names the attempt, and each other shows by a word
    of its own, which the first gives back, that both are alive.
    """
    word = uuid4().hex
    if rank == 0:
        store.set("attempt", word)
        for other in range(1, count):
            answer = store.get(f"{word}/{other}").decode()
            store.set(f"{word}/{other}/{answer}", "")
        return word
    began = time.monotonic()
    while time.monotonic() - began < SILENCE.total_seconds():
        name: str = store.get("attempt").decode()
        store.set(f"{name}/{rank}", word)
        with suppress(dist.DistStoreError):
            store.wait([f"{name}/{rank}/{word}"], HEARTBEAT)
            return name
    raise RuntimeError("the first process does not answer")


@contextmanager
def lost_ranks() -> Iterator[None]:
    """Says in a sentence that another process went away; torch has a dozen kinds of errors for it."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"another process of this run is gone, or cannot be reached ({str(error).splitlines()[0]}); its own "
            "message says why. `torchrun --max-restarts` goes on from the last checkpoint by itself, `sparring resume` "
            "by hand"
        ) from None
