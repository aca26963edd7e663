"""What the server counts, for Prometheus."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        counter, gauge = partial(Counter, registry=own), partial(Gauge, registry=own)
        seconds = partial(Histogram, registry=own, buckets=SECONDS)
        words = "Chat completion requests by the status of their answer; `disconnected` where the client left before it."
        self.requests = counter("sampling_requests", words, ["status"])
        self.tokens = counter(
            "sampling_tokens", "Tokens of prompts taken in, and of completions sampled.", ["kind"]
        )
        self.rows = gauge("sampling_rows", "Rows of the batch.")
        self.rows_running = gauge("sampling_rows_running", "Rows that decode a choice.")
        self.requests_running = gauge("sampling_requests_running", "Requests that decode.")
        words = "Requests that are checked, or wait for that."
        self.requests_entering = gauge("sampling_requests_entering", words)
        self.requests_waiting = gauge("sampling_requests_waiting", "Requests that wait for rows.")
        self.queue_seconds = seconds("sampling_queue_seconds", "Time that a request waited for rows.")
        words = "Time from a request's entry into the queue to its first token."
        self.first_token_seconds = seconds("sampling_time_to_first_token_seconds", words)
        words = "Time of a prompt's prefill, without the steps of others between its parts."
        self.prefill_seconds = seconds("sampling_prefill_seconds", words)
        self.step_seconds = seconds("sampling_step_seconds", "Time of one step of the whole batch.")
        for kind in ("prompt", "completion"):
            self.tokens.labels(kind)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
