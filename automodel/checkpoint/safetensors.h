// Reading safetensors files: u64 little-endian header length, a JSON header, then the tensors' bytes without gaps.
//
// The header is data from strangers: its length is bounded, every size and offset is checked before it is used, and
// nothing in it can run. What the PyPI library (safetensors 0.8) refuses is refused here too: gaps, overlaps, trailing
// bytes, lying sizes. A file is mapped, not read: opening costs the header alone, and a view of a tensor costs nothing
// until it is touched.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace automodel::checkpoint {

/// One tensor of a file.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;  // empty: a scalar
  uint64_t begin = 0;          // bytes, counted from the end of the header
  uint64_t end = 0;

  uint64_t bytes() const { return end - begin; }
  int64_t numel() const;
};

/// What stands before the data.
struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;             // in the order of their data
  std::map<std::string, std::string> metadata;  // "__metadata__": strings only
  uint64_t data_begin = 0;                      // where the data start in the file, in bytes
};

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the library bounds it
inline constexpr size_t kMaxDims = 32;

/// Parses and validates the header of a whole file. Throws CheckpointError that starts with `where` (the file) and
/// names the tensor at fault: a length beyond the file, JSON that is not the header's, a name twice, an unknown dtype,
/// offsets that are negative, out of order, overlapping, with gaps, not shape x dtype, or not ending where the file
/// ends.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where);

/// "F32", "BF16", "F8_E4M3", ... as files spell them; nothing for a dtype that the format lacks (or for an unknown
/// word).
std::optional<std::string_view> safetensors_dtype(at::ScalarType dtype);
std::optional<at::ScalarType> parse_safetensors_dtype(std::string_view word);

/// An open file. Copies share one mapping; threads may read the same object.
class SafetensorsFile {
 public:
  /// Throws SystemError when the file cannot be opened, CheckpointError when it is not what it should be.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  const std::vector<TensorEntry>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  uint64_t data_begin() const;
  uint64_t file_bytes() const;

  const TensorEntry* find(const std::string& name) const;  // nullptr: not in this file
  const TensorEntry& at(const std::string& name) const;    // CheckpointError: not in this file

  /// The tensor's bytes, little-endian, row-major, at any alignment; they live as long as a copy of this object.
  std::span<const std::byte> bytes(const TensorEntry& entry) const;

  /// The tensor over the mapped bytes, which it keeps alive: read only, a write to it is a segmentation fault. Bytes
  /// that are not aligned for their dtype are copied instead.
  at::Tensor view(const std::string& name) const { return view(at(name)); }
  at::Tensor view(const TensorEntry& entry) const;

  /// Tells the kernel to start reading the whole file from the disk now.
  void prefetch() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

/// "[4096, 1024]", for messages.
std::string format_shape(at::IntArrayRef shape);

}  // namespace automodel::checkpoint
