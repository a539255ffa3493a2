// libFuzzer entry: any bytes as a template, over a chat with every kind of value. A fault must be a DataError, within
// bounds.
// Build and run: tools/fuzz tokenizer/jinja
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using automodel::Json;
  static const Json kVariables = Json::parse(R"({"messages": [{"role": "user", "content": "h\u00e9llo"},
      {"role": "assistant", "content": [{"type": "text", "text": "x"}], "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
      "tools": null, "bos_token": "<s>", "n": 3, "f": 0.1, "t": true, "e": [], "d": {}, "add_generation_prompt": true})");
  automodel::tokenizer::RenderOptions options;
  options.max_steps = 20000;
  options.max_output_bytes = 1 << 20;
  options.max_total_bytes = 1 << 24;
  options.max_depth = 300;
  try {
    const std::string source(reinterpret_cast<const char*>(data), size);
    automodel::tokenizer::ChatTemplate::parse(source, "fuzz").render(kVariables, options);
  } catch (const automodel::DataError&) {
  }
  return 0;
}
