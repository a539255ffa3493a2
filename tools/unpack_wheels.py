"""Unpacks wheels into one folder, leaving out what the profile has no use for.

    python3 tools/unpack_wheels.py PROFILE FOLDER WHEEL...      (only the standard library; any Python from 3.8)

Nothing is run or compiled; a path that would leave the folder is an error.
"""

import fnmatch
import pathlib
import shutil
import sys
import zipfile

# The program needs libtorch's headers and two libraries, and the two CUDA libraries that libtorch_cpu.so names; the
# rest of the torch wheel (its Python part, 500 MB of GPU code) stays packed. Of pyarrow it is Arrow's C++ libraries.
KEEP = {
    "cpu": ["torch/include/*", "torch/lib/libc10.so", "torch/lib/libtorch_cpu.so", "torch/lib/libgomp.so.1",
            "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13", "*.dist-info/*",
            "pyarrow/include/*", "pyarrow/libarrow.so.2500", "pyarrow/libparquet.so.2500"],
    "cuda_headers": ["nvidia/*/include/*", "include/*", "*.data/*/include/*", "*.data/headers/*", "*.dist-info/*"],
}
LEAVE = {
    "oracles": ["torch/include/*", "torch/bin/p*", "torch/lib/libtorch_cuda_linalg.so", "nvidia/cu13/include/*",
                "nvidia/cu13/lib/libnvperf*"],
    "cuda": ["torch/bin/*", "pyarrow/*.py*", "pyarrow/*.cpython-*", "pyarrow/libarrow_*", "pyarrow/tests/*", "pyarrow/src/*"],
}


def wanted(profile: str, name: str) -> bool:
    fits = lambda patterns: any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return fits(KEEP.get(profile, ["*"])) and not fits(LEAVE.get(profile, []))


def unpack(profile: str, folder: pathlib.Path, wheel: str) -> int:
    written = 0
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or not wanted(profile, entry.filename):
                continue
            parts = pathlib.PurePosixPath(entry.filename).parts
            if parts[0].endswith(".data"):  # what pip would spread over the machine; libraries belong beside the rest
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            target = folder.joinpath(*parts)
            if ".." in parts or target.is_absolute() and folder not in target.parents:
                sys.exit(f"{wheel}: refuses to unpack {entry.filename}: it leaves the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            if (entry.external_attr >> 16) & 0o111:
                target.chmod(0o755)
            written += entry.file_size
    return written


if __name__ == "__main__":
    profile_name, into = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    total = sum(unpack(profile_name, into, wheel) for wheel in sys.argv[3:])
    print(f"{total / 1e6:.0f} MB")
