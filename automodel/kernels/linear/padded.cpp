#include "automodel/kernels/linear/padded.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>

namespace automodel::kernels {

// A padded tensor is told from part of another one by its storage, which has this many elements more than the rows
// take: they say how many of each row's are spare.
static int64_t guard_of(int64_t padding) { return 16 + padding; }

at::Tensor empty_padded(int64_t rows, int64_t columns, int64_t padding, const at::TensorOptions& options) {
  if (padding == 0) return at::empty({rows, columns}, options);
  const at::AutoDispatchBelowADInplaceOrView below;  // to autograd it is no view
  const int64_t row = columns + padding;
  return at::empty({rows * row + guard_of(padding)}, options).as_strided({rows, columns}, {row, 1});
}

int64_t row_padding(const at::Tensor& x) {
  if (x.dim() < 2 || x.storage_offset() != 0) return 0;
  int64_t columns = 1;
  for (int64_t dim = x.dim() - 1; dim > 0; --dim) {
    if (x.size(dim) != 1 && x.stride(dim) != columns) return 0;
    columns *= x.size(dim);
  }
  const int64_t padding = x.stride(0) - columns;
  const auto elements = static_cast<int64_t>(x.storage().nbytes() / x.element_size());
  return padding > 0 && elements == x.size(0) * x.stride(0) + guard_of(padding) ? padding : 0;
}

at::Tensor with_padding(const at::Tensor& x) {
  const at::AutoDispatchBelowADInplaceOrView below;
  return x.as_strided({x.size(0), x.size(1) + row_padding(x)}, {x.stride(0), 1});
}

at::Tensor empty_padded_like(const at::Tensor& x) {
  int64_t columns = 1;
  for (int64_t dim = 1; dim < x.dim(); ++dim) columns *= x.size(dim);
  const auto rows = empty_padded(x.size(0), columns, row_padding(x), x.options().requires_grad(false));
  const at::AutoDispatchBelowADInplaceOrView below;
  return x.dim() == 2 ? rows : rows.view(x.sizes());
}

at::Tensor padded(const at::Tensor& x, int64_t padding) {
  if (row_padding(x) == padding) return x;
  auto copy = empty_padded(x.size(0), x.size(1), padding, x.options().requires_grad(false));
  copy.copy_(x.detach());
  return copy;
}

}  // namespace automodel::kernels
