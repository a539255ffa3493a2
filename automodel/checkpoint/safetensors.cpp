#include "automodel/checkpoint/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"

namespace automodel::checkpoint {

struct SafetensorsFile::Mapping {
  explicit Mapping(const std::filesystem::path& path)
      : path(path), file(path), header(parse_safetensors_header(file.bytes(), path.string())) {
    for (size_t i = 0; i < header.tensors.size(); ++i) index.emplace(header.tensors[i].name, i);
  }
  std::filesystem::path path;
  MappedFile file;
  SafetensorsHeader header;
  std::unordered_map<std::string, size_t> index;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : mapping_(std::make_shared<const Mapping>(path)) {}

const std::filesystem::path& SafetensorsFile::path() const { return mapping_->path; }
const std::vector<TensorEntry>& SafetensorsFile::tensors() const { return mapping_->header.tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return mapping_->header.metadata; }
uint64_t SafetensorsFile::data_begin() const { return mapping_->header.data_begin; }
uint64_t SafetensorsFile::file_bytes() const { return mapping_->file.bytes().size(); }

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = mapping_->index.find(name);
  return found == mapping_->index.end() ? nullptr : &mapping_->header.tensors[found->second];
}

const TensorEntry& SafetensorsFile::at(const std::string& name) const {
  if (const auto* entry = find(name)) return *entry;
  std::vector<std::string> names;
  for (const auto& entry : tensors()) names.push_back(entry.name);
  const std::string near = nearest(name, names);
  throw CheckpointError(path().string(), fmt::format("holds no tensor '{}'", name),
                        near.empty() ? "" : fmt::format("it holds '{}'", near));
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorEntry& entry) const {
  return mapping_->file.bytes().subspan(data_begin() + entry.begin, entry.bytes());
}

at::Tensor SafetensorsFile::view(const TensorEntry& entry) const {
  const auto data = bytes(entry);
  const auto options = at::TensorOptions().dtype(entry.dtype);
  if (data.empty()) return at::empty(entry.shape, options);
  if (reinterpret_cast<uintptr_t>(data.data()) % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.data_ptr(), data.data(), data.size());
    return copy;
  }
  void* pointer = const_cast<std::byte*>(data.data());  // from_blob knows no read-only memory; the mapping is
  return at::from_blob(
      pointer, entry.shape, [keep = mapping_](void*) {}, options);
}

void SafetensorsFile::prefetch() const {
  const auto all = mapping_->file.bytes();
  if (!all.empty()) ::madvise(const_cast<std::byte*>(all.data()), all.size(), MADV_WILLNEED);
}

}  // namespace automodel::checkpoint
