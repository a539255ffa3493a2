"""Lets the Python torch of the oracle stack start without NVIDIA's 2 GB of libraries.

PyPI's torch for Linux is the CUDA build: its Python part is linked with cuBLAS, cuDNN, NCCL, ... even on a machine that
has no GPU and will never call them. For each such library that is not there this writes a stand-in that exports the
names torch asks for; a call of one ends the process with a message that says which function was called. Only the golden
tests' reference stack uses them, never the program.

    python3 tools/cuda_stubs.py SITE_PACKAGES      (needs gcc and readelf)
"""

import pathlib
import subprocess
import sys
import tempfile

# soname -> (prefixes of its functions, symbol version or None), as `readelf --dyn-syms` of the torch 2.11.0 wheel lists them
LIBRARIES = {
    "libcublas.so.13": (("cublas",), "libcublas.so.13"),
    "libcublasLt.so.13": (("cublasLt",), "libcublasLt.so.13"),
    "libcudnn.so.9": (("cudnn",), "libcudnn.so.9"),
    "libcufft.so.12": (("cufft",), "libcufft.so.12"),
    "libcufile.so.0": (("cuFile",), None),
    "libcurand.so.10": (("curand",), None),
    "libcusparse.so.12": (("cusparse",), "libcusparse.so.12"),
    "libcusparseLt.so.0": (("cusparseLt",), None),
    "libnccl.so.2": (("nccl", "pnccl"), None),
    "libnvshmem_host.so.3": (("nvshmem",), "NVSHMEM"),
}
USERS = ["libtorch_python.so", "libtorch_cuda.so", "libtorch_nvshmem.so", "libc10_cuda.so"]
HEAD = """#include <stdio.h>
#include <stdlib.h>
static void called(const char* name) {
  fprintf(stderr, "%s was called, but this torch was set up without NVIDIA's libraries (tools/setup --oracles)\\n", name);
  abort();
}
"""


def wanted_names(torch_lib: pathlib.Path) -> set[str]:
    names = set()
    for user in USERS:
        table = subprocess.run(["readelf", "--dyn-syms", "-W", torch_lib / user], check=True, capture_output=True, text=True)
        for line in table.stdout.splitlines():
            columns = line.split()
            if len(columns) >= 8 and columns[6] == "UND":
                names.add(columns[7].split("@")[0])
    return names


def owner(name: str) -> str | None:
    """The library with the longest prefix that fits: cublasLtMatmul belongs to cublasLt, not to cublas."""
    fits = [(len(p), lib) for lib, (prefixes, _) in LIBRARIES.items() for p in prefixes if name.startswith(p)]
    return max(fits)[1] if fits else None


def main(site: pathlib.Path) -> None:
    torch_lib = site / "torch" / "lib"
    names: dict[str, list[str]] = {library: [] for library in LIBRARIES}
    for name in sorted(wanted_names(torch_lib)):
        library = owner(name)
        if library:
            names[library].append(name)
    with tempfile.TemporaryDirectory() as scratch:
        for library, functions in names.items():
            if any(site.glob(f"nvidia/*/lib/{library}")):
                continue  # the real one is there
            version = LIBRARIES[library][1]
            source = pathlib.Path(scratch) / "stub.c"
            source.write_text(HEAD + "".join(f'void {f}(void) {{ called("{f}"); }}\n' for f in functions))
            command = ["gcc", "-shared", "-fPIC", "-O1", "-fno-builtin", source, "-o", torch_lib / library, f"-Wl,-soname,{library}"]
            if version:
                script = pathlib.Path(scratch) / "stub.map"
                script.write_text(f"{version} {{ *; }};\n")
                command.append(f"-Wl,--version-script={script}")
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
