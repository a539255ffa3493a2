// The two checksums by which the Hub names contents: sha256 for LFS files, git's blob sha1 for the others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace automodel::net {

/// Sha256: of the bytes. GitBlob: sha1 of "blob SIZE\0" and the bytes, as git names a file. (libcrypto, linked
/// statically: it uses the processor's own instructions, about four times as fast as plain C++.)
class Digest {
 public:
  enum class Kind { Sha256, GitBlob };
  Digest(Kind kind, uint64_t size);  ///< `size` in bytes of all that will come
  ~Digest();
  void update(const void* data, size_t size);
  std::string hex();  ///< lower case; once, at the end

 private:
  struct State;
  std::unique_ptr<State> state_;
  Kind kind_;
};

/// True if this etag is a checksum: 64 (sha256) or 40 (git blob sha1) lower-case hexadecimal digits.
bool is_checksum(std::string_view etag);

/// The checksum of a file in the kind of `etag`, which is_checksum(). Throws SystemError when it cannot be read.
std::string file_checksum(const std::filesystem::path& file, std::string_view etag);

}  // namespace automodel::net
