// libFuzzer entry for JSON: any bytes are a value that is written and read back the same, or a DataError with a place.
//
// Build and run: tools/fuzz base/json
// Links: -lpthread
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "automodel/base/error.h"
#include "automodel/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json value = parse_json(std::string(text), "fuzz");
    if (parse_json(value.dump(), "again") != value) __builtin_trap();
  } catch (const DataError& error) {
    if (std::string_view(error.what()).substr(0, 4) != "fuzz") __builtin_trap();
  }
  return 0;
}
