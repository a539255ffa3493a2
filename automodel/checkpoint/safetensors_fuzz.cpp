// libFuzzer entry for the header of safetensors files: any outcome but a header inside the file or a CheckpointError is
// a fault.
//
// Build and run: tools/fuzz checkpoint/safetensors
// Sources: checkpoint/safetensors_header
// Links: -lc10
#include <cstdint>
#include <cstdlib>

#include "automodel/base/error.h"
#include "automodel/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const auto header = automodel::checkpoint::parse_safetensors_header(bytes, "fuzz");
    uint64_t next = 0;
    for (const auto& entry : header.tensors) {
      if (entry.begin != next || entry.end < entry.begin) std::abort();
      if (static_cast<uint64_t>(entry.numel()) * c10::elementSize(entry.dtype) != entry.bytes()) std::abort();
      next = entry.end;
    }
    if (header.data_begin + next != size) std::abort();
  } catch (const automodel::CheckpointError&) {
  }
  return 0;
}
