// libFuzzer entry for chat rows: any JSON object as a row gives messages that every reader agrees on, or a DataError.
//
// Build and run: tools/fuzz data/messages
// Sources: data/messages
// Links: -lpthread
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/error.h"
#include "automodel/data/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  try {
    const data::Row row{parse_json(std::string(reinterpret_cast<const char*>(data), size), "fuzz"), "fuzz:1", 0};
    if (!row.value.is_object()) return 0;
    const Json tools = data::tools_of(row);
    if (!tools.is_null() && (!tools.is_array() || tools.empty())) __builtin_trap();
    const Json messages = data::messages_of(row);
    if (!messages.is_array() || messages.empty()) __builtin_trap();
    for (const Json& message : messages)
      if (!message["role"].is_string() || !message["content"].is_string()) __builtin_trap();
    if (data::fold_system_message(messages).empty()) __builtin_trap();
  } catch (const DataError&) {
  }
  return 0;
}
