"""Samplers of llama.cpp's C API (include/llama.h) in the library of the xllamacpp wheel, by the names that they have there."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_bool, c_float, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LLAMA_DEFAULT_SEED = 0xFFFFFFFF
__version__ = version("xllamacpp")


class llama_token_data(Structure):  # noqa: N801
    """A candidate."""

    _fields_ = (("id", c_int32), ("logit", c_float), ("p", c_float))


class llama_token_data_array(Structure):  # noqa: N801
    """Candidates."""

    _fields_ = (
        ("data", POINTER(llama_token_data)),
        ("size", c_size_t),
        ("selected", c_int64),
        ("sorted", c_bool),
    )


class llama_logit_bias(Structure):  # noqa: N801
    """A bias."""

    _fields_ = (("token", c_int32), ("bias", c_float))


class llama_sampler_chain_params(Structure):  # noqa: N801
    """Settings of a chain."""

    _fields_ = (("no_perf", c_bool),)


# By function what it takes and gives.
SIGNATURES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "llama_sampler_init_logit_bias": ((c_int32, c_int32, POINTER(llama_logit_bias)), c_void_p),
    "llama_sampler_init_penalties": ((c_int32, c_int32, c_float, c_float, c_float), c_void_p),
    "llama_sampler_init_top_k": ((c_int32,), c_void_p),
    "llama_sampler_init_top_p": ((c_float, c_size_t), c_void_p),
    "llama_sampler_init_min_p": ((c_float, c_size_t), c_void_p),
    "llama_sampler_init_temp": ((c_float,), c_void_p),
    "llama_sampler_init_dist": ((c_uint32,), c_void_p),
    "llama_sampler_chain_default_params": ((), llama_sampler_chain_params),
    "llama_sampler_chain_init": ((llama_sampler_chain_params,), c_void_p),
    "llama_sampler_chain_add": ((c_void_p, c_void_p), None),
    "llama_sampler_accept": ((c_void_p, c_int32), None),
    "llama_sampler_apply": ((c_void_p, POINTER(llama_token_data_array)), None),
    "llama_sampler_free": ((c_void_p,), None),
}


def library() -> ctypes.CDLL:
    """The library, its functions with their signatures.

    Raises:
        ImportError: The wheel is not installed.
    """
    found = find_spec("xllamacpp")
    if found is None or found.origin is None:
        raise ImportError("xllamacpp is not installed")
    loaded = ctypes.CDLL(str(next(Path(found.origin).parent.glob("*.so"))))
    for name, (takes, gives) in SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = takes, gives
    return loaded
