#include "automodel/checkpoint/safetensors_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/checkpoint/safetensors.h"

namespace automodel::checkpoint {

static constexpr int64_t kChunkBytes = 8 << 20;  // of strided or converted tensors, made contiguous at a time

at::ScalarType stored_dtype(const at::Tensor& tensor, std::optional<at::ScalarType> dtype) {
  return dtype && tensor.is_floating_point() ? *dtype : tensor.scalar_type();
}

uint64_t stored_bytes(const at::Tensor& tensor, std::optional<at::ScalarType> dtype) {
  return static_cast<uint64_t>(tensor.numel()) * c10::elementSize(stored_dtype(tensor, dtype));
}

namespace {

class SummedFile {
 public:
  explicit SummedFile(const std::filesystem::path& path) : writer_(path), record_{path.filename().string()} {}
  void write(const void* data, size_t size) {
    writer_.write(data, size);
    record_.bytes += size;
    record_.crc32c = crc32c(record_.crc32c, data, size);
  }
  FileRecord close() {
    writer_.close();
    return record_;
  }

 private:
  FileWriter writer_;
  FileRecord record_;
};

std::vector<const NamedTensor*> file_order(std::span<const NamedTensor> tensors, std::optional<at::ScalarType> dtype) {
  std::vector<const NamedTensor*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [&](const NamedTensor* a, const NamedTensor* b) {
    const auto width_a = c10::elementSize(stored_dtype(a->tensor, dtype));
    const auto width_b = c10::elementSize(stored_dtype(b->tensor, dtype));
    return width_a != width_b ? width_a > width_b : a->name < b->name;
  });
  return order;
}

std::string make_header(const std::filesystem::path& path, const std::vector<const NamedTensor*>& order,
                        const std::map<std::string, std::string>& metadata, std::optional<at::ScalarType> dtype) {
  // Written piece by piece: an ordered tree would search all names for each new one.
  std::string text = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
  std::set<std::string_view> names;
  uint64_t next = 0;
  for (const auto* named : order) {
    const auto word = safetensors_dtype(stored_dtype(named->tensor, dtype));
    if (!word)
      throw CheckpointError(
          path.string() + ": " + named->name,
          fmt::format("dtype {} cannot be stored in safetensors", c10::toString(named->tensor.scalar_type())));
    if (!names.insert(named->name).second || named->name == "__metadata__")
      throw CheckpointError(path.string() + ": " + named->name, "the name comes twice or is reserved");
    const uint64_t end = next + stored_bytes(named->tensor, dtype);
    const auto shape = named->tensor.sizes();
    text +=
        fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                    nlohmann::json(named->name).dump(), *word, fmt::join(shape.begin(), shape.end(), ","), next, end);
    next = end;
  }
  text += '}';
  text.append((64 - (text.size() + 8) % 64) % 64, ' ');  // so that the data start at a cache line of the mapped file
  if (text.size() > kMaxHeaderBytes) throw CheckpointError(path.string(), "too many tensors for one file");
  return text;
}

void write_tensor(SummedFile& file, const at::Tensor& tensor, at::ScalarType dtype) {
  if (tensor.numel() == 0) return;
  if (tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == dtype) {
    constexpr size_t kStep = 1 << 20;  // checksum and write while the bytes are in the cache
    const auto* data = static_cast<const char*>(tensor.const_data_ptr());
    for (size_t at = 0, size = tensor.nbytes(); at < size; at += kStep)
      file.write(data + at, std::min(kStep, size - at));
    return;
  }
  const auto write_piece = [&](const at::Tensor& piece) {
    const at::Tensor plain = piece.to(at::TensorOptions().dtype(dtype).device(at::kCPU)).contiguous();
    file.write(plain.const_data_ptr(), plain.nbytes());
  };
  if (tensor.dim() == 0) return write_piece(tensor);
  const int64_t row_bytes =
      std::max<int64_t>(1, tensor.numel() / tensor.size(0) * static_cast<int64_t>(c10::elementSize(dtype)));
  const int64_t rows = std::max<int64_t>(1, kChunkBytes / row_bytes);
  for (int64_t row = 0; row < tensor.size(0); row += rows)
    write_piece(tensor.narrow(0, row, std::min(rows, tensor.size(0) - row)));
}

}  // namespace

FileRecord write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                             std::map<std::string, std::string> metadata, std::optional<at::ScalarType> dtype) {
  at::NoGradGuard guard;
  metadata.emplace("format", "pt");
  const auto order = file_order(tensors, dtype);
  const std::string header = make_header(path, order, metadata, dtype);
  SummedFile file(path);
  const uint64_t length = header.size();
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  for (const auto* named : order) write_tensor(file, named->tensor, stored_dtype(named->tensor, dtype));
  return file.close();
}

at::Tensor checkpoint_view(const at::Tensor& whole, const ParameterSlice& slice) {
  const at::Tensor rows = Parameter::view(whole, slice);
  return slice.transposed ? rows.t() : rows;
}

std::vector<NamedTensor> named_tensors(std::span<const ParameterPtr> parameters) {
  std::vector<NamedTensor> tensors;
  std::set<const Parameter*> seen;  // a tied parameter is listed by its owner and by its borrowers
  for (const auto& parameter : parameters) {
    if (!seen.insert(parameter.get()).second) continue;
    for (const auto& slice : parameter->slices())
      tensors.push_back({slice.name, checkpoint_view(parameter->value(), slice), {}});
  }
  return tensors;
}

FileRecord write_text_file(const std::filesystem::path& path, std::string_view text) {
  SummedFile file(path);
  file.write(text.data(), text.size());
  return file.close();
}

}  // namespace automodel::checkpoint
