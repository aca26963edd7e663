#!/usr/bin/env bash
# transformers 5.23.0 (tokenizers 0.23.3), AutoTokenizer on a directory with a tokenizer.json.
# Guess: a fast tokenizer is what its tokenizer.json says; tokenizer_class in tokenizer_config.json chooses a Python class around it.
# Happens: for some classes (GPT2, GPTNeoX, Roberta, CodeGen, Whisper) the pre-tokenizer is built anew from the class, and the file's is dropped without
#        a word: where the file splits digits (Digits + ByteLevel, in many small Llamas that name GPT2Tokenizer), "12" is one token instead
#        of two, so that the model reads ids that it was not trained on. Qwen2 gets the class's own split, too, whose ids differ on other texts. With LlamaTokenizerFast
#        a warning is written and the file is used; with PreTrainedTokenizerFast, Bloom or no class the file is used.
# Version: transformers 5.23.0, tokenizers 0.23.3. Source: these runs; tokenizers.Tokenizer.from_file gives the file's own ids.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
cat > probe.py <<'PY'
import json, sys, tempfile
import tokenizers, transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

def check(claim, holds, seen):
    print(("as stated: " if holds else "CHANGED: ") + claim, "| seen:", seen)
    if not holds:
        sys.exit("the behaviour has changed: " + claim)

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {letter: place for place, letter in enumerate(letters)} | {"12": 256, "\u0120a": 257, "ab": 258, "abc": 259}
file = Tokenizer(models.BPE(vocab=vocabulary, merges=[("1", "2"), ("\u0120", "a"), ("a", "b"), ("ab", "c")]))
file.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
file.decoder = decoders.ByteLevel()

def loaded(name):
    """The tokenizer that AutoTokenizer makes of the file with a class of this name."""
    with tempfile.TemporaryDirectory() as folder:
        file.save(folder + "/tokenizer.json")
        named = {"tokenizer_class": name} if name else {}
        for part, content in (("config", {"model_type": "llama"}), ("tokenizer_config", named)):
            with open(f"{folder}/{part}.json", "w") as out:
                json.dump(content, out)
        return transformers.AutoTokenizer.from_pretrained(folder)

print("transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
text = "abc12 a"
right = file.encode(text).ids
check("the file's own ids: the digits apart", right[-3:] == [vocabulary["1"], vocabulary["2"], 257], right)
for name in ("GPT2Tokenizer", "GPT2TokenizerFast", "GPTNeoXTokenizerFast", "RobertaTokenizerFast", "CodeGenTokenizerFast", "WhisperTokenizerFast"):
    got = loaded(name)
    ids, first = got(text, add_special_tokens=False)["input_ids"], str(got.backend_tokenizer.pre_tokenizer)
    check(f"{name}: the digits are one token, Digits is gone", 256 in ids and "Digits" not in first, ids)
for name in (None, "PreTrainedTokenizerFast", "BloomTokenizerFast", "LlamaTokenizerFast"):
    ids = loaded(name)(text, add_special_tokens=False)["input_ids"]
    check(f"{name}: the file's ids", ids == right, ids)
qwen = str(loaded("Qwen2TokenizerFast").backend_tokenizer.pre_tokenizer)
check("Qwen2TokenizerFast: a split of its own in place of Digits", "Split" in qwen and "Digits" not in qwen, qwen[:40])
PY
HF_HUB_OFFLINE=1 venv/bin/python probe.py 2> errors.txt || { cat errors.txt; exit 1; }
