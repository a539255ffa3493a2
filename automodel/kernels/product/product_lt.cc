// cuBLASLt's products with what libtorch's operators have not: C that is not D, a choice among algorithms.
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <tuple>

#include "automodel/kernels/cuda/version_text.h"
#include "automodel/kernels/product/product_cuda.h"

namespace automodel::kernels::cuda {
namespace {

// A function of the library that libtorch has loaded, by its type in the header: ltMatmul for cublasLtMatmul.
#define AM_LT(name)                                                           \
  static const auto lt##name = reinterpret_cast<decltype(&::cublasLt##name)>( \
      ::dlsym(::dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL), "cublasLt" #name))

struct Key {
  int device;
  DType type, out;
  int64_t m, n, k, a_stride, b_stride, c_stride, d_stride, workspace;
  bool a_transposed, b_transposed, in_place, adds;
  uint32_t alignment[4];
  auto operator<=>(const Key&) const = default;
};

struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr, d = nullptr;
  std::array<cublasLtMatmulHeuristicResult_t, 8> candidates;
  int count = 0;
  const cublasLtMatmulAlgo_t* best = nullptr;  // of a test, or null

  const cublasLtMatmulAlgo_t& algorithm(bool first) const { return best && !first ? *best : candidates[0].algo; }
};

std::mutex mutex;
std::map<int, cublasLtHandle_t> handles;
std::map<Key, Plan> plans;
std::map<Key, cublasLtMatmulAlgo_t> winners;  // by rounded sizes

uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  uint32_t alignment = 256;
  while (alignment > 1 && address % alignment != 0) alignment /= 2;
  return alignment;
}

cudaDataType_t data_type(DType type) {
  return type == DType::Float ? CUDA_R_32F : type == DType::BFloat16 ? CUDA_R_16BF : CUDA_R_16F;
}

cublasLtHandle_t handle_of(int device) {
  AM_LT(Create);
  auto& handle = handles[device];
  if (!handle && ltCreate && ltCreate(&handle) != CUBLAS_STATUS_SUCCESS) handle = nullptr;
  return handle;
}

// cuBLASLt's matrices are column-major: to it our D is D^T [n, m] = B^T A^T, with B's memory as its first operand.
void build(const ProductCall& call, const Key& key, cublasLtHandle_t handle, Plan& plan) {
  AM_LT(MatmulDescCreate);
  AM_LT(MatmulDescSetAttribute);
  AM_LT(MatrixLayoutCreate);
  AM_LT(MatmulPreferenceCreate);
  AM_LT(MatmulPreferenceSetAttribute);
  AM_LT(MatmulPreferenceDestroy);
  AM_LT(MatmulAlgoGetHeuristic);
  const auto type = data_type(call.type), out = data_type(call.out);
  ltMatmulDescCreate(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const cublasOperation_t first = operation(call.b.transposed), second = operation(call.a.transposed);
  ltMatmulDescSetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
  ltMatmulDescSetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
  const auto layout = [&](cublasLtMatrixLayout_t* to, cudaDataType_t of, int64_t rows, int64_t columns,
                          int64_t stride) {
    ltMatrixLayoutCreate(to, of, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), stride);
  };
  layout(&plan.a, type, call.b.transposed ? call.k : call.n, call.b.transposed ? call.n : call.k, call.b.stride);
  layout(&plan.b, type, call.a.transposed ? call.m : call.k, call.a.transposed ? call.k : call.m, call.a.stride);
  layout(&plan.c, out, call.n, call.m, call.c ? call.c_stride : call.d_stride);
  layout(&plan.d, out, call.n, call.m, call.d_stride);
  cublasLtMatmulPreference_t preference = nullptr;
  ltMatmulPreferenceCreate(&preference);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    ltMatmulPreferenceSetAttribute(preference, what, &value, sizeof value);
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(call.workspace_bytes));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignment[1]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignment[0]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignment[2]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignment[3]);
  if (ltMatmulAlgoGetHeuristic(handle, plan.product, plan.a, plan.b, plan.c, plan.d, preference,
                               static_cast<int>(plan.candidates.size()), plan.candidates.data(),
                               &plan.count) != CUBLAS_STATUS_SUCCESS)
    plan.count = 0;
  ltMatmulPreferenceDestroy(preference);
}

// Products of about one shape share a test: sizes are rounded up to quarters of powers of two, strides are left out.
Key rounded(Key key) {
  const auto round = [](int64_t n) {
    int64_t step = 1;
    while (step * 8 < n) step *= 2;
    return (n + step - 1) / step * step;
  };
  key.m = round(key.m), key.n = round(key.n), key.k = round(key.k);
  key.a_stride = key.b_stride = key.c_stride = key.d_stride = 0;
  key.in_place = false;
  for (auto& alignment : key.alignment) alignment = alignment >= 16 ? 16 : alignment;
  return key;
}

// A test's winner, if it can do this very product.
const cublasLtMatmulAlgo_t* winner_for(const Key& key, cublasLtHandle_t handle, const Plan& plan, int64_t workspace) {
  AM_LT(MatmulAlgoCheck);
  const auto found = winners.find(rounded(key));
  if (found == winners.end()) return nullptr;
  cublasLtMatmulHeuristicResult_t result;
  const auto status = ltMatmulAlgoCheck(handle, plan.product, plan.a, plan.b, plan.c, plan.d, &found->second, &result);
  const bool can = status == CUBLAS_STATUS_SUCCESS && result.state == CUBLAS_STATUS_SUCCESS &&
                   static_cast<int64_t>(result.workspaceSize) <= workspace;
  return can ? &found->second : nullptr;
}

Key key_of(const ProductCall& call) {
  int device = 0;
  cudaGetDevice(&device);
  const void* c = call.c ? call.c : call.d;
  return {device,
          call.type,
          call.out,
          call.m,
          call.n,
          call.k,
          call.a.stride,
          call.b.stride,
          call.c ? call.c_stride : 0,
          call.d_stride,
          call.workspace_bytes,
          call.a.transposed,
          call.b.transposed,
          c == call.d,
          call.beta != 0,
          {alignment_of(call.a.data), alignment_of(call.b.data), alignment_of(c), alignment_of(call.d)}};
}

// With the mutex held.
Plan* find(const ProductCall& call, cublasLtHandle_t* handle) {
  const Key key = key_of(call);
  *handle = handle_of(key.device);
  if (!*handle) return nullptr;
  const auto [place, fresh] = plans.try_emplace(key);
  if (fresh) {
    build(call, key, *handle, place->second);
    place->second.best = winner_for(key, *handle, place->second, call.workspace_bytes);
  }
  return &place->second;
}

cublasStatus_t launch(const ProductCall& call, const Plan& plan, const cublasLtMatmulAlgo_t& algorithm,
                      cublasLtHandle_t handle, Stream stream) {
  AM_LT(Matmul);
  return ltMatmul(handle, plan.product, &call.alpha, call.b.data, plan.a, call.a.data, plan.b, &call.beta,
                  call.c ? call.c : call.d, plan.c, call.d, plan.d, &algorithm, call.workspace,
                  static_cast<size_t>(call.workspace_bytes), static_cast<cudaStream_t>(stream));
}

constexpr const char* kNoLibrary = "libcublasLt.so.13 could not be used";
constexpr const char* kNoAlgorithm = "cuBLASLt has no algorithm for it";

const char* run(const ProductCall& call, Stream stream) {
  const std::lock_guard lock(mutex);
  cublasLtHandle_t handle;
  const Plan* plan = find(call, &handle);
  if (!plan) return kNoLibrary;
  if (plan->count == 0) return kNoAlgorithm;
  return launch(call, *plan, plan->algorithm(call.first), handle, stream) == CUBLAS_STATUS_SUCCESS
             ? nullptr
             : "cublasLtMatmul refused the call";
}

bool tested(const ProductCall& call) {
  const std::lock_guard lock(mutex);
  return winners.count(rounded(key_of(call))) > 0;
}

// Milliseconds of a run, the mean of `runs`.
float time_of(const ProductCall& call, const Plan& plan, int candidate, int runs, cublasLtHandle_t handle,
              Stream stream) {
  const auto& algorithm = plan.candidates[static_cast<size_t>(candidate)].algo;
  const auto on = static_cast<cudaStream_t>(stream);
  cudaEvent_t begin, end;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  cudaEventRecord(begin, on);
  bool good = true;
  for (int i = 0; i < runs; ++i) good = good && launch(call, plan, algorithm, handle, stream) == CUBLAS_STATUS_SUCCESS;
  cudaEventRecord(end, on);
  cudaEventSynchronize(end);
  float ms = 0;
  cudaEventElapsedTime(&ms, begin, end);
  cudaEventDestroy(begin), cudaEventDestroy(end);
  return good ? ms / static_cast<float>(runs) : 1e9f;
}

const char* test(const ProductCall& call, Stream stream) {
  const std::lock_guard lock(mutex);
  cublasLtHandle_t handle;
  Plan* plan = find(call, &handle);
  if (!plan) return kNoLibrary;
  if (plan->count == 0) return kNoAlgorithm;
  const auto count = static_cast<size_t>(plan->count);
  const auto time = [&](size_t i, int runs) { return time_of(call, *plan, static_cast<int>(i), runs, handle, stream); };
  std::array<float, 8> times;
  for (size_t i = 0; i < count; ++i) time(i, 1), times[i] = time(i, 1);
  const float least = *std::min_element(times.begin(), times.begin() + plan->count);
  size_t best = 0;
  for (size_t i = 0; i < count; ++i) {  // the near ones again, thrice each
    if (i > 0 && times[i] > 1.1f * least) continue;
    times[i] = std::min(times[i], time(i, 3));
    if (times[i] < times[best] * (best == 0 ? 0.99f : 1.0f)) best = i;  // the first stays unless it clearly loses
  }
  const auto& winner = plan->candidates[best].algo;
  plan->best = &winners.insert_or_assign(rounded(key_of(call)), winner).first->second;
  return nullptr;
}

}  // namespace

const Product kProduct = {run, tested, test,
                          "cuBLAS " AM_VERSION_TEXT(CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH)};

}  // namespace automodel::kernels::cuda
