#!/usr/bin/env bash
# langchain-openai 1.7.4 and litellm 1.110.2: a stream of n = 2 choices, as OpenAI's API defines it (chunks of both, told apart by `index`).
# Guess: a client that takes n = 2 keeps the choices of a stream apart, or refuses the two together.
# Happens: ChatOpenAI(n=2).stream writes both choices into one message, token by token: "one two three" and "uno dos tres" come out as
#        "one uno two dos three tres", and their finish reasons "stop" and "length" as "stoplength"; without streaming only the first choice comes back. litellm keeps
#        the texts apart but drops every last chunk except the first: choice 1, which ended by "length", never ends in its stream, and its
#        stream_chunk_builder reports "stop" for it. So a server is blamed for garbled text or for truncation that nobody was told of.
# Version: langchain-openai 1.7.4, litellm 1.110.2, openai 3.57.0. Source: these runs against a made-up server of this script.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in langchain-openai==1.7.4 litellm==1.110.2; do
  python3 -m venv "${name%%=*}"
  "${name%%=*}/bin/pip" install --quiet --disable-pip-version-check "$name" openai==3.57.0
done
cat > server.py <<'PY'
"""Answers every stream with two choices whose chunks take turns."""
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXTS, ENDS = ("one two three", "uno dos tres"), ("stop", "length")
HEAD = {"id": "c", "created": 1, "model": "m"}

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            chunks = [(i, {"role": "assistant", "content": ""}, None) for i in (0, 1)]
            chunks += [(i, {"content": TEXTS[i].split()[place] + " "}, None) for place in range(3) for i in (0, 1)]
            chunks += [(i, {}, ENDS[i]) for i in (0, 1)]
            events = [json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [{"index": i, "delta": d, "finish_reason": e}]})
                      for i, d, e in chunks]
            body, kind = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]), "text/event-stream"
        else:
            choices = [{"index": i, "message": {"role": "assistant", "content": TEXTS[i]}, "finish_reason": ENDS[i]} for i in (0, 1)]
            usage = {"prompt_tokens": 1, "completion_tokens": 6, "total_tokens": 7}
            body, kind = json.dumps({**HEAD, "object": "chat.completion", "choices": choices, "usage": usage}), "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"

def check(claim, holds, seen):
    print(("as stated: " if holds else "CHANGED: ") + claim, "| seen:", seen)
    if not holds:
        sys.exit("the behaviour has changed: " + claim)
PY
cat > lang.py <<'PY'
from importlib.metadata import version
from server import *
from langchain_openai import ChatOpenAI

print("langchain-openai", version("langchain-openai"))
model = ChatOpenAI(model="m", base_url=address(), api_key="none", n=2)
chunks = list(model.stream("x"))
text = "".join(chunk.content for chunk in chunks)
check("both choices in one text", text == "one uno two dos three tres ", text)
whole = sum(chunks[1:], start=chunks[0])
check("their finish reasons in one word", whole.response_metadata["finish_reason"] == "stoplength", whole.response_metadata)
single = model.invoke("x").content
check("without a stream the first choice alone", single == "one two three", single)
PY
cat > lite.py <<'PY'
from importlib.metadata import version
from server import *
import litellm

print("litellm", version("litellm"))
stream = litellm.completion(model="openai/m", api_base=address(), api_key="none", messages=[{"role": "user", "content": "x"}], n=2, stream=True)
chunks = list(stream)
parts = [(chunk.choices[0].index, chunk.choices[0].delta.content, chunk.choices[0].finish_reason) for chunk in chunks]
texts = ["".join(text or "" for index, text, _ in parts if index == i) for i in (0, 1)]
check("the texts are kept apart", texts == ["one two three ", "uno dos tres "], texts)
ends = [(index, end) for index, _, end in parts if end]
check("one end for two choices", ends == [(0, "stop")], ends)
built = [(choice.index, choice.finish_reason) for choice in litellm.stream_chunk_builder(chunks).choices]
check("the built response says stop for the choice that length ended", built == [(0, "stop"), (1, "stop")], built)
PY
langchain-openai/bin/python lang.py
LITELLM_LOCAL_MODEL_COST_MAP=True litellm/bin/python lite.py 2> errors.txt || { cat errors.txt; exit 1; }
