"""Which part of the records a process takes, and how processes tell each other what they found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """A process among some that replay the same trace.

    Args:
        rank: Its place among them, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def of_group() -> Shard:
        """Return this process's place in the group that torchrun has started, joined over gloo."""
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo")
        return Shard(dist.get_rank(), dist.get_world_size())

    def gather(self, own: T) -> list[T]:
        """Return what each process gives, in the order of their ranks."""
        import torch.distributed as dist

        found: list[T | None] = [None] * self.count
        dist.all_gather_object(found, own)
        return cast("list[T]", found)
