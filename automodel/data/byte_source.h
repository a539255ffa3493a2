// ByteSource: the bytes of a file by offset, whether they lie there plainly or packed by gzip or zstd.
//
// A packed file is unpacked as far as it is read, into a nameless file in $TMPDIR (else /var/tmp) that vanishes with
// the object: any place in it can then be read again, the memory held is one block, and what is read first is there at
// once. The disk must have room for the unpacked file. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace automodel::data {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Reads up to `bytes` from `offset`; fewer only at the end. Throws SystemError, or DataError for a packed file that
  /// is damaged or cut short.
  virtual size_t read_at(int64_t offset, char* to, size_t bytes) = 0;
  /// A path by which the whole plain file can be opened while the object lives; unpacks it to its end.
  virtual std::string plain_path() = 0;
};

/// A file whose name ends in .gz (any number of members) or .zst (any number of frames) is unpacked. Throws SystemError
/// when it cannot be opened, UnsupportedError for .bz2 and .xz.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

/// The same for reading from front to back only, which needs no room on the disk: what lies before the highest offset
/// read so far is gone, and asking for it is a programmer's fault. plain_path() is not to be had of a packed file.
std::unique_ptr<ByteSource> open_bytes_forward(const std::string& path);

/// A nameless file in $TMPDIR, else /var/tmp: its descriptor, which the caller closes. Throws SystemError.
int open_nameless_file();

}  // namespace automodel::data
