"""Importing this turns pinned memory off in vLLM: where it does not know the platform it is on, and fails without a GPU."""

import vllm.utils.torch_utils

vllm.utils.torch_utils.PIN_MEMORY = False
