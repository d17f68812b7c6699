"""What `/metrics` tells Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 24, 32)


class Counts:
    """Requests, how long they took, what waits, and how full batches are; of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sparring_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "sparring_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "sparring_batch_pictures",
            "Pictures that went through a generator at once.",
            buckets=SIZES,
            registry=self.registry,
        )
        self.queue = Gauge(
            "sparring_queue_samples", "Samples that wait before all models together.", registry=self.registry
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def waiting(self, count: Callable[[], int]) -> None:
        """Says where the length of the queue comes from."""
        self.queue.set_function(lambda: float(count()))

    def text(self) -> bytes:
        """All of it, in the format of Prometheus."""
        return generate_latest(self.registry)
