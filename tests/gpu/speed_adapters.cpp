#include <ATen/ops/empty.h>

#include "automodel/kernels/cuda/library.h"
#include "automodel/kernels/dropout/dropout_gpu.h"
#include "tests/gpu/speed.h"

namespace automodel::kernels::speed {

// SwiGLU between linears with adapters of rank 16, beside what it replaces: itself alone, and the pass over the
// gradient of gate and up. Bytes of SwiGLU alone.
void run_adapters() {
  const int64_t T = 8192, I = 14336, extra = 64, in = 4096;
  const double unit = static_cast<double>(T * I) * 2;
  const auto gate_up = random({T, 2 * I + extra}), dy = random({T, I}), a = random({extra, I + extra}),
             xa = random({T, extra}), sb = random({2 * I, in + extra}), after = random({T, extra});
  auto y = random({T, I + extra}), d = random({T, 2 * I + extra}), db = random({2 * I, 16}), da = random({16, I});
  const auto behind = [&](const at::Tensor& x, int64_t columns) {
    return static_cast<char*>(x.mutable_data_ptr()) + columns * 2;
  };
  const CudaLaunch on(dy);
  cuda::GatedAdapterForward forward{.dtype = cuda::DType::BFloat16,
                                    .f = 0,
                                    .rows = T,
                                    .columns = I,
                                    .rank = 16,
                                    .extra = extra,
                                    .gate_up = gate_up.const_data_ptr(),
                                    .a = a.const_data_ptr(),
                                    .y = y.mutable_data_ptr(),
                                    .xa = behind(y, I),
                                    .gate_up_stride = 2 * I + extra,
                                    .a_stride = I + extra,
                                    .y_stride = I + extra,
                                    .xa_stride = I + extra,
                                    .multiprocessors = on.multiprocessors()};
  const auto floats = dy.options().dtype(at::kFloat);
  const auto room = at::empty({cuda_table().gated_adapter.forward_workspace(forward)}, floats);
  forward.workspace = room.mutable_data_ptr<float>();
  measure("swiglu and x A^T forward", 3 * unit, [&] { on(cuda_table().gated_adapter.forward(forward, on.stream())); });
  cuda::GatedAdapterBackward backward{.dtype = cuda::DType::BFloat16,
                                      .grad_dtype = cuda::DType::BFloat16,
                                      .f = 0,
                                      .rows = T,
                                      .columns = I,
                                      .rank = 16,
                                      .rank_after = 16,
                                      .extra = extra,
                                      .step = 16,
                                      .gate_up = gate_up.const_data_ptr(),
                                      .dy = dy.const_data_ptr(),
                                      .xa = xa.const_data_ptr(),
                                      .sb = behind(sb, in),
                                      .dxa_after = after.const_data_ptr(),
                                      .d_gate_up = d.mutable_data_ptr(),
                                      .dxa = behind(d, 2 * I),
                                      .db = db.mutable_data_ptr(),
                                      .da = da.mutable_data_ptr(),
                                      .gate_up_stride = 2 * I + extra,
                                      .dy_stride = I,
                                      .xa_stride = extra,
                                      .sb_stride = in + extra,
                                      .dxa_after_stride = extra,
                                      .d_stride = 2 * I + extra,
                                      .dxa_stride = 2 * I + extra,
                                      .scale = 1,
                                      .multiprocessors = on.multiprocessors()};
  const auto more = at::empty({cuda_table().gated_adapter.backward_workspace(backward)}, floats);
  backward.workspace = more.mutable_data_ptr<float>();
  measure("swiglu and adapters' gradients backward", 5 * unit,
          [&] { on(cuda_table().gated_adapter.backward(backward, on.stream())); });
  const auto mask = cuda_mask(dropout_mask(0.1, RandomKey{1}));
  backward.mask = mask;
  measure("swiglu and adapters' gradients, dropped", 5 * unit,
          [&] { on(cuda_table().gated_adapter.backward(backward, on.stream())); });
  cuda::AdapterGradients pass{.dtype = cuda::DType::BFloat16,
                              .grad_dtype = cuda::DType::BFloat16,
                              .dy = d.const_data_ptr(),
                              .xa = xa.const_data_ptr(),
                              .sb = behind(sb, in),
                              .dxa = behind(d, 2 * I),
                              .db = db.mutable_data_ptr(),
                              .tokens = T,
                              .extra = extra,
                              .step = 16,
                              .rank = 16,
                              .b_rows = 2 * I,
                              .dy_stride = 2 * I + extra,
                              .xa_stride = extra,
                              .sb_stride = in + extra,
                              .dxa_stride = 2 * I + extra,
                              .scale = 1,
                              .mask_columns = 2 * I,
                              .multiprocessors = on.multiprocessors(),
                              .pieces = 2,
                              .piece = {{0, I, 0}, {I, I, I}}};
  const auto third = at::empty({cuda_table().adapter.workspace(pass)}, floats);
  pass.workspace = third.mutable_data_ptr<float>();
  measure("adapters' gradients of gate and up alone", 2 * unit,
          [&] { on(cuda_table().adapter.gradients(pass, on.stream())); });
  pass.mask = mask;
  measure("adapters' gradients alone, dropped", 2 * unit,
          [&] { on(cuda_table().adapter.gradients(pass, on.stream())); });
  const cuda::DroppedAdapters added{.dtype = cuda::DType::BFloat16,
                                    .y = d.mutable_data_ptr(),
                                    .xa = xa.const_data_ptr(),
                                    .sb = behind(sb, in),
                                    .tokens = T,
                                    .extra = extra,
                                    .step = 16,
                                    .y_stride = 2 * I + extra,
                                    .xa_stride = extra,
                                    .sb_stride = in + extra,
                                    .mask = mask,
                                    .mask_columns = 2 * I,
                                    .pieces = 2,
                                    .piece = {{0, I, 0}, {I, I, I}}};
  measure("what adapters of gate and up add, dropped", 4 * unit,
          [&] { on(cuda_table().adapter.add_dropped(added, on.stream())); });
}

}  // namespace automodel::kernels::speed
