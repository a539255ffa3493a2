#include "automodel/kernels/cuda/kernel_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "automodel/base/text.h"

namespace automodel::kernels {

const char* const kSetupHint =
    "run `tools/setup --cuda`, then `cmake --preset cuda -DAUTOMODEL_DEPS=$(tools/setup --cuda --print-deps)` and "
    "build";

KernelLibrary open_kernel_library() {
  KernelLibrary out;
  std::error_code none;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", none);
  out.path = (program.parent_path().parent_path() / "lib/libautomodel_cuda.so").string();
  if (!std::filesystem::exists(out.path, none)) {
    out.fault = {"our kernels are not there: " + out.path, kSetupHint};
    return out;
  }
  void* library = ::dlopen(out.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  auto* open = library ? reinterpret_cast<cuda::Open*>(::dlsym(library, "automodel_cuda_open")) : nullptr;
  if (!open) {
    out.fault = {fmt::format("our kernels cannot be loaded: {}", ::dlerror()), kSetupHint};
    return out;
  }
  const std::string version = open(AUTOMODEL_CUDA_VERSION, &out.table);
  if (version != AUTOMODEL_CUDA_VERSION) {
    out.fault = {fmt::format("{} is version {}, this program needs {}", out.path, version, AUTOMODEL_CUDA_VERSION),
                 "build both from the same sources: `cmake --preset cuda && cmake --build --preset cuda`"};
    return out;
  }
  out.archs = out.table.archs;
  out.cudnn = out.table.attention.program != nullptr;
  out.cublas_lt = out.table.product.run != nullptr;
  return out;
}

std::string KernelLibrary::built_with() const {
  std::vector<std::string> all;
  for (const char* each : {table.compiler, table.product.headers, table.attention.headers})
    if (each) all.push_back(each);
  return join(all, ", ");
}

std::vector<Unusable> KernelLibrary::left_out() const {
  std::vector<Unusable> out;
  if (fault) return out;
  const std::string mend = "`tools/setup --cuda` brings the headers; configure anew and build automodel_cuda";
  if (!cudnn)
    out.push_back(
        {"our kernels were built without cuDNN: attention is libtorch's, which takes 1.3 to 2 times as long, "
         "and capped scores keep all pairs of tokens",
         mend});
  if (!cublas_lt)
    out.push_back(
        {"our kernels were built without cuBLASLt: products are libtorch's, which adds what could ride along "
         "in passes of their own",
         mend});
  return out;
}

}  // namespace automodel::kernels
