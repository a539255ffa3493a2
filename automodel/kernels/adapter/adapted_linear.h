// A linear with low-rank adapters as extra columns of its own product: LoRA at nearly the cost of the base.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "automodel/kernels/optimizer/optimizer_cuda.h"
#include "automodel/kernels/remade/remade.h"
#include "automodel/tensor/dropout.h"
#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// Adapter j of a fused linear adds to columns [begin, begin + rows) of y; its A is rows [j rank, (j + 1) rank) of a,
/// its B rows [b_begin, b_begin + rows) of b.
struct AdapterPiece {
  int64_t begin, rows, b_begin;
};

/// The adapters of one linear and the storage [[W, s B], [A, 0]] in which they lie beside the weight:
///
///   [out + extra, in + extra]   W [out, in] top left; s B_j in the columns in + j step ... of its rows; A_j in the
///   rows
///                               out + j step ...; zeros elsewhere. step = rank rounded up to 8, extra = all steps
///                               rounded up to 64.
///
/// W is the parameter's value, moved there when the storage is made (its old storage is let go); A and B stay tensors
/// of their own, what optimizer and checkpoint see, and are copied in by refresh(): one launch on a GPU.
class AdapterStorage {
 public:
  AdapterStorage(Parameter& weight, Parameter& a, Parameter& b, int64_t rank, double scale,
                 std::vector<AdapterPiece> pieces);

  int64_t extra() const { return extra_; }
  int64_t step() const { return step_; }
  int64_t rank() const { return rank_; }
  double scale() const { return scale_; }
  const std::vector<AdapterPiece>& pieces() const { return pieces_; }
  Parameter& weight() const { return weight_; }
  Parameter& a() const { return a_; }
  Parameter& b() const { return b_; }

  /// Makes the storage if the weight is not in it (first use, or the value was replaced), and copies A and B in if
  /// `copy`.
  void refresh(bool copy);

  at::Tensor rows() const;      // [W; A]  [out + extra, in]
  at::Tensor columns() const;   // [W | s B]  [out, in + extra]
  at::Tensor a_padded() const;  // A  [extra, in]
  at::Tensor b_padded() const;  // s B  [out, extra]

 private:
  struct Copy {
    at::Tensor from, to;
    double scale;
  };
  std::vector<Copy> copies() const;
  void copy_on_gpu();

  Parameter &weight_, &a_, &b_;
  int64_t rank_, step_, extra_, out_, in_;
  double scale_;
  std::vector<AdapterPiece> pieces_;
  at::Tensor all_;
  std::vector<cuda::CopyTensor> list_;       // the copies as the kernel takes them,
  std::array<const void*, 3> list_of_ = {};  // made from these storages of A, B and all
};

/// y = x W^T + bias (+ residual) + sum over j of m s x A_j^T B_j^T on the columns of piece j
///
/// x [T, in], y and residual [T, out], one dtype. Forward: x A^T goes into the extra elements of x's rows, then y = [x
/// | x A^T] [W | s B]^T is one product. Backward: dy s B goes into those of dy, then dx = [dy | dy s B] [W; A] is one;
/// dA and dB are small ones, summed into the parameters' sinks. x and dy without room behind their rows (padded.h) are
/// copied, or where that costs more the second product is split in two. y has room of extra() behind its rows, dx as x.
/// Keeps x (or how to make it) and x A^T. W's own gradient and the bias's are made too if they are trained.
/// m: `dropout`'s mask over y's elements, / (1 - p). With one the forward is the base's product, and one pass over y
/// that adds the adapters'; the backward is the same, with the mask applied where dy is read for them. `storage` must
/// outlive the backward and have been refreshed.
at::Tensor adapted_linear(const Remade& x, AdapterStorage& storage, Parameter* bias, const at::Tensor& residual = {},
                          const DropoutMask& dropout = {});

}  // namespace automodel::kernels
