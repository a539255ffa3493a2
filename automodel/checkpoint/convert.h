// Copies the elements of a stored tensor into a parameter's memory: any floating dtype to any other, optionally
// transposed, with a look for NaN and Inf on the way. Plain memory, no tensors: pieces run on any thread.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>

namespace automodel::checkpoint {

/// A stored matrix (or anything seen as one) and where it goes. Both are contiguous; the source may lie at any
/// alignment.
struct ConvertJob {
  const std::byte* source = nullptr;
  at::ScalarType source_dtype = at::kFloat;
  void* target = nullptr;  // nullptr: only look at the values
  at::ScalarType target_dtype = at::kFloat;
  int64_t rows = 0;  // of the target, [rows, columns]
  int64_t columns = 0;
  bool transposed = false;  // the source is [columns, rows]
};

/// F64, F32, F16, BF16, F8_E4M3, F8_E5M2 can be read; F64, F32, F16, BF16 written.
bool convertible(at::ScalarType source, at::ScalarType target);

/// Fills rows [begin, end) of the target. Equal dtypes are copied bit for bit; others round to nearest even through
/// float32, as Tensor.to() does. True if every value that was read is finite. REQUIRES convertible().
bool convert_rows(const ConvertJob& job, int64_t begin, int64_t end);

}  // namespace automodel::checkpoint
