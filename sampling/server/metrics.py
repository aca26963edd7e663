"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "sampling_requests",
            "Chat completion requests by the status of their answer; `disconnected` where the client left before it.",
            ["status"],
            registry=own,
        )
        self.tokens = Counter(
            "sampling_tokens",
            "Tokens of prompts taken in, and of completions sampled.",
            ["kind"],
            registry=own,
        )
        self.rows = Gauge("sampling_rows", "Rows of the batch.", registry=own)
        self.rows_running = Gauge("sampling_rows_running", "Rows that decode a choice.", registry=own)
        self.requests_running = Gauge("sampling_requests_running", "Requests that decode.", registry=own)
        self.requests_entering = Gauge(
            "sampling_requests_entering", "Requests that are checked, or wait for that.", registry=own
        )
        self.requests_waiting = Gauge(
            "sampling_requests_waiting", "Requests that wait for rows.", registry=own
        )
        self.queue_seconds = Histogram(
            "sampling_queue_seconds", "Time that a request waited for rows.", buckets=SECONDS, registry=own
        )
        self.first_token_seconds = Histogram(
            "sampling_time_to_first_token_seconds",
            "Time from a request's entry into the queue to its first token.",
            buckets=SECONDS,
            registry=own,
        )
        self.prefill_seconds = Histogram(
            "sampling_prefill_seconds",
            "Time of a prompt's prefill, without the steps of others between its parts.",
            buckets=SECONDS,
            registry=own,
        )
        self.step_seconds = Histogram(
            "sampling_step_seconds", "Time of one step of the whole batch.", buckets=SECONDS, registry=own
        )
        for kind in ("prompt", "completion"):
            self.tokens.labels(kind)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
