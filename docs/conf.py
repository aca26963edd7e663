"""How `make docs` builds the site. The source directory is the repository, so that links work in both."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from sampling.version import __version__

project = "sampling"
author = "the authors of sampling"
version = release = __version__
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*", "benchmarks/*.md", "findings/README.md", "*.md"]
exclude_patterns = [".*", "build", "dist", "docs/_*", "**/__pycache__"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "command_help",
    "llms_txt",
    "mathml",
    "public_names",
    "self_contained",
    "tidy",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make notebooks` runs them, tests/test_notebooks.py compares

highlight_language = "text"
default_role = "literal"  # what docstrings mean by `name`
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpicky = True
# Two kinds of names have no place to link to: those of other libraries, whose inventories would have to be fetched, and the
# library's own types that signatures show and nobody imports.
OTHERS = (
    r"(torch|numpy|collections|pathlib|typing|transformers|inspect_ai)\.[\w.\[]+|"
    r"Tensor|PreTrainedTokenizerFast|GenerationConfig"
)
INTERNAL = (
    "CallableTarget|Candidates|CouldNotRun|EndpointTarget|Kept|Llama|Outside|PreparedRequests|ProbeTarget|Prompt|Prompts|Ranges|"
    "RefusalPart|Report|ResponseMessage|Rules|SamplingMask|Slots|Snapshot|StageFunction|State|Step|StepInputs|Table|"
    "TextPart|TokenCounts|TraceTarget|WeightedLogits"
)
nitpick_ignore_regex = [(r"py:.*", OTHERS), (r"py:.*", rf"(sampling(_kernels)?\.[\w.]+\.)?({INTERNAL})")]
# Links to folders lead somewhere in the repository alone; tests/test_docs.py looks whether they are there.
nitpick_ignore_regex += [("myst", r"(\.\./)*[\w/-]+")]

autodoc_mock_imports = ["anyio", "inspect_ai", "lm_eval", "mlx", "vllm"]  # hosts of adapters

html_theme = "furo"
pygments_dark_style = "github-dark"  # the theme's own underlines names of modules as if they were links
html_math_renderer = "mathml"
html_title = f"sampling {__version__}"
html_static_path = ["_static"]
html_extra_path = ["_root"]
html_css_files = ["site.css"]
html_copy_source = True
html_show_sphinx = False
html_show_copyright = False
