#!/usr/bin/env bash
# environments.sh FOLDER: an environment with pinned packages for the engines of each rule of the draw, FOLDER/NAME.
set -euo pipefail
folder=$1; shift
conformance=$(cd "$(dirname "$0")" && pwd)/../conformance/engines/environments.sh
bash "$conformance" "$folder" vllm transformers-serve

python3 -m venv "$folder/llama.cpp"
"$folder/llama.cpp/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 xllamacpp==2026.10.11549

python3 -m venv "$folder/ctranslate2"
"$folder/ctranslate2/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 ctranslate2==4.8.5

python3 -m venv "$folder/mlx"
"$folder/mlx/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 "mlx[cpu]==0.32.4" mlx-lm==0.32.2 transformers==5.23.0

python3 -m venv "$folder/jax"
"$folder/jax/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 jax==0.10.0 jaxlib==0.10.0

# Of two engines that need a GPU, the files that draw; Triton's interpreter runs their kernels.
python3 -m venv "$folder/triton"
pip=$folder/triton/bin/pip
"$pip" install --quiet torch==2.13.0 numpy==2.4.6
"$pip" install --quiet --no-deps triton==3.9.0
"$pip" download --quiet --no-deps --dest "$folder/triton/wheels" vllm==0.33.0 sglang==0.5.23
"$folder/triton/bin/python" - "$folder/triton" <<'PY'
import pathlib, sys, zipfile
FILES = """vllm/v1/engine/parallel_sampling.py vllm/v1/sample/ops/topk_topp_sampler.py vllm/v1/worker/gpu/sample/gumbel.py
sglang/kernels/ops/sampling/murmur_hash.py sglang/srt/layers/sampler.py sglang/srt/sampling/sampling_batch_info.py""".split()
root = pathlib.Path(sys.argv[1])
for wheel in (root / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as files:
        for name in {*FILES} & {*files.namelist()}:
            files.extract(name, root / "engine")
PY
