"""vLLM's OpenAI server on one CPU: python vllm_server.py PORT [its own arguments], in the folder of `checkpoint`."""

import os
import runpy
import sys

SMALL = ["--max-model-len", "512", "--max-num-seqs", "16", "--dtype", "float32", "--enforce-eager"]

if __name__ == "__main__":
    os.environ |= {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    sys.argv = ["api_server", "--model", "checkpoint", "--host", "127.0.0.1", "--port", *sys.argv[1:], *SMALL]
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
