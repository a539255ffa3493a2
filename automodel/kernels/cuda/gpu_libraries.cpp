#include "automodel/kernels/cuda/gpu_libraries.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <filesystem>

#include "automodel/base/text.h"

namespace automodel::kernels {
namespace {

struct Asked {
  const char *name, *file, *folder;  // "cudnn", "libcudnn.so.9", nvidia/FOLDER/lib of the wheels
  const char *wheel, *function;      // what tells the version
  bool needed;
};
constexpr Asked kAsked[] = {
    {"cuda_runtime", "libcudart.so.13", "cu13", "nvidia-cuda-runtime", "cudaRuntimeGetVersion", true},
    {"cublas_lt", "libcublasLt.so.13", "cu13", "nvidia-cublas", "cublasLtGetVersion", true},
    {"cudnn", "libcudnn.so.9", "cudnn", "nvidia-cudnn-cu13", "cudnnGetVersion", true},
    {"nccl", "libnccl.so.2", "nccl", "nvidia-nccl-cu13", "ncclGetVersion", false},
};

// AUTOMODEL_GPU_WHEELS: "NAME==VERSION ..." of tools/cuda.lock.
std::string pinned_of(const std::string& wheel) {
  for (const auto& pin : split(AUTOMODEL_GPU_WHEELS, ' '))
    if (pin.starts_with(wheel + "==")) return pin.substr(wheel.size() + 2);
  return "";
}

// "" where it does not say.
std::string ask_version(const Asked& asked, void* function) {
  const std::string name = asked.name;
  if (name == "cublas_lt" || name == "cudnn") {
    const size_t number = reinterpret_cast<size_t (*)()>(function)();
    return fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100);
  }
  int number = 0;
  if (reinterpret_cast<int (*)(int*)>(function)(&number) != 0 || number == 0) return "";
  return name == "nccl" ? fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100)
                        : fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

GpuLibrary read_library(const Asked& asked, void* handle) {
  GpuLibrary library{.name = asked.name, .pinned = pinned_of(asked.wheel), .needed = asked.needed};
  void* function = handle ? ::dlsym(handle, asked.function) : nullptr;
  if (!function) {
    const char* fault = ::dlerror();
    library.fault = fault ? fault : fmt::format("{} is not loaded", asked.file);
    return library;
  }
  library.version = ask_version(asked, function);
  if (library.version.empty()) library.fault = fmt::format("{} does not tell its version", asked.file);
  Dl_info from{};
  if (::dladdr(function, &from) != 0 && from.dli_fname)
    library.path = std::filesystem::path(from.dli_fname).lexically_normal();
  return library;
}

// .../torch/lib, where the wheels lie two folders up.
std::filesystem::path libtorch_folder() {
  void* c10 = ::dlopen("libc10.so", RTLD_LAZY | RTLD_NOLOAD);
  const link_map* map = nullptr;
  const bool known = c10 && ::dlinfo(c10, RTLD_DI_LINKMAP, &map) == 0;
  return known ? std::filesystem::path(map->l_name).parent_path() : std::filesystem::path();
}

}  // namespace

std::vector<GpuLibrary> loaded_gpu_libraries() {
  std::vector<GpuLibrary> libraries;
  for (const auto& asked : kAsked)
    if (auto library = read_library(asked, ::dlopen(asked.file, RTLD_LAZY | RTLD_NOLOAD)); !library.version.empty())
      libraries.push_back(std::move(library));
  return libraries;
}

FoundLibraries find_gpu_libraries() {
  FoundLibraries found;
  if (!::dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_LOCAL)) found.libtorch_fault = ::dlerror();
  const auto wheels = libtorch_folder().parent_path().parent_path() / "nvidia";
  for (const auto& asked : kAsked) {
    const auto beside = wheels / asked.folder / "lib" / asked.file;
    void* handle = ::dlopen(asked.file, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) handle = ::dlopen(beside.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (!handle) handle = ::dlopen(asked.file, RTLD_LAZY | RTLD_LOCAL);
    found.libraries.push_back(read_library(asked, handle));
  }
  return found;
}

}  // namespace automodel::kernels
