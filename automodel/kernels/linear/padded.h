// Rows with spare elements behind each: where a product wants [x | more] without a copy of x, whoever makes x leaves
// room.
#pragma once

#include <ATen/core/Tensor.h>

namespace automodel::kernels {

/// [rows, columns] uninitialised, each row followed by `padding` spare elements. What is in them belongs to whoever
/// takes x as its last reader. 0: an ordinary tensor.
at::Tensor empty_padded(int64_t rows, int64_t columns, int64_t padding, const at::TensorOptions& options);

/// The spare elements of a tensor that empty_padded made, or a reshape of the whole of one; 0 for every other tensor,
/// also one that is part of a wider tensor: its neighbours are somebody's. x [rows, ...].
int64_t row_padding(const at::Tensor& x);

/// x with its spare elements, [rows, columns + row_padding(x)]. No autograd history. x [rows, columns].
at::Tensor with_padding(const at::Tensor& x);

/// empty_padded with the sizes and the padding of x: the form that a gradient of x should have.
at::Tensor empty_padded_like(const at::Tensor& x);

/// x itself if its rows have `padding` spare elements, else a copy that has.
at::Tensor padded(const at::Tensor& x, int64_t padding);

}  // namespace automodel::kernels
