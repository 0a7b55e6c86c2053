"""Sphinx: `python -m sphinx -W -b html docs docs/_build/html`."""

import os
import sys
from importlib.metadata import version as installed
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "example_project")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

project = "communique"
author = "The communique contributors"
copyright = "2026, the communique contributors"
release = version = installed("django-communique")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
exclude_patterns = ["_build"]
# Strict about references of our own. No inventory of Python or Django is fetched: a build needs no network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!communique\b).*")]

html_theme = "furo"
html_title = "communique"
