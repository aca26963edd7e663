"""`transformers serve` on the built-in checkpoint: python -m engines.transformers_serve PORT.

Its requests can not turn sampling on: what the checkpoint's generation_config.json says about `do_sample` decides (transformers
5.23, cli/serving/utils.py, _build_generation_config). The built-in one says nothing, which means arg max whatever the
temperature; so a copy of it that says true is served, as instruction-tuned checkpoints do.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from transformers.cli.transformers import main

from sampling.toy import CHECKPOINT

NAME = "checkpoint"  # requests name the model as the command line does

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(CHECKPOINT, Path(folder, NAME))
        settings = json.loads((copy / "generation_config.json").read_text())
        (copy / "generation_config.json").write_text(json.dumps({**settings, "do_sample": True}))
        os.chdir(folder)
        sys.argv = ["transformers", "serve", NAME, "--port", sys.argv[1], "--host", "127.0.0.1"]
        sys.argv += ["--device", "cpu", "--dtype", "float32"]
        main()
