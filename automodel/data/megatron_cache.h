// The files in which NeMo AutoModel keeps the order of a Megatron data set, under its names and with its bytes:
//   HASH-GPTDataset-SPLIT-{document,sample,shuffle}_index.npy     HASH-BlendedDataset-SPLIT-dataset{,_sample}_index.npy
//   HASH-...-description.txt
// HASH is the MD5 of the description, which names everything the order depends on. Either program finds what the other
// wrote.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "automodel/base/file.h"
#include "automodel/base/json.h"

namespace automodel::data {

/// json.dumps(value, indent=4) of Python: floats by their repr, everything but ASCII escaped.
std::string indented_python_json(const Json& value);

/// An array of numpy of one or two dimensions.
struct NpyShape {
  std::string type;  // "<i4"
  int64_t item_bytes = 4;
  std::vector<int64_t> sizes;
};

/// What numpy.save writes before the values.
std::string npy_header(const NpyShape& shape);

/// Writes it whole or not at all; two processes may do so at once. Throws SystemError.
void write_npy(const std::filesystem::path& file, const NpyShape& shape, const void* values);

/// A mapped .npy file of a known shape.
class NpyFile {
 public:
  /// Throws DataError when it holds anything else, SystemError when it cannot be read.
  NpyFile(const std::filesystem::path& file, const NpyShape& shape);
  const char* values() const { return file_.text().data() + begin_; }

 private:
  MappedFile file_;
  size_t begin_ = 0;
};

}  // namespace automodel::data
