"""`python -m vhpy_hub …` is `vhpy …`."""

import os
import sys

from vhpy_hub import program


def main() -> None:
    """Becomes the program."""
    try:
        path = str(program())
    except FileNotFoundError as error:
        sys.exit(f"vhpy: {error}")
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()
