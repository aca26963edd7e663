#!/usr/bin/env bash
# transformers, generate(custom_generate=FUNCTION): which arguments of generate reach the function that replaces the decoding loop.
# Guess: all that a loop needs: model, input_ids, processors, stopping criteria, configuration, and also streamer and assistant_model; or a refusal of those.
# Happens: a function gets neither streamer nor assistant_model nor synced_gpus, and no warning or error says so: generate itself tells the streamer the
# prompt, and then nobody tells it a token or the end. generate's own loop serves the same streamer. So a loop of one's own looks right in every test of its tokens and serves no stream,
# and whoever waits for one waits. Processors, stopping criteria and configuration do arrive, and the tokens that it returns are returned.
# Version: transformers 5.23.0 (generation/utils.py, GenerationMixin.generate), torch 2.13.0. Seen by these calls.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 transformers==5.23.0 >pip.log 2>&1 || { cat pip.log; exit 2; }
cat > run.py <<'PY'
import sys, warnings
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation.streamers import BaseStreamer

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)

class Heard(BaseStreamer):
    """Remembers what it was told."""
    def __init__(self): self.told = []
    def put(self, value): self.told.append(tuple(value.flatten().tolist()))
    def end(self): self.told.append("end")

def tiny():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2))

def loop(model, input_ids, logits_processor, stopping_criteria, generation_config, **others):
    """A greedy loop that appends token 7 three times, and remembers what else it was given."""
    arrived.append(others)
    return torch.cat([input_ids, torch.full((len(input_ids), 3), 7)], 1)

arrived, model, prompt = [], tiny(), torch.tensor([[1, 2, 3]])
asked = dict(max_new_tokens=3, do_sample=False, pad_token_id=0, eos_token_id=None)
own = Heard()
model.generate(prompt, streamer=own, **asked)
check(own.told[0] == (1, 2, 3) and own.told[-1] == "end" and len(own.told) == 5, f"generate's own loop tells the streamer the prompt, {len(own.told) - 2} tokens and the end")
heard = Heard()
with warnings.catch_warnings():
    warnings.simplefilter("error")
    out = model.generate(prompt, streamer=heard, custom_generate=loop, **asked)
check(out.tolist() == [[1, 2, 3, 7, 7, 7]], f"what the function returns is returned: {out.tolist()}")
check("streamer" not in arrived[0] and heard.told == [(1, 2, 3)], f"the function gets no streamer, which is told the prompt, and neither a token nor the end; it got {sorted(arrived[0])}")
with warnings.catch_warnings():
    warnings.simplefilter("error")
    model.generate(prompt, assistant_model=tiny(), custom_generate=loop, **asked)
check("assistant_model" not in arrived[1], f"nor an assistant_model; it got {sorted(arrived[1])}")
PY
venv/bin/python run.py
