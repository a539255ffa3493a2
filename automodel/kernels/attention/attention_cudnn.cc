// The only source that includes cuDNN's front end: it takes most of a minute to compile. No torch, no kernels; cuDNN
// is the one that libtorch has loaded.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <map>
#include <mutex>

#include "automodel/kernels/attention/attention_cuda.h"
#include "automodel/kernels/cuda/version_text.h"

void* cudnn_frontend::cudnn_dlhandle = nullptr;  // where the front end finds cuDNN's functions

namespace automodel::kernels::cuda {

Status write_attention_offsets(const AttentionOffsets& to, Stream stream);  // attention.cu

struct AttentionProgram {
  AttentionShape shape;
  int device;
  cudnn_frontend::graph::Graph graph;
  int64_t workspace = 0;
  bool ready = false;
  std::string reason;  // why it is not
};

namespace {
namespace fe = cudnn_frontend;
using TensorPtr = std::shared_ptr<fe::graph::Tensor_attributes>;

enum Uid : int64_t { kQ = 1, kK, kV, kO, kStatistics, kDo, kDq, kDk, kDv, kLengths, kOffsets };  // five of the last

// Where each tensor's rows begin, in the order of AttentionOffsets.
enum Place { kAtQ, kAtK, kAtV, kAtO, kAtStatistics, kPlaces };

struct Describer {
  const AttentionShape& s;
  fe::graph::Graph& graph;
  TensorPtr lengths, offsets[kPlaces], before_tanh;

  Describer(const AttentionShape& shape, fe::graph::Graph& to) : s(shape), graph(to) {
    if (s.dense) return;
    lengths = list(kLengths, s.documents, fe::DataType_t::INT32);
    for (int i = 0; i < kPlaces; ++i)
      offsets[i] = list(kOffsets + i, s.documents + 1, s.wide ? fe::DataType_t::INT64 : fe::DataType_t::INT32);
  }

  TensorPtr list(int64_t uid, int64_t size, fe::DataType_t type) {
    return graph.tensor(fe::graph::Tensor_attributes()
                            .set_uid(uid)
                            .set_dim({size, 1, 1, 1})
                            .set_stride({1, 1, 1, 1})
                            .set_data_type(type));
  }

  // Sets what a tensor of [documents, heads, longest, D] looks like in memory, `row` elements from token to token.
  void heads(fe::graph::Tensor_attributes& tensor, int64_t uid, int64_t heads, int64_t row, Place place) {
    tensor.set_uid(uid)
        .set_dim({s.documents, heads, s.longest, s.head_dim})
        .set_stride({s.longest * row, s.head_dim, row, 1});
    if (!s.dense) tensor.set_ragged_offset(offsets[place]);
  }
  TensorPtr input(int64_t uid, int64_t heads_count, int64_t row, Place place) {
    fe::graph::Tensor_attributes tensor;
    heads(tensor, uid, heads_count, row, place);
    return graph.tensor(tensor);
  }
  void output(const TensorPtr& tensor, int64_t uid, int64_t heads_count, int64_t row, Place place) {
    tensor->set_output(true);
    heads(*tensor, uid, heads_count, row, place);
  }
  void statistics(fe::graph::Tensor_attributes& tensor) {
    tensor.set_uid(kStatistics).set_data_type(fe::DataType_t::FLOAT).set_dim({s.documents, s.q_heads, s.longest, 1});
    if (s.dense)
      tensor.set_stride({s.q_heads * s.longest, s.longest, 1, 1});
    else
      tensor.set_stride({s.q_heads * s.longest, 1, s.q_heads, 1}).set_ragged_offset(offsets[kAtStatistics]);
  }

  // softcap * tanh(scores / softcap), then the masks: cuDNN leaves them to whoever changes scores.
  TensorPtr cap_and_mask(const std::shared_ptr<fe::graph::Graph>& to, const TensorPtr& scores) {
    namespace masks = fe::graph::attn::score_modifiers;
    const auto by = [](float number) { return std::make_shared<fe::graph::Tensor_attributes>(number); };
    const auto mode = [](fe::PointwiseMode_t m) {
      return fe::graph::Pointwise_attributes().set_mode(m).set_compute_data_type(fe::DataType_t::FLOAT);
    };
    before_tanh = to->pointwise(scores, by(1 / s.softcap), mode(fe::PointwiseMode_t::MUL));
    const auto bent = to->pointwise(before_tanh, mode(fe::PointwiseMode_t::TANH_FWD));
    auto out = to->pointwise(bent, by(s.softcap), mode(fe::PointwiseMode_t::MUL));
    if (!s.dense) out = masks::padding_mask(to, out, lengths, lengths);
    if (s.window == 0) return masks::causal_mask(to, out);
    return masks::sliding_window_mask(to, out, fe::DiagonalAlignment_t::TOP_LEFT, s.window, 0, s.longest, s.longest,
                                      lengths, lengths);
  }
  // d tanh: softcap cancels.
  TensorPtr uncap(const std::shared_ptr<fe::graph::Graph>& to, const TensorPtr& d_scores) {
    return to->pointwise(d_scores, before_tanh,
                         fe::graph::Pointwise_attributes()
                             .set_mode(fe::PointwiseMode_t::TANH_BWD)
                             .set_compute_data_type(fe::DataType_t::FLOAT));
  }

  template <class Attributes>
  void mask(Attributes& attributes) {
    attributes.set_attn_scale(s.scale);
    if (s.softcap > 0) {
      attributes.set_score_mod([this](auto to, auto scores) { return cap_and_mask(to, scores); });
      if (!s.dense) attributes.set_seq_len_q(lengths).set_seq_len_kv(lengths);
      return;
    }
    attributes.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
    if (s.window > 0) attributes.set_diagonal_band_left_bound(static_cast<int>(s.window));
    if (!s.dense) attributes.set_padding_mask(true).set_seq_len_q(lengths).set_seq_len_kv(lengths);
  }

  void describe() {
    graph.set_io_data_type(s.dtype == DType::Half ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    const auto q = input(kQ, s.q_heads, s.q_row, kAtQ), k = input(kK, s.kv_heads, s.k_row, kAtK),
               v = input(kV, s.kv_heads, s.v_row, kAtV);
    if (!s.backward) {
      auto attributes = fe::graph::SDPA_attributes().set_name("attention").set_generate_stats(true);
      mask(attributes);
      auto [o, stats] = graph.sdpa(q, k, v, attributes);
      output(o, kO, s.q_heads, s.o_row, kAtO);
      stats->set_output(true);
      statistics(*stats);
      return;
    }
    const auto o = input(kO, s.q_heads, s.o_row, kAtO), d_o = input(kDo, s.q_heads, s.o_row, kAtO);
    fe::graph::Tensor_attributes stats;
    statistics(stats);
    auto attributes = fe::graph::SDPA_backward_attributes().set_name("attention_backward");
    mask(attributes);
    if (!s.dense) attributes.set_max_total_seq_len_q(s.tokens).set_max_total_seq_len_kv(s.tokens);
    if (s.softcap > 0) attributes.set_score_mod_bprop([this](auto to, auto d) { return uncap(to, d); });
    if (s.deterministic) attributes.set_deterministic_algorithm(true);
    auto [dq, dk, dv] = graph.sdpa_backward(q, k, v, o, d_o, graph.tensor(stats), attributes);
    output(dq, kDq, s.q_heads, s.q_row, kAtQ);
    output(dk, kDk, s.kv_heads, s.k_row, kAtK);
    output(dv, kDv, s.kv_heads, s.v_row, kAtV);
  }
};

std::mutex mutex;                      // cuDNN's handles are not for two threads at once
std::map<int, cudnnHandle_t> handles;  // of devices
// Never destroyed: at the end of the process cuDNN may be gone first.
auto& programs = *new std::map<std::pair<int, AttentionShape>, AttentionProgram>;

// The handle of the current device; null and a reason where cuDNN cannot be had.
cudnnHandle_t open_handle(int device, std::string& reason) {
  auto& handle = handles[device];
  if (handle) return handle;
  if (!cudnn_frontend::cudnn_dlhandle) {
    ::setenv("CUDNN_FRONTEND_CUDART_LIB_NAME", "libcudart.so.13", 0);  // else it looks for others first
    cudnn_frontend::cudnn_dlhandle = ::dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!cudnn_frontend::cudnn_dlhandle) reason = ::dlerror();
  }
  using Create = cudnnStatus_t (*)(cudnnHandle_t*);
  void* dl = cudnn_frontend::cudnn_dlhandle;
  const auto create = dl ? reinterpret_cast<Create>(::dlsym(dl, "cudnnCreate")) : nullptr;
  if (create && create(&handle) != CUDNN_STATUS_SUCCESS) handle = nullptr, reason = "cudnnCreate failed";
  return handle;
}

void build(AttentionProgram& program) {
  const auto handle = open_handle(program.device, program.reason);
  if (!handle) return;
  auto& graph = program.graph;
  Describer describer(program.shape, graph);  // cuDNN asks it again while it builds
  describer.describe();
  const auto good = [&](fe::error_t error) {
    if (error.is_bad()) program.reason = error.get_message();
    return error.is_good();
  };
  program.ready = good(graph.validate()) && good(graph.build_operation_graph(handle)) &&
                  good(graph.create_execution_plans({fe::HeurMode_t::A})) && good(graph.check_support(handle)) &&
                  good(graph.build_plans(handle)) && good(graph.get_workspace_size(program.workspace));
}

const AttentionProgram* find_program(const AttentionShape& shape, int64_t* workspace_bytes, const char** reason) {
  int device = 0;
  cudaGetDevice(&device);
  const std::lock_guard lock(mutex);
  const auto [place, fresh] = programs.try_emplace({device, shape});
  auto& program = place->second;
  if (fresh) {
    program.shape = shape, program.device = device;
    try {
      build(program);
    } catch (const std::exception& error) {
      program.reason = error.what();
    }
    if (!program.ready && program.reason.empty()) program.reason = "no engine takes it";
  }
  *workspace_bytes = program.workspace;
  *reason = program.ready ? nullptr : program.reason.c_str();
  return program.ready ? &program : nullptr;
}

const char* run_program(const AttentionProgram* program, const AttentionBuffers& at, Stream stream) {
  const auto& s = program->shape;
  const auto plain = [](const void* pointer) { return const_cast<void*>(pointer); };
  std::unordered_map<int64_t, void*> pack = {
      {kQ, plain(at.q)}, {kK, plain(at.k)}, {kV, plain(at.v)}, {kO, at.o}, {kStatistics, at.statistics}};
  if (s.backward) pack.insert({{kDo, plain(at.d_o)}, {kDq, at.dq}, {kDk, at.dk}, {kDv, at.dv}});
  if (!s.dense) {
    auto* lengths = static_cast<char*>(plain(at.offsets));
    const int64_t step = attention_offsets_step(s), size = s.wide ? 8 : 4;
    pack[kLengths] = lengths;
    for (int i = 0; i < kPlaces; ++i) pack[kOffsets + i] = lengths + step * (4 + i * size);
  }
  const std::lock_guard lock(mutex);
  const auto handle = handles.at(program->device);
  static const auto set_stream = reinterpret_cast<cudnnStatus_t (*)(cudnnHandle_t, cudaStream_t)>(
      ::dlsym(cudnn_frontend::cudnn_dlhandle, "cudnnSetStream"));
  if (set_stream(handle, static_cast<cudaStream_t>(stream)) != CUDNN_STATUS_SUCCESS) return "cudnnSetStream failed";
  auto error = program->graph.execute(handle, pack, at.workspace);
  if (error.is_good()) return nullptr;
  static std::string text;
  text = error.get_message();
  return text.c_str();
}

}  // namespace

const Attention kAttention = {
    find_program, run_program, write_attention_offsets,
    "cuDNN " AM_VERSION_TEXT(CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL) ", cuDNN's front end " AM_VERSION_TEXT(
        CUDNN_FRONTEND_MAJOR_VERSION, CUDNN_FRONTEND_MINOR_VERSION, CUDNN_FRONTEND_PATCH_VERSION)};

}  // namespace automodel::kernels::cuda
