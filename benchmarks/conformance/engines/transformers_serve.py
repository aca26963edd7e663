"""`transformers serve` on the CPU: python transformers_serve.py PORT, in the folder of `checkpoint`.

Its requests cannot turn sampling on: what the checkpoint's generation_config.json says about `do_sample` decides (transformers
5.23, cli/serving/utils.py, _build_generation_config).
"""

import os
import sys

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

from transformers.cli.transformers import main

sys.argv = ["transformers", "serve", "checkpoint", "--port", sys.argv[1], "--host", "127.0.0.1"]
sys.argv += ["--device", "cpu", "--dtype", "float32"]
main()
