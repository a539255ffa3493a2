"""Makes `import torch` work with the CUDA wheel on a machine without NVIDIA's libraries.

The oracle (transformers and PEFT, which write the golden files) computes on the CPU, but the wheel's extension module links cuDNN,
cuSPARSELt and others, about 3 GB that would never be called. For each library that the loader cannot find this writes
a small shared library with the same name and symbols, whose functions trap when called.

    python tools/stub_cuda_libraries.py SITE/torch/lib OUT_DIR
    LD_LIBRARY_PATH=OUT_DIR python -c 'import torch'

A stub must never be seen by a program that computes on a GPU: keep OUT_DIR out of any path but the oracle's.
"""

import pathlib
import re
import subprocess
import sys

# Symbols without a version say by their prefix whose they are.
PREFIXES = {
    "libcufile": "cuFile", "libcusparseLt": "cusparseLt", "libnvshmem_host": "nvshmem", "libcudnn": "cudnn", "libnccl": "nccl",
    "libcurand": "curand", "libcufft": "cufft", "libcusparse": "cusparse", "libcusolver": "cusolver", "libcublasLt": "cublasLt",
    "libcublas": "cublas", "libcupti": "cupti",
}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    libraries = sorted(folder.glob("*.so"))
    missing = sorted({m for lib in libraries for m in re.findall(r"^\s*(\S+) => not found", output("ldd", str(lib)), re.M)})
    missing = [m for m in missing if m.split(".so")[0] in PREFIXES]
    undefined = set()  # (version or None, symbol)
    for lib in libraries:
        for line in output("objdump", "-T", str(lib)).splitlines():
            found = re.search(r"\*UND\*\s+\S+\s+(?:\((\S+)\)|([A-Z]\S*))?\s+(\w+)$", line)
            if found:
                undefined.add((found[1] or found[2], found[3]))
    for name in missing:
        stem = name.split(".so")[0]
        prefix = PREFIXES[stem]
        longer = [p for p in PREFIXES.values() if p.startswith(prefix) and p != prefix]
        mine = sorted({(v, s) for v, s in undefined if s.startswith(prefix) and not any(s.startswith(p) for p in longer)}, key=str)
        source, script = out / f"{stem}.c", out / f"{stem}.map"
        source.write_text("".join(f"void {s}(void) {{ __builtin_trap(); }}\n" for s in sorted({s for _, s in mine})))
        versions = sorted({v for v, _ in mine if v})
        script.write_text("".join(f"{v} {{ global: {' '.join(s + ';' for w, s in mine if w == v)} }};\n" for v in versions))
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", str(out / name), f"-Wl,-soname,{name}", str(source)]
        subprocess.run(command + ([f"-Wl,--version-script={script}"] if versions else []), check=True)
        print(f"{name}: {len(mine)} symbols")


if __name__ == "__main__":
    main()
