// libFuzzer entry for Megatron's index: bytes in, sequences, documents and an order out, or one of our errors.
// An input is u16 N, N bytes of PREFIX.idx, and the rest as PREFIX.bin.
//
// Build and run: tools/fuzz data/megatron
// Sources: data/megatron_index data/megatron_order data/megatron_random
// Links: -lpthread
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "automodel/base/error.h"
#include "automodel/data/megatron_index.h"
#include "automodel/data/megatron_order.h"

namespace {

using namespace automodel;
using namespace automodel::data;

void read_all(const MegatronFile& file) {
  std::vector<int32_t> ids;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    try {
      ids.clear();
      const int64_t length = file.length(s);
      file.read(s, length / 3, length - length / 3, ids);
      if (static_cast<int64_t>(ids.size()) != length - length / 3) __builtin_trap();
      if (file.has_modes()) file.mode(s);
    } catch (const Error&) {
    }
  }
  for (int64_t d = 0; d < file.documents(); ++d) {
    try {
      const auto [begin, end] = file.document(d);
      if (begin > end || end > file.sequences()) __builtin_trap();
    } catch (const Error&) {
    }
  }
}

// Windows of a sane length over what the file says; every index must lie within it.
void order_all(const MegatronFile& file) {
  OrderRequest request;
  request.last = file.sequences();
  request.sequence_length = 64;
  request.samples = 50;
  const auto lengths = sequence_lengths(file, request);
  const auto plan = plan_epochs(lengths, request, "fuzz");
  if (plan.epochs * request.last > 1'000'000 || plan.samples > 1'000'000) return;
  const auto order = build_order(lengths, request, plan);
  if (static_cast<int64_t>(order.shuffle.size()) != plan.samples) __builtin_trap();
  for (const int32_t document : order.documents)
    if (document < 0 || document >= request.last) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  uint16_t index_bytes;
  std::memcpy(&index_bytes, data, 2);
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto cut = std::min<size_t>(index_bytes, text.size());
  try {
    const MegatronFile file(text.substr(0, cut), text.substr(cut), "fuzz");
    read_all(file);
    order_all(file);
  } catch (const Error&) {
  }
  return 0;
}
