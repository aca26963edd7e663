#!/usr/bin/env bash
# tokenizers 0.23.3, Tokenizer.from_file: the ids in the section added_tokens of a tokenizer.json.
# Guess: an entry {"id": 300, "content": "<end>"} gives that token the id 300, or the file is refused.
# Happens: the id is read only where the model's vocabulary has the content, too (and then it is the vocabulary's id that counts, not the
#        entry's). Elsewhere the library numbers the token itself, from the size of the vocabulary on, in the order of the file: a file
#        with a gap between vocabulary and added tokens, as padded or pruned vocabularies have it, loads without a word, and its
#        end token has another id than the file and the model say. Two words of one id load, too: both encode to it, and one of them decodes.
# Version: tokenizers 0.23.3. Source: these runs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tokenizers==0.23.3
cat > probe.py <<'PY'
import json, sys
import tokenizers
from tokenizers import Tokenizer

def check(claim, holds, seen):
    print(("as stated: " if holds else "CHANGED: ") + claim, "| seen:", seen)
    if not holds:
        sys.exit("the behaviour has changed: " + claim)

def read(vocabulary, **added):
    """The tokenizer of a file with this vocabulary (a word each) and these added tokens: their ids by name."""
    entries = [{"id": index, "content": f"<{name}>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
               for name, index in added.items()]
    file = {"version": "1.0", "added_tokens": entries, "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
            "decoder": None, "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "a"}}
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    return Tokenizer.from_file("tokenizer.json")

print("tokenizers", tokenizers.__version__)
words = {"a": 0, "b": 1, "c": 2}
gap = read(words, end=300)
check("an added token under 300 gets the first id behind the vocabulary", gap.token_to_id("<end>") == 3 and gap.id_to_token(300) is None, gap.token_to_id("<end>"))
ids = gap.encode("a b<end>").ids
check("and is encoded so", ids == [0, 1, 3], ids)
for order in (("begin", "end"), ("end", "begin")):
    two = read(words, **{name: {"begin": 299, "end": 300}[name] for name in order})
    numbers = [two.token_to_id(f"<{name}>") for name in order]
    check(f"{order[0]} before {order[1]} in the file: numbered so, whatever their ids", numbers == [3, 4], numbers)
both = read({**words, "<end>": 7}, end=300)
check("where the vocabulary has the token, the vocabulary's id counts", both.token_to_id("<end>") == 7, both.token_to_id("<end>"))
same = read({"a": 0, "b": 1, "c": 1})
check("two words of one id are taken", same.encode("b c").ids == [1, 1] and same.id_to_token(1) in ("b", "c"), (same.encode("b c").ids, same.id_to_token(1)))
PY
venv/bin/python probe.py
