"""The version, read from Cargo.toml: it stands there and nowhere else."""

import re
from pathlib import Path

_here = Path(__file__).parent
# In the repository this folder lies in the root; in a source distribution the root is below it.
ROOT = _here / "rust" if (_here / "rust").is_dir() else _here.parent


def _version() -> str:
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{ROOT}/Cargo.toml has no version")
    return found[1]


__version__ = _version()
