"""What ships, what it does in an environment that has nothing else, and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from sampling.version import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def printed_by(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout


def build(source: Path, out: Path, *targets: str) -> None:
    """Build wheel, source distribution or both, without network."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(
        [*command, *(f"--target={target}" for target in targets)], check=True, capture_output=True, cwd=source
    )


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def wheel_names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def needed(names: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """Yield the distributions that requirements lead to, extras aside."""
    seen: set[str] = set()
    while names:
        requirement = Requirement(names.pop())
        wanted = [{"extra": extra} for extra in ("", *requirement.extras)]
        if requirement.name in seen or not (
            requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ):
            continue
        seen.add(requirement.name)
        found = importlib.metadata.distribution(requirement.name)
        yield found
        further = [Requirement(text) for text in found.requires or ()]
        names += [
            str(one)
            for one in further
            if one.marker is None or any(one.marker.evaluate(extra) for extra in wanted)
        ]


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it requires, extras left out."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    command = [*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in needed([*PROJECT["dependencies"]]):
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(distribution.locate_file(top)))
    return folder / "bin"


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment, as someone would who has no checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd=program.parent, env=clean, timeout=300
    )


def test_wheel_holds_the_two_packages_and_nothing_else(wheel_names):
    top = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"sampling", "sampling_kernels"}


def test_wheel_is_typed_and_carries_the_checkpoint(wheel_names):
    for name in (
        "sampling/py.typed",
        "sampling_kernels/py.typed",
        "sampling/toy/checkpoint/model.safetensors",
        "sampling/toy/texts.toml",
    ):
        assert name in wheel_names


def test_the_source_distribution_holds_no_more_than_it_should_and_builds_the_same_wheel(
    dist: Path, wheel: Path, tmp_path: Path
):
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    parts = {
        "sampling",
        "kernels",
        "tests",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "PKG-INFO",
    }
    assert {path.name for path in unpacked.iterdir()} - {".gitignore"} == parts
    build(unpacked, tmp_path, "wheel")
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


LOOK_AROUND = """
import importlib.util, json, pathlib, sampling
extras = ["starlette", "scipy", "llguidance", "matplotlib", "sphinx", "pytest"]
there = [name for name in extras if importlib.util.find_spec(name)]
try:
    sampling.verify
except ModuleNotFoundError as error:
    notes = error.__notes__
print(json.dumps([sampling.__version__, str(pathlib.Path(sampling.__file__).parents[4]), there, notes]))
"""


def test_the_wheel_works_where_nothing_else_is_installed(environment: Path):
    done = run(environment / "python", "-c", LOOK_AROUND)
    assert (done.returncode, done.stderr) == (0, "")
    version, place, there, notes = json.loads(done.stdout)
    assert (version, Path(place), there) == (__version__, environment.parent, [])
    assert notes == ["sampling.verify needs the extra 'verify': pip install 'sampling-reference[verify]'"]


def test_its_command_answers_without_extras(environment: Path):
    done = run(
        environment / "sampling",
        "chat",
        "What is the capital of Turkey?",
        "--temperature",
        "0.1",
        "--seed",
        "1",
    )
    assert (done.returncode, done.stdout) == (0, "The capital of Turkey is Ankara.\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--version"], f"sampling {__version__}"), (["verify", "--help"], "usage: sampling verify")],
    ids=["version", "verify"],
)
def test_its_command_tells_what_it_is(environment: Path, arguments: list[str], told: str):
    done = run(environment / "sampling", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(told)


def test_an_extra_that_is_missing_is_named(environment: Path):
    url = "http://127.0.0.1:9"
    commands = [["serve"], ["verify", url], ["record", url, "--out", "trace.jsonl"]]
    code = f"from sampling.cli.main import main; print([main(command) for command in {commands}])"
    done = run(environment / "python", "-c", code)
    assert done.stdout == "[2, 2, 2]\n", done.stderr
    extras = {"serve": "serve", "verify": "verify", "record": "verify"}
    assert done.stderr.splitlines() == [
        f"sampling {command}: needs the extra {extra!r}: pip install 'sampling-reference[{extra}]'"
        for command, extra in extras.items()
    ]


def test_the_version_has_one_place_and_a_section_of_the_changelog():
    """In the form of Keep a Changelog, newest first; what is not released yet stands above."""
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [
        re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", head)
        for head in heads
        if head != "[Unreleased]"
    ]
    assert all(released)
    assert "[Unreleased]" not in heads[1:]
    versions = [Version(one[1]) for one in released if one]
    assert versions[0] == Version(__version__)
    assert all(newer > older for newer, older in pairwise(versions))
    kinds = set(re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert "version" in PROJECT["dynamic"]


def test_classifiers_say_what_it_runs_on():
    """Its licence is an SPDX expression, beside which there is no classifier of a licence (PEP 639)."""
    told = PROJECT["classifiers"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {lowest}" in told
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= {*told}
    assert any(one.startswith("Topic :: ") for one in told)
    assert PROJECT["license"] == "Apache-2.0"
    assert not [one for one in told if one.startswith("License ::")]
    assert "urls" not in PROJECT


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
