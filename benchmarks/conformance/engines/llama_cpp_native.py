"""llama.cpp's own server, from xllamacpp: python llama_cpp_native.py PORT, in the folder of `checkpoint.gguf`."""

import sys
import threading

import xllamacpp

SLOTS, CONTEXT = 4, 512  # requests at a time, tokens of each

settings = xllamacpp.CommonParams()
settings.model.path, settings.model_alias = "checkpoint.gguf", {"checkpoint"}
settings.hostnames, settings.port = ["127.0.0.1"], int(sys.argv[1])
settings.n_parallel, settings.n_ctx = SLOTS, SLOTS * CONTEXT
settings.cpuparams.n_threads, settings.warmup = 1, False
server = xllamacpp.Server(settings)
threading.Event().wait()
