"""Python scripting for Direct Connect hubs, every script in a process of its own.

This package brings the program `vhpy` (also `python -m vhpy_hub`) and its libraries. Scripts
import `vh`, which exists in the processes that the hub starts for them; here is only its type
stub, for editors and type checkers.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

__all__ = ["program"]


def program() -> Path:
    """The program `vhpy` of this environment.

    Raises FileNotFoundError, with what to do, when it is not there.
    """
    here = Path(__file__).resolve()
    places = [
        Path(sysconfig.get_path("scripts")) / "vhpy",
        # `pip install --user`, `--prefix`: the scripts belong to the scheme of this package.
        *(parent / "bin" / "vhpy" for parent in here.parents[2:6]),
    ]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise FileNotFoundError(
        f"the program vhpy is not in {places[0].parent}: install vhpy-hub again with "
        f"{sys.executable} -m pip install --force-reinstall vhpy-hub"
    )
