#include "automodel/kernels/cuda/library.h"

#include <c10/core/AllocatorConfig.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "automodel/base/error.h"
#include "automodel/kernels/cuda/device_error.h"
#include "automodel/kernels/cuda/gpu_libraries.h"
#include "automodel/kernels/cuda/kernel_library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "automodel/tensor/dropout.h"

namespace automodel::kernels {
namespace {

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
  const auto library = open_kernel_library();
  state.library = library.path;
  state.archs = library.archs;
  table = library.table;
  auto fault = library.fault;
  for (const auto& gpu : state.gpus)
    if (!fault) fault = judge_gpu(gpu.name, gpu.major, gpu.minor, state.archs);
  if (fault) fail(fault->reason, fault->hint);
  return !fault;
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
  state.libraries = loaded_gpu_libraries();
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
