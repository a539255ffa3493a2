"""Writes the lock files of tools/setup: every wheel by exact version, sha256 and size in bytes.

    python3 tools/relock.py cpu|cuda|nvcc|cuda_headers|oracles|format|megatron ...   (needs pip and network; downloads each wheel once)

A profile's lock changes only by this script; the folder that tools/setup unpacks into is keyed by the lock's hash.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
PIP = [sys.executable, "-m", "pip"]
CPU = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85", "pyarrow==25.0.1"]
NVCC = ["nvidia-cuda-nvcc==13.0.88", "nvidia-nvvm==13.0.88", "nvidia-cuda-crt==13.0.88", "nvidia-cuda-cccl==13.0.85",
        "nvidia-cuda-runtime==13.0.96"]
CUDA_HEADERS = ["nvidia-cublas==13.1.0.3", "nvidia-cudnn-cu13==9.19.0.56", "nvidia-cudnn-frontend==1.32.0"]  # as torch asks for them
GOLDEN = ["transformers==5.17.0", "peft==0.21.0", "tokenizers==0.23.3", "jinja2==3.1.6", "numpy<3", "safetensors",
          "tensorboard", "pyyaml", "sentencepiece==0.2.3", "tiktoken==0.14.0", "mistral-common==1.13.1", "protobuf", "datasets==5.2.0"]
# torch's own requirement list names these; a CPU run of Python's torch needs none of them (tools/cuda_stubs.py)
ONLY_WITH_GPU = re.compile(r"^(nvidia-(?!cuda-runtime|cuda-cupti)|cuda-|triton)")


def resolved(requirements: list[str]) -> list[str]:
    """The requirements and all they need, as NAME==VERSION."""
    command = PIP + ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-", "--only-binary=:all:"]
    report = json.loads(subprocess.run(command + requirements, check=True, capture_output=True, text=True).stdout)
    names = [f"{item['metadata']['name'].lower().replace('_', '-')}=={item['metadata']['version']}" for item in report["install"]]
    return sorted(names)


def cuda() -> list[str]:
    libraries = [name for name in resolved(["torch==2.11.0"]) if name.startswith("nvidia-") and name not in CPU]
    return CPU + libraries + ["nvidia-cudnn-frontend==1.32.0"]


PROFILES = {
    "cpu": lambda: CPU,
    "cuda": cuda,
    "nvcc": lambda: NVCC,
    "cuda_headers": lambda: CUDA_HEADERS,
    "oracles": lambda: [name for name in resolved(GOLDEN + ["torch==2.11.0"] + CPU[1:]) if not ONLY_WITH_GPU.match(name)],
    "format": lambda: ["clang-format==14.0.6"],
    "megatron": lambda: ["megatron-core==0.16.1", "nemo-automodel==0.7.0"],  # beside the oracles, without what they ask for
}


def write_lock(profile: str) -> None:
    tags = [f"--platform={line}" for line in (HERE / "platforms.txt").read_text().split()]
    lines = [f"# Written by tools/relock.py {profile}: NAME==VERSION, sha256, size in bytes."]
    for requirement in PROFILES[profile]():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(PIP + ["download", "--quiet", "--no-cache-dir", "--no-deps", "--only-binary=:all:", *tags,
                                  "--python-version=3.11", "--implementation=cp", "--abi=cp311", "-d", folder, requirement],
                           check=True)
            wheel = next(pathlib.Path(folder).iterdir())
            with wheel.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{requirement} --hash=sha256:{digest}  # {wheel.stat().st_size}")
            print(lines[-1], flush=True)
    (HERE / f"{profile}.lock").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for profile_name in sys.argv[1:]:
        write_lock(profile_name)
