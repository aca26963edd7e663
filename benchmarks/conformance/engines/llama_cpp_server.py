"""llama-cpp-python's server on the built-in checkpoint as a GGUF file.

python -m benchmarks.conformance.engines.llama_cpp_server PORT
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from llama_cpp.server.__main__ import main

from benchmarks.conformance.engines.gguf_checkpoint import write_with_vocabulary
from sampling import load

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "toy.gguf")
        write_with_vocabulary(load(None), file)
        sys.argv = ["server", "--model", str(file), "--model_alias", "toy", "--port", sys.argv[1]]
        sys.argv += ["--n_ctx", "512", "--logits_all", "true", "--verbose", "false"]
        main()
