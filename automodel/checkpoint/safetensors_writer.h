// Writing safetensors files: the header is known from shapes and dtypes alone, so the tensors stream to the disk one
// after the other, without a copy of those that lie as the file wants them.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "automodel/tensor/parameter.h"

namespace automodel::checkpoint {

/// A tensor under its Hugging Face name and in its Hugging Face layout; it may be strided (a transposed view) and on
/// any device.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  std::vector<int64_t> offsets;  // where this piece lies in the whole tensor, one a dim; empty: at 0
};

/// A file as a manifest records it.
struct FileRecord {
  std::string path;  // relative to the folder of the manifest, '/' between its parts
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
};

/// Writes `tensors` and flushes the file to disk; the record's path is the file's name. With `dtype`, floating tensors
/// are converted to it on the way, a few MiB at a time. The order in the file is the library's (wide dtypes first, then
/// names), so that every tensor is aligned; the header is padded so that the data start at a multiple of 64. `metadata`
/// is added to {"format": "pt"}. Throws SystemError (full disk; nothing is left behind), CheckpointError for a dtype
/// that the format lacks or a name twice.
FileRecord write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                             std::map<std::string, std::string> metadata = {},
                             std::optional<at::ScalarType> dtype = std::nullopt);

/// The pieces of parameters under their Hugging Face names and in their Hugging Face layout: views of value().
std::vector<NamedTensor> named_tensors(std::span<const ParameterPtr> parameters);

/// The rows of `whole` (shaped like the parameter: a value, a gradient, an optimizer state) that `slice` names, as the
/// checkpoint holds them: transposed where the slice says so. A view.
at::Tensor checkpoint_view(const at::Tensor& whole, const ParameterSlice& slice);

/// What a tensor takes in the file: its own dtype, or `dtype` where that replaces a floating one.
at::ScalarType stored_dtype(const at::Tensor& tensor, std::optional<at::ScalarType> dtype);
uint64_t stored_bytes(const at::Tensor& tensor, std::optional<at::ScalarType> dtype);

/// Writes a small file and flushes it to disk.
FileRecord write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace automodel::checkpoint
