"""Trains the toy and writes its checkpoint: `python -m sampling.toy.train --out DIR`.

One pass over dialogues that corpus.py writes, AdamW with a schedule of three straight lines, the loss on what
the assistant says. On one machine with one version of torch and one number of threads the same seed gives the
same weights; elsewhere sums of floats may differ in their last bits, and so may the weights.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.toy.corpus import dialogues, digest
from sampling.toy.evaluate import evaluate, pad
from sampling.toy.messages import Dialogue
from sampling.toy.tokenizer import BOS, END_OF_TEXT, EOT, PAD, build_tokenizer, encode_dialogues, token_id

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

METHOD = (
    "LlamaForCausalLM of transformers from random weights, the last norm at final_norm; AdamW in float32; the "
    "learning rate rises in a line over the warm-up's share of the steps, stays, and falls to zero in a line "
    "over the decay's share; cross-entropy on the tokens that the assistant says, the end of the turn included; "
    "every dialogue is seen once."
)

DATA = (
    "Dialogues in English that sampling.toy.corpus writes from templates: capitals of countries in many "
    "phrasings, the reverse, the same in JSON or in one word, open questions, lists, stories, greetings."
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights."""

    seed: int = 1
    dialogues: int = 160_000
    tokenizer_dialogues: int = 20_000
    vocabulary: int = 2048
    context: int = 512
    hidden: int = 128
    mlp: int = 352
    layers: int = 5
    heads: int = 4
    key_value_heads: int = 2
    final_norm: float = 2.5
    batch: int = 64
    learning_rate: float = 3e-3
    warmup: float = 0.03
    decay: float = 0.5
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    double_bos: float = 0.05
    threads: int = 2

    def __post_init__(self) -> None:
        for name in ("dialogues", "tokenizer_dialogues", "threads"):
            if getattr(self, name) < 1:
                raise InvalidArgument(name, getattr(self, name), "at least 1")


def train(recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train the toy by a recipe, and write checkpoint and record; return the record, as training.json holds it."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    corpus = dialogues(recipe.dialogues, seed=recipe.seed)
    tokenizer = build_tokenizer(
        corpus[: recipe.tokenizer_dialogues], vocabulary=recipe.vocabulary, context=recipe.context
    )
    model = build_model(recipe, tokenizer)
    started = time.perf_counter()
    losses = fit(model, _with_double_bos(encode_dialogues(tokenizer, corpus), recipe), recipe)
    seconds = time.perf_counter() - started
    model.eval()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {
        "method": METHOD,
        "recipe": asdict(recipe),
        "data": _describe(corpus, tokenizer),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": len(losses),
        "training_seconds": round(seconds, 1),
        "loss_of_last_100_steps": fmean(losses[-100:]),
        "versions": _versions(),
        "evaluation": evaluate(model, tokenizer),
    }
    (out / "training.json").write_text(
        json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return record


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama with random weights, in float32.

    Its last norm starts larger than one: it scales the logits, and a right answer is all but certain only where
    the gaps between logits are wide.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    ends = [token_id(tokenizer, token) for token in (END_OF_TEXT, EOT)]
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.mlp,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        max_position_embeddings=recipe.context,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=token_id(tokenizer, BOS),
        eos_token_id=ends,
        pad_token_id=token_id(tokenizer, PAD),
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.constant_(model.model.norm.weight, recipe.final_norm)
    return model


def fit(
    model: LlamaForCausalLM, encoded: Sequence[tuple[list[int], list[bool]]], recipe: Recipe
) -> list[float]:
    """Trains on every dialogue once, and returns the loss of every step, in nats per token."""
    from tqdm.auto import tqdm

    optimizer = _optimizer(model, recipe)
    batches = list(_batches(encoded, recipe))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / len(batches), recipe))
    losses: list[float] = []
    for batch in (progress := tqdm(batches, unit="step")):
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
    return losses


def _loss(model: LlamaForCausalLM, batch: Sequence[tuple[list[int], list[bool]]]) -> Tensor:
    """Return the mean cross-entropy of the tokens that the assistant says."""
    ids = pad([row for row, _ in batch])  # [B, T]
    spoken = pad([flags for _, flags in batch])[:, 1:].bool()  # [B, T - 1]
    hidden = model.model(ids[:, :-1], use_cache=False).last_hidden_state[spoken]
    return F.cross_entropy(model.lm_head(hidden), ids[:, 1:][spoken])


def _optimizer(model: LlamaForCausalLM, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    norms = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )


def _rate(progress: float, recipe: Recipe) -> float:
    """Return the learning rate's factor: up in a line, level, and down to zero in a line."""
    return min(1.0, progress / recipe.warmup, (1 - progress) / recipe.decay)


def _batches(
    encoded: Sequence[tuple[list[int], list[bool]]], recipe: Recipe
) -> Iterator[Sequence[tuple[list[int], list[bool]]]]:
    """Batches of dialogues of like length: windows of the corpus, sorted inside and dealt out shuffled."""
    rng = Random(recipe.seed)
    window = 64 * recipe.batch
    for start in range(0, len(encoded), window):
        rows = sorted(encoded[start : start + window], key=lambda row: len(row[0]))
        cuts = [rows[i : i + recipe.batch] for i in range(0, len(rows), recipe.batch)]
        yield from sorted(cuts, key=lambda _: rng.random())


def _with_double_bos(
    encoded: Sequence[tuple[list[int], list[bool]]], recipe: Recipe
) -> list[tuple[list[int], list[bool]]]:
    """Return rows of which some begin with two BOS, as engines that tokenise a rendered template once more make them."""
    rng = Random(recipe.seed)
    return [
        ([ids[0], *ids], [False, *spoken]) if rng.random() < recipe.double_bos else (ids, spoken)
        for ids, spoken in encoded
    ]


def _describe(corpus: Sequence[Dialogue], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    encoded = encode_dialogues(tokenizer, corpus)
    return {
        "description": DATA,
        "sha256": digest(corpus),
        "dialogues": len(corpus),
        "tokens": sum(len(ids) for ids, _ in encoded),
        "tokens_with_loss": sum(sum(spoken) for _, spoken in encoded),
        "longest_dialogue_tokens": max(len(ids) for ids, _ in encoded),
    }


def _versions() -> dict[str, str]:
    import tokenizers
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
    }


def main() -> None:
    """Trains the toy model and writes its checkpoint in Hugging Face format."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--dialogues", type=int, default=Recipe.dialogues, help="how many to learn from")
    parser.add_argument("--threads", type=int, default=Recipe.threads)
    given = parser.parse_args()
    try:
        recipe = Recipe(seed=given.seed, dialogues=given.dialogues, threads=given.threads)
    except InvalidArgument as error:
        parser.error(str(error))
    record = train(recipe, given.out)
    print(json.dumps(record["evaluation"], indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
