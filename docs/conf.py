"""How the documentation is built: `make docs`, then docs/_build/index.html."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import iosim  # noqa: E402 - the checkout's, beside which this file is

project = "iosim"
author = "The iosim developers"
copyright = "2026, The iosim developers"
release = version = iosim.__version__

extensions = ["myst_parser", "reference"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]  # links to files of the source, which tests check
html_theme = "furo"
html_title = "iosim"
pygments_style = "friendly"
highlight_language = "text"
