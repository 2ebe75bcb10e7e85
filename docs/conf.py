"""How Sphinx builds the site: `sphinx-build -W -n docs site`."""

import atexit
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "tests")]

from _ext import inventories

import gradtx

project = "gradtx"
author = "The gradtx authors"
release = version = gradtx.__version__
html_title = "gradtx"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "myst_nb",
    "_ext.docstrings",
    "_ext.examples",
    "_ext.outside",
    "_ext.pages",
]
exclude_patterns = ["_ext", "outcomes"]
# Pages are made by package, in `_ext.pages`, and not for each name: a name has one home
# there, and its other names lead to it. What is on a page is listed by autosummary.
autosummary_generate = False

folder = Path(mkdtemp())  # of what other libraries have, for this build only
atexit.register(shutil.rmtree, folder, ignore_errors=True)
intersphinx_mapping = inventories.mapping(folder)

# Every page of code is run when the site is built, and a failure ends the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Annotations name types of JAX and of this library's inside; docstrings say them in
# words, so that signatures are shown without them.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_rtype = False  # what is before a colon may be a sentence
# What is inside of packages, or other libraries', has no page here.
nitpick_ignore_regex = [
    ("py:.*", r"gradtx\.(codecs|common|core|inspection|lowering|tree)\..*"),
    ("py:.*", r"gradtx\.(quantization|schedules|wrappers)\..*"),
    ("py:.*", r"(collections|jax|numpy)\..*"),
]

html_theme = "furo"
html_domain_indices = False
html_copy_source = False
html_favicon = "_static/mark.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
