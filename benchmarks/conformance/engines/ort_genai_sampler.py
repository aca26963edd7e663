"""onnxruntime-genai's sampler on the CPU, with logits that are handed to it in the place of a model's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime_genai as genai
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.conformance.engines.adapter import Adapter, Seeds, known

FIELDS = ("temperature", "top_k", "top_p", "repetition_penalty")
PACKAGE = "onnxruntime-genai"
LONGEST = 512


class OrtGenaiSampler(Adapter):
    """A generator for each seed and position; it is told what was sampled before, and draws one token."""

    name = "onnxruntime-genai sampler"
    version = version(PACKAGE)
    dialect = "transformers"
    through = (
        "Generator.set_logits and generate_next_token, do_sample on, batches of one; the model behind it says nothing and its "
        "end token is the last id; top_k 0 and top_p 1.0 where a request has none; behind the first position the adapter "
        "hashes seed and position into random_seed"
    )

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """A token for each seed."""
        options = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, **known(params, FIELDS)}
        model = silent(len(logits))
        return [drawn(model, logits, options, prompt_ids, output_ids, seed) for seed in seeds]


def drawn(
    model: Any,
    logits: NDArray[np.float32],
    options: Mapping[str, Any],
    prompt_ids: Sequence[int],
    output_ids: Sequence[int],
    seed: int | None,
) -> int:
    """The token behind a prompt and what was sampled."""
    position = len(output_ids)
    if seed is not None and position:
        seed = int(np.random.SeedSequence((seed, position)).generate_state(1)[0] >> 1)
    parameters = genai.GeneratorParams(model)
    seeded = {} if seed is None else {"random_seed": seed}
    parameters.set_search_options(max_length=LONGEST, do_sample=True, **options, **seeded)
    generator = genai.Generator(model, parameters)
    generator.append_tokens(np.array([[*prompt_ids, *output_ids] or [0]], np.int32))  # one at least
    generator.set_logits(logits[None, None])
    generator.generate_next_token()
    return int(generator.get_next_tokens()[0])


@cache
def silent(width: int) -> Any:
    """A decoder of some vocabulary whose logits are all 0, with the cache that the engine wants to see."""
    folder = Path(tempfile.mkdtemp())
    onnx.save(graph(width), str(folder / "model.onnx"))
    (folder / "genai_config.json").write_text(json.dumps(config(width)))
    return genai.Model(str(folder))


def cached(kind: str) -> list[str]:
    """The names of the cache's tensors."""
    return [f"{kind}.0.{part}" for part in ("key", "value")]


def graph(width: int) -> Any:
    """The decoder in ONNX."""
    node, info = helper.make_node, helper.make_tensor_value_info
    past, present = cached("past_key_values"), cached("present")
    nodes = [
        node("Mul", ["input_ids", "nought"], ["state"]),
        node("Gather", ["table", "state"], ["logits"]),
        node("Shape", ["input_ids"], ["shape"]),
        node("Split", ["shape"], ["rows", "columns"], axis=0),
        node("Concat", ["rows", "one", "columns", "one"], ["wide"], axis=0),
        node("ConstantOfShape", ["wide"], ["added"]),
        *(node("Concat", [old, "added"], [new], axis=2) for old, new in zip(past, present, strict=True)),
    ]

    def caches(names: Iterable[str], length: str) -> list[Any]:
        return [info(name, TensorProto.FLOAT, ["b", 1, length, 1]) for name in names]

    made = helper.make_graph(
        nodes,
        "silent",
        [
            info("input_ids", TensorProto.INT64, ["b", "s"]),
            info("attention_mask", TensorProto.INT64, ["b", "t"]),
            *caches(past, "p"),
        ],
        [info("logits", TensorProto.FLOAT, ["b", "s", width]), *caches(present, "t")],
        [
            numpy_helper.from_array(np.zeros((1, width), np.float32), "table"),
            numpy_helper.from_array(np.array(0), "nought"),
            numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def config(width: int) -> dict[str, Any]:
    """What genai_config.json says of it."""
    names = {
        kind: {f"{kind}_{part}_names": f"{tensor}.%d.{part}" for part in ("key", "value")}
        for kind, tensor in (("past", "past_key_values"), ("present", "present"))
    }
    decoder = {
        "session_options": {"provider_options": []},
        "filename": "model.onnx",
        "head_size": 1,
        "hidden_size": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "num_hidden_layers": 1,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **names["past"]},
        "outputs": {"logits": "logits", **names["present"]},
    }
    ends = {"bos_token_id": 0, "eos_token_id": [width - 1], "pad_token_id": width - 1}
    model = {"type": "llama", **ends, "context_length": LONGEST, "vocab_size": width, "decoder": decoder}
    return {"model": model, "search": {"past_present_share_buffer": False}}
