#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/run_state.h"
#include "automodel/tensor/dtype.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr const char* kShardingInfo = "DCP_SHARDING_INFO";

SavedTensors::SavedTensors(const fs::path& folder) : folder_(folder) {
  std::vector<fs::path> paths;
  if (fs::is_directory(folder))
    for (const auto& file : fs::directory_iterator(folder))
      if (file.path().extension() == ".safetensors") paths.push_back(file.path());
  std::sort(paths.begin(), paths.end());
  files_.reserve(paths.size());  // the pieces point into them
  for (const auto& path : paths) {
    files_.emplace_back(path);
    add_file(files_.size() - 1);
  }
  check_pieces();
}

// {"a.weight": {"saved_offsets": [4, 0]}, ...}: plain nlohmann::json, whose maps are sorted, for names by the ten
// thousand.
static nlohmann::json sharding_info(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kShardingInfo);
  if (found == file.metadata().end()) return nullptr;
  auto tree = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!tree.is_object())
    throw CheckpointError(file.path().string(), fmt::format("its {} is no JSON object", kShardingInfo));
  return tree;
}

static std::vector<int64_t> saved_offsets(const SafetensorsFile& file, const TensorEntry& entry,
                                          const nlohmann::json& info) {
  if (info.is_null()) return std::vector<int64_t>(entry.shape.size(), 0);
  const auto fail = [&] {
    throw CheckpointError(
        file.path().string() + ": " + entry.name,
        fmt::format("expected saved_offsets in {} with {} numbers from 0", kShardingInfo, entry.shape.size()));
  };
  const auto found = info.find(entry.name);
  if (found == info.end() || !found->is_object() || !found->contains("saved_offsets")) fail();
  const auto& list = (*found)["saved_offsets"];
  if (!list.is_array() || list.size() != entry.shape.size()) fail();
  std::vector<int64_t> offsets;
  for (size_t d = 0; d < list.size(); ++d) {
    if (!list[d].is_number_unsigned() || list[d].get<uint64_t>() > uint64_t{1} << 56 ||
        entry.shape[d] > int64_t{1} << 56)
      fail();
    offsets.push_back(list[d].get<int64_t>());
  }
  return offsets;
}

void SavedTensors::add_file(size_t index) {
  const auto& file = files_[index];
  const auto info = sharding_info(file);
  for (const auto& entry : file.tensors()) {
    Piece piece{index, &entry, saved_offsets(file, entry, info)};
    auto [found, added] =
        tensors_.try_emplace(entry.name, Whole{entry.dtype, std::vector<int64_t>(entry.shape.size(), 0), {}});
    auto& whole = found->second;
    if (whole.dtype != entry.dtype || whole.shape.size() != entry.shape.size())
      throw CheckpointError(file.path().string() + ": " + entry.name,
                            "this piece and those in other files differ in dtype or dims");
    for (size_t d = 0; d < entry.shape.size(); ++d)
      whole.shape[d] = std::max(whole.shape[d], piece.offsets[d] + entry.shape[d]);
    whole.pieces.push_back(std::move(piece));
  }
}

namespace {
// The common box of two pieces: its first corner and size; false if they share nothing.
bool intersect(const std::vector<int64_t>& offsets_a, at::IntArrayRef shape_a, const std::vector<int64_t>& offsets_b,
               at::IntArrayRef shape_b, std::vector<int64_t>& begin, std::vector<int64_t>& size) {
  begin.clear(), size.clear();
  for (size_t d = 0; d < offsets_a.size(); ++d) {
    begin.push_back(std::max(offsets_a[d], offsets_b[d]));
    size.push_back(std::min(offsets_a[d] + shape_a[d], offsets_b[d] + shape_b[d]) - begin[d]);
    if (size[d] <= 0) return false;
  }
  return true;
}
at::Tensor box(at::Tensor tensor, const std::vector<int64_t>& offsets, const std::vector<int64_t>& begin,
               const std::vector<int64_t>& size) {
  for (size_t d = 0; d < begin.size(); ++d)
    tensor = tensor.narrow(static_cast<int64_t>(d), begin[d] - offsets[d], size[d]);
  return tensor;
}
}  // namespace

void SavedTensors::check_pieces() const {
  for (const auto& [name, whole] : tensors_) {
    const auto fail = [&, &name = name](const char* what) {
      throw CheckpointError(folder_.string() + ": " + name, what,
                            "the folder mixes files of several checkpoints, or some are missing");
    };
    // Pieces inside the box of the whole that share nothing fill it when their sizes add up.
    __int128 held = 0, expected = 1;
    for (const int64_t dim : whole.shape)
      if ((expected *= dim) > __int128{1} << 62) fail("the pieces lie too far apart");
    std::vector<int64_t> begin, size;
    for (size_t i = 0; i < whole.pieces.size(); ++i) {
      const auto& a = whole.pieces[i];
      held += a.entry->numel();
      for (size_t j = 0; j < i; ++j)
        if (intersect(a.offsets, a.entry->shape, whole.pieces[j].offsets, whole.pieces[j].entry->shape, begin, size))
          fail("two pieces of the tensor overlap");
    }
    if (held != expected) fail("the pieces leave gaps in the tensor");
  }
}

std::vector<std::string> SavedTensors::names() const {
  std::vector<std::string> names;
  for (const auto& [name, whole] : tensors_) names.push_back(name);
  return names;
}

const SavedTensors::Whole& SavedTensors::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw CheckpointError(folder_.string(), fmt::format("holds no tensor '{}'", name));
  return found->second;
}

void SavedTensors::copy_to(const std::string& name, const at::Tensor& target,
                           const std::vector<int64_t>& offsets) const {
  const auto& whole = at(name);
  const std::vector<int64_t> origin = offsets.empty() ? std::vector<int64_t>(whole.shape.size(), 0) : offsets;
  bool fits = static_cast<size_t>(target.dim()) == whole.shape.size() && origin.size() == whole.shape.size();
  for (size_t d = 0; fits && d < origin.size(); ++d)
    fits = origin[d] + target.size(static_cast<int64_t>(d)) <= whole.shape[d];
  if (offsets.empty()) fits = fits && target.sizes() == at::IntArrayRef(whole.shape);
  if (!fits)
    throw CheckpointError(
        folder_.string() + ": " + name,
        fmt::format("expected {}, the checkpoint has {}", format_shape(target.sizes()), format_shape(whole.shape)));
  if (target.scalar_type() != whole.dtype)
    throw CheckpointError(folder_.string() + ": " + name,
                          fmt::format("expected dtype {}, the checkpoint has {}", dtype_name(target.scalar_type()),
                                      dtype_name(whole.dtype)));
  at::NoGradGuard guard;
  std::vector<int64_t> begin, size;
  for (const auto& piece : whole.pieces) {
    if (!intersect(origin, target.sizes(), piece.offsets, piece.entry->shape, begin, size)) continue;
    box(target, origin, begin, size).copy_(box(files_[piece.file].view(*piece.entry), piece.offsets, begin, size));
  }
}

void load_tensors(const SavedTensors& saved, std::span<const NamedTensor> targets) {
  std::vector<std::string> missing, unwanted, wrong, wanted;
  for (const auto& target : targets) {
    wanted.push_back(target.name);
    if (!saved.contains(target.name)) {
      if (target.tensor.numel() > 0) missing.push_back(target.name);
      continue;
    }
    const bool whole = target.offsets.empty();
    if ((whole && target.tensor.sizes() != at::IntArrayRef(saved.shape(target.name))) ||
        target.tensor.scalar_type() != saved.dtype(target.name))
      wrong.push_back(fmt::format("[{}] expected {} {}, the checkpoint has {} {}", target.name,
                                  dtype_name(target.tensor.scalar_type()), format_shape(target.tensor.sizes()),
                                  dtype_name(saved.dtype(target.name)), format_shape(saved.shape(target.name))));
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& name : saved.names())
    if (!std::binary_search(wanted.begin(), wanted.end(), name)) unwanted.push_back(name);
  const auto fail = [](const std::vector<std::string>& items, const char* one, const char* many) {
    if (!items.empty())
      throw CheckpointError("training state",
                            fmt::format("{}: {}", counted(std::ssize(items), one, many), list_some(items)),
                            "resume with the configuration that wrote the checkpoint");
  };
  fail(missing, "tensor is missing", "tensors are missing");
  fail(unwanted, "tensor is not wanted by this run", "tensors are not wanted by this run");
  fail(wrong, "tensor does not fit", "tensors do not fit");
  for (const auto& target : targets)
    if (target.tensor.numel() > 0) saved.copy_to(target.name, target.tensor, target.offsets);
}

}  // namespace automodel::checkpoint
