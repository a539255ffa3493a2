#include "automodel/kernels/cuda/library.h"

#include <c10/core/AllocatorConfig.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/kernels/cuda/device_error.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/tensor/dropout.h"

namespace automodel::kernels {
namespace {

constexpr const char* kSetupHint =
    "run `tools/setup --cuda`, then `cmake --preset cuda -DAUTOMODEL_DEPS=$(tools/setup --cuda --print-deps)` and "
    "build";

constinit CudaState state;  // not before, nor after, what loads it while the program starts
cuda::Table table;

// Functions of the driver, by the names and types of cuda.h.
template <typename... Arguments>
bool call_driver(void* driver, const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(::dlsym(driver, name));
  return function && function(arguments...) == 0;
}

Gpu read_gpu(void* driver, int index) {
  Gpu gpu{};
  int device = 0;
  call_driver(driver, "cuDeviceGet", &device, index);
  std::array<char, 256> name{};
  call_driver(driver, "cuDeviceGetName", name.data(), static_cast<int>(name.size()) - 1, device);
  gpu.name = name.data();
  const auto attribute = [&](int which) {  // CU_DEVICE_ATTRIBUTE_...
    int value = 0;
    call_driver(driver, "cuDeviceGetAttribute", &value, which, device);
    return value;
  };
  gpu.multiprocessors = attribute(16), gpu.major = attribute(75), gpu.minor = attribute(76);
  gpu.maps_memory = attribute(102) != 0;
  size_t bytes = 0;
  call_driver(driver, "cuDeviceTotalMem_v2", &bytes, device);
  gpu.memory_bytes = bytes;
  return gpu;
}

void fail(const std::string& reason, const std::string& hint) {
  state.reason = reason;
  state.hint = hint;
}

bool find_gpus() {
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) {
    fail("no NVIDIA driver is installed (libcuda.so.1 was not found)",
         "install NVIDIA's driver 580 or newer; in a container start it with the GPUs passed in");
    return false;
  }
  state.driver = true;
  int count = 0;
  call_driver(driver, "cuDriverGetVersion", &state.driver_version);
  if (!call_driver(driver, "cuInit", 0u) || !call_driver(driver, "cuDeviceGetCount", &count) || count == 0) {
    fail("the NVIDIA driver finds no GPU", "see what `nvidia-smi` says, and that CUDA_VISIBLE_DEVICES leaves one");
    return false;
  }
  for (int i = 0; i < count; ++i) state.gpus.push_back(read_gpu(driver, i));
  if (const auto fault = judge_driver(state.driver_version)) fail(fault->reason, fault->hint);
  return state.reason.empty();
}

bool load_kernels() {
  std::error_code none;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", none);
  state.library = (program.parent_path().parent_path() / "lib/libautomodel_cuda.so").string();
  if (!std::filesystem::exists(state.library, none)) {
    fail("our kernels are not there: " + state.library, kSetupHint);
    return false;
  }
  void* library = ::dlopen(state.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  auto* open = library ? reinterpret_cast<cuda::Open*>(::dlsym(library, "automodel_cuda_open")) : nullptr;
  if (!open) {
    fail(fmt::format("our kernels cannot be loaded: {}", ::dlerror()), kSetupHint);
    return false;
  }
  const std::string version = open(AUTOMODEL_CUDA_VERSION, &table);
  if (version != AUTOMODEL_CUDA_VERSION) {
    fail(fmt::format("{} is version {}, this program needs {}", state.library, version, AUTOMODEL_CUDA_VERSION),
         "build both from the same sources: `cmake --preset cuda && cmake --build --preset cuda`");
    return false;
  }
  state.archs = table.archs;
  for (const auto& gpu : state.gpus)
    if (const auto fault = judge_gpu(gpu.name, gpu.major, gpu.minor, state.archs)) {
      fail(fault->reason, fault->hint);
      return false;
    }
  return true;
}

// Versions of what libtorch has loaded, asked from the libraries themselves, beside those of the pinned wheels
// (AUTOMODEL_GPU_WHEELS, "NAME==VERSION ..." of tools/cuda.lock).
void read_versions() {
  const auto pinned_of = [](const std::string& wheel) -> std::string {
    for (const auto& pin : split(AUTOMODEL_GPU_WHEELS, ' '))
      if (pin.starts_with(wheel + "==")) return pin.substr(wheel.size() + 2);
    return "";
  };
  void* function = nullptr;
  const auto has = [&](const char* library, const char* name) {
    void* handle = ::dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    function = handle ? ::dlsym(handle, name) : nullptr;
    return function != nullptr;
  };
  const auto add = [&](const char* name, const char* wheel, const std::string& version, bool needed = true) {
    Dl_info from{};
    const bool known = ::dladdr(function, &from) != 0 && from.dli_fname;
    state.libraries.push_back({name, version, pinned_of(wheel), known ? from.dli_fname : "", needed});
  };
  const auto text = [](size_t number, size_t major, size_t minor) {
    return fmt::format("{}.{}.{}", number / major, number % major / minor, number % minor);
  };
  const auto ask_into = [&] {
    int number = 0;
    return reinterpret_cast<int (*)(int*)>(function)(&number) == 0 ? static_cast<size_t>(number) : 0;
  };
  const auto ask = [&] { return reinterpret_cast<size_t (*)()>(function)(); };
  if (has("libcudart.so.13", "cudaRuntimeGetVersion"))
    if (const size_t number = ask_into())
      add("cuda_runtime", "nvidia-cuda-runtime", fmt::format("{}.{}", number / 1000, number % 1000 / 10));
  if (has("libcublasLt.so.13", "cublasLtGetVersion")) add("cublas_lt", "nvidia-cublas", text(ask(), 10000, 100));
  if (has("libcudnn.so.9", "cudnnGetVersion")) add("cudnn", "nvidia-cudnn-cu13", text(ask(), 10000, 100));
  if (has("libnccl.so.2", "ncclGetVersion"))
    if (const size_t number = ask_into()) add("nccl", "nvidia-nccl-cu13", text(number, 10000, 100), false);
}

// Segments that grow page by page: whatever is free fits whatever is asked for next. Fixed ones left 4 to 12 GiB of an
// 8B run unused. What the user says to libtorch's allocator stands.
void let_segments_grow() {
  const bool told = std::getenv("PYTORCH_ALLOC_CONF") || std::getenv("PYTORCH_CUDA_ALLOC_CONF");
  if (!told && std::ranges::all_of(state.gpus, &Gpu::maps_memory))
    c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
}

bool load_all() {
  if (!find_gpus()) return false;
  // Its initialisers register the CUDA operators. Where its NVIDIA libraries are missing, the loader names the first.
  if (!::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_LOCAL)) {
    fail(fmt::format("libtorch's CUDA part cannot be loaded: {}", ::dlerror()), kSetupHint);
    return false;
  }
  let_segments_grow();
  read_versions();
  if (const auto fault = judge_libraries(state.libraries)) {
    fail(fault->reason, fault->hint);
    return false;
  }
  if (!load_kernels()) return false;
  set_gpu_dropout(dropout_gpu);
  return true;
}

}  // namespace

const CudaState& load_cuda() {
  static const bool once = [] { return state.ready = load_all(); }();
  (void)once;
  return state;
}

void require_cuda(const std::string& where) {
  if (!load_cuda().ready) throw UnsupportedError(where, "no GPU can be used: " + state.reason, state.hint);
}

const cuda::Table& cuda_table() {
  AM_CHECK(load_cuda().ready, "kernels were used without a GPU: {}", state.reason);
  return table;
}

CudaLaunch::CudaLaunch(const at::Tensor& x) : before_(x.device()), device_(x.device()) {
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  before_ = guard.exchangeDevice(device_);
  stream_ = guard.getStreamNativeHandle(guard.getStream(device_));
}

CudaLaunch::~CudaLaunch() {
  if (before_ != device_) c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).uncheckedSetDevice(before_);
}

void CudaLaunch::operator()(cuda::Status status) const {
  if (status != 0) throw DeviceError(device_.str(), table.error_text(status));
}

int CudaLaunch::multiprocessors() const { return state.gpus.at(static_cast<size_t>(device_.index())).multiprocessors; }

bool has_cuda_dtype(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
}

cuda::DType cuda_dtype(const at::Tensor& x) {
  AM_CHECK(has_cuda_dtype(x), "{}", toString(x.scalar_type()));
  return x.scalar_type() == at::kFloat      ? cuda::DType::Float
         : x.scalar_type() == at::kBFloat16 ? cuda::DType::BFloat16
                                            : cuda::DType::Half;
}

}  // namespace automodel::kernels
