"""Builds the Rust parts with cargo and puts them into the wheel.

The program goes to `bin`, the two libraries to `lib`, headers and examples to `include` and
`share` of the environment that the wheel is installed into. One wheel serves every Python.

`VHPY_CARGO_TARGET` names a target of `cargo zigbuild`, such as
`x86_64-unknown-linux-gnu.2.28`, for a wheel that runs on older systems than this one.

`VHPY_BUILT` names a folder with the program and the worker library, `VHPY_BUILT_LIBRARY` the one with
`libvhpy.so` if that is another: then nothing is built here.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from version import ROOT  # noqa: E402


class CargoBuildHook(BuildHookInterface):
    """What hatchling calls before it writes a wheel or a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        commit = self._commit()
        if self.target_name == "sdist":
            # There is no repository where it will be built.
            file = Path(tempfile.mkdtemp()) / "COMMIT"
            file.write_text(commit, encoding="utf-8")
            build_data["force_include"][str(file)] = "rust/COMMIT"
        if self.target_name != "wheel":
            return
        # What `vhpy --version` says.
        os.environ["VHPY_COMMIT"] = commit
        program, libraries = self._build()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{self._platform()}"
        build_data["shared_scripts"][program] = "vhpy"
        shared = build_data["shared_data"]
        for library in libraries:
            shared[library] = f"lib/{Path(library).name}"
        for header in ("vhpy.h", "vhpy.hpp"):
            shared[str(ROOT / "plugin-abi/include" / header)] = f"include/{header}"
        for script in sorted((ROOT / "examples/scripts").glob("*.py")):
            shared[str(script)] = f"share/vhpy/examples/{script.name}"
        # A type stub for scripts, which import `vh`; type checkers look for this name.
        build_data["force_include"][str(ROOT / "worker/vh.pyi")] = "vh-stubs/__init__.pyi"

    def _commit(self) -> str:
        """The commit that is built, empty when nothing tells."""
        if given := os.environ.get("VHPY_COMMIT"):
            return given
        if (file := ROOT / "COMMIT").exists():
            return file.read_text(encoding="utf-8").strip()
        command = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    def _build(self) -> tuple[str, list[str]]:
        """Builds everything; gives the program and the libraries, without symbols."""
        if given := os.environ.get("VHPY_BUILT"):
            built = ROOT / given
            library = ROOT / os.environ.get("VHPY_BUILT_LIBRARY", given)
            program, worker = (self._keep(built / name) for name in ("vhpy", "libvh_worker.so"))
            return program, [self._keep(library / "libvhpy.so"), worker]
        if shutil.which("cargo") is None:
            raise SystemExit(
                "vhpy-hub has no wheel for this system, and building it needs Rust: "
                "install it from https://rustup.rs, or use a Linux with glibc on x86-64 or ARM64"
            )
        target = os.environ.get("VHPY_CARGO_TARGET")
        folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "wheel"
        cargo = ["cargo", "zigbuild", "--target", target] if target else ["cargo", "build"]
        cargo += ["--release", "--locked", "--target-dir", str(folder)]
        cargo += ["--config", "profile.release.strip=true"]
        built = folder / target.rsplit(".2.", 1)[0] if target else folder
        built /= "release"
        # Paths of this machine have no place in what is installed elsewhere, and would differ.
        home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
        places = ((ROOT, "vhpy"), (home, "cargo"), (folder, "target"))
        remap = " ".join(f"--remap-path-prefix={place}={name}" for place, name in places)
        os.environ["RUSTFLAGS"] = f"{os.environ.get('RUSTFLAGS', '')} {remap}".strip()
        subprocess.run([*cargo, "-p", "vhpy", "-p", "vhpy-worker"], cwd=ROOT, check=True)
        program = self._keep(built / "vhpy")
        worker = self._keep(built / "libvh_worker.so")
        # The library for other hubs, without the embedded one.
        subprocess.run([*cargo, "-p", "vhpy", "--lib", "--no-default-features", "--features", "metrics"], cwd=ROOT, check=True)
        return program, [self._keep(built / "libvhpy.so"), worker]

    def _keep(self, file: Path) -> str:
        """A copy that a later build does not overwrite."""
        kept = file.parent / "for-the-wheel" / file.name
        kept.parent.mkdir(exist_ok=True)
        shutil.copy2(file, kept)
        if shutil.which("objcopy"):
            subprocess.run(["objcopy", "--strip-unneeded", kept], check=True)
        return str(kept)

    def _platform(self) -> str:
        """The platform of the wheel's tag."""
        target = os.environ.get("VHPY_CARGO_TARGET", "")
        if ".2." in target:
            architecture = target.split("-", 1)[0]
            return f"manylinux_2_{target.rsplit('.2.', 1)[1]}_{architecture}"
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
