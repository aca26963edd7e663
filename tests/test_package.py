"""What ships, and what importing it costs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def printed_by(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout


@pytest.fixture(scope="session")
def wheel_names(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_holds_the_two_packages_and_nothing_else(wheel_names):
    top = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"sampling", "sampling_kernels"}


def test_wheel_is_typed_and_carries_the_checkpoint(wheel_names):
    for name in (
        "sampling/py.typed",
        "sampling_kernels/py.typed",
        "sampling/toy/checkpoint/model.safetensors",
    ):
        assert name in wheel_names


def test_kernels_is_no_package():
    """A package `kernels` belongs to Hugging Face; ours would break `import transformers`."""
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_core_import_needs_torch_and_numpy_only():
    code = (
        "import sys, torch, numpy; before = set(sys.modules); import sampling;"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    assert printed_by(code).strip() == "['sampling', 'sampling_kernels']"


def test_load_does_not_import_transformers_by_itself():
    assert (
        printed_by("import sys; from sampling import load; print('transformers' in sys.modules)").strip()
        == "False"
    )


def test_who_compiles_nothing_waits_for_no_compiler():
    """Its import takes as long as torch's own."""
    code = (
        "import sys; from sampling import load;"
        "load(None).chat([{'role': 'user', 'content': 'Hi'}], temperature=1.5, top_p=0.9, logprobs=True, n=2, max_tokens=3);"
        "print({'transformers', 'torch._dynamo', 'sympy'} & {*sys.modules})"
    )
    assert printed_by(code).strip() == "{'transformers'}"


def test_verify_and_record_need_nothing_of_the_server():
    code = "import sys, sampling.cli.verify, sampling.cli.record; print({'starlette', 'uvicorn'} & {*sys.modules})"
    assert printed_by(code).strip() == "set()"


def test_promised_names_are_there():
    import sampling

    promised = (
        "SamplingParams History chain LogitBias FrequencyPenalty PresencePenalty RepetitionPenalty Temperature TopK TopP "
        "MinP Pipeline Sampler draw dialect load"
    )
    for name in promised.split():
        assert name in sampling.__all__
        assert getattr(sampling, name) is not None
