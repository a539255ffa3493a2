#include "automodel/tensor/batch.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "automodel/base/error.h"

namespace automodel {

int64_t Batch::longest() const {
  int64_t longest = 0;
  for (int64_t d = 0; d < documents(); ++d) longest = std::max(longest, cu_seqlens[d + 1] - cu_seqlens[d]);
  return longest;
}

Batch Batch::to(at::Device device) const {
  if (device.is_cpu()) return *this;
  Batch moved = *this;
  const auto copy = [&](const at::Tensor& host) { return host.pin_memory().to(device, true); };
  auto host_borders = at::empty({documents() + 1}, at::kInt);
  std::copy(cu_seqlens.begin(), cu_seqlens.end(), host_borders.mutable_data_ptr<int32_t>());
  moved.ids = copy(ids), moved.labels = copy(labels), moved.positions = copy(positions);
  moved.borders = copy(host_borders);
  return moved;
}

Batch make_batch(const std::vector<std::vector<int32_t>>& ids, const std::vector<std::vector<int32_t>>& labels) {
  if (!labels.empty() && labels.size() != ids.size())
    throw DataError("batch", fmt::format("{} documents but {} label lists", ids.size(), labels.size()));
  Batch batch;
  batch.cu_seqlens = {0};
  for (size_t d = 0; d < ids.size(); ++d) {
    if (ids[d].empty()) throw DataError(fmt::format("document {}", d), "has no tokens, expected at least one");
    if (!labels.empty() && labels[d].size() != ids[d].size())
      throw DataError(fmt::format("document {}", d),
                      fmt::format("has {} ids but {} labels, expected equally many", ids[d].size(), labels[d].size()));
    batch.cu_seqlens.push_back(batch.cu_seqlens.back() + static_cast<int64_t>(ids[d].size()));
  }
  const int64_t tokens = batch.cu_seqlens.back();
  batch.ids = at::empty({tokens}, at::kLong);
  batch.labels = at::empty({tokens}, at::kLong);
  batch.positions = at::empty({tokens}, at::kLong);
  auto* id = batch.ids.mutable_data_ptr<int64_t>();
  auto* label = batch.labels.mutable_data_ptr<int64_t>();
  auto* position = batch.positions.mutable_data_ptr<int64_t>();
  for (size_t d = 0; d < ids.size(); ++d) {
    for (size_t t = 0; t < ids[d].size(); ++t) {
      *id++ = ids[d][t];
      *position++ = static_cast<int64_t>(t);
      *label = !labels.empty() ? labels[d][t] : t + 1 < ids[d].size() ? ids[d][t + 1] : kIgnoreLabel;
      batch.trained_tokens += *label++ != kIgnoreLabel;
    }
  }
  return batch;
}

}  // namespace automodel
