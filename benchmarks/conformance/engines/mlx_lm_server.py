"""`mlx_lm.server` on the CPU: python mlx_lm_server.py PORT, in the folder of `checkpoint`."""

import os
import sys

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

from mlx_lm.server import main

sys.argv = ["mlx_lm.server", "--model", "checkpoint", "--port", sys.argv[1], "--host", "127.0.0.1"]
main()
