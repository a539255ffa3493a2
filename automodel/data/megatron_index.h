// MegatronFile: an indexed data set of Megatron, PREFIX.idx and PREFIX.bin, mapped.
//
// PREFIX.idx, little-endian and unaligned:
//   9 bytes   "MMIDIDX\0\0"
//   u64       version, 1
//   u8        dtype: 1 uint8, 2 int8, 3 int16, 4 int32, 5 int64, 6 float64, 7 float32, 8 uint16
//   u64 S     sequences
//   u64 D     document borders (documents + 1)
//   i32[S]    tokens of each sequence
//   i64[S]    the byte in PREFIX.bin where each begins
//   i64[D]    the first sequence of each document; the first border is 0, the last is S
//   i8[S]     modes, in multimodal sets only
// Nothing in it is believed: sizes are held to the files' own at open(), each entry when it is read. All members may be
// called from several threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/file.h"

namespace automodel::data {

enum class MegatronType : uint8_t { Uint8 = 1, Int8, Int16, Int32, Int64, Float64, Float32, Uint16 };

/// Bytes of one token; 0 for what is no code.
int64_t size_of(MegatronType type);
/// numpy's name of it: "uint16".
std::string_view name_of(MegatronType type);

/// The header of PREFIX.idx held to the size of the file.
struct MegatronHeader {
  static constexpr size_t kBytes = 34;
  MegatronType type = MegatronType::Int32;
  int64_t sequences = 0, borders = 0;
  bool has_modes = false;

  /// Throws DataError{where} for what is no index or has another size than its counts say, UnsupportedError for other
  /// versions and the formats that came before this one.
  static MegatronHeader parse(std::string_view bytes, const std::string& where);
  /// The same 34 bytes.
  std::string bytes() const;
};

class MegatronFile {
 public:
  /// `prefix` may also name one of the two files. Throws SystemError, DataError, UnsupportedError.
  explicit MegatronFile(const std::string& prefix);
  /// From bytes (for tests and fuzzing); `where` stands for the prefix.
  MegatronFile(std::string_view index, std::string_view tokens, const std::string& where);
  MegatronFile(const MegatronFile&) = delete;

  const std::string& prefix() const { return prefix_; }
  MegatronType type() const { return header_.type; }
  bool has_modes() const { return header_.has_modes; }
  int64_t sequences() const { return header_.sequences; }
  int64_t documents() const { return header_.borders - 1; }

  /// Tokens of a sequence. REQUIRES 0 <= sequence < sequences(). Throws DataError when it is negative or the sequence
  /// does not lie within PREFIX.bin.
  int64_t length(int64_t sequence) const;
  int8_t mode(int64_t sequence) const;  // REQUIRES has_modes()
  /// First sequence of a document and the one after its last. Throws DataError where borders go backward.
  std::pair<int64_t, int64_t> document(int64_t document) const;

  /// Appends `count` tokens of a sequence, from its `offset`-th on, to `ids`. Throws DataError when they do not lie
  /// within it or do not fit 32 bits, UnsupportedError when they are no integers.
  void read(int64_t sequence, int64_t offset, int64_t count, std::vector<int32_t>& ids) const;

 private:
  void check_borders() const;
  std::string prefix_, index_name_, tokens_name_;
  std::vector<MappedFile> files_;  // none when made from bytes
  std::string_view index_, tokens_;
  MegatronHeader header_;
};

/// PREFIX of PREFIX, PREFIX.bin or PREFIX.idx.
std::string megatron_prefix(const std::string& path);

}  // namespace automodel::data
