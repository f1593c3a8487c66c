"""Tests of the documentation import what builds it."""

import sys

from built_site import DOCS

sys.path.insert(0, str(DOCS / "_sphinx"))
