// libFuzzer entry: bytes up to the first zero are a tokenizer.json, the rest is a text. Only our own errors may come
// out.
//
// Build and run: tools/fuzz tokenizer/tokenizer
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/error.h"
#include "automodel/tokenizer/pipeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = bytes.find('\0');
  const std::string text = cut == std::string::npos ? "Hello w\u00F6rld 123" : bytes.substr(cut + 1);
  try {
    const automodel::tokenizer::Pipeline pipeline(
        automodel::tokenizer::parse_tokenizer_file(bytes.substr(0, cut), "fuzz"), "fuzz");
    const auto encoding = pipeline.encode_with_offsets(text, true);
    pipeline.decode(encoding.ids, false);
  } catch (const automodel::Error&) {
  }
  return 0;
}
