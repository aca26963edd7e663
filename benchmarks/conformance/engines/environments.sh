#!/usr/bin/env bash
# environments.sh FOLDER [NAME ...]: an environment with pinned packages for each server of the matrix, FOLDER/NAME.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/environments
folder=$1; shift
[ $# -gt 0 ] || set -- vllm llama.cpp transformers-serve mlx-lm
for name in "$@"; do
    python3 -m venv "$folder/$name"
    "$folder/$name/bin/pip" install --quiet --no-deps --requirement "$here/$name.txt"
done
