// libFuzzer entry: the first byte chooses a class, bytes up to the mark "\xFF\xFE" are a SentencePiece model, the rest
// is a text. Only our own errors may come out.
//
// Build and run: tools/fuzz tokenizer/sentencepiece
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/error.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/pipeline.h"
#include "automodel/tokenizer/sentencepiece.h"
#include "automodel/tokenizer/sentencepiece_convert.h"

using namespace automodel;
using namespace automodel::tokenizer;

static void try_text(const Tokenizer& tokenizer, const std::string& text) {
  const auto encoding = tokenizer.encode_with_offsets(text, true);
  tokenizer.decode(encoding.ids, false);
  for (const auto& [begin, end] : encoding.offsets)
    if (begin > end || end > text.size()) __builtin_trap();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr const char* kClasses[] = {
      "", "TokenizersBackend", "LlamaTokenizer", "GemmaTokenizer", "T5Tokenizer", "XLMRobertaTokenizer"};
  const std::string name = kClasses[data[0] % std::size(kClasses)];
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t cut = bytes.find("\xFF\xFE");
  const std::string text = cut == std::string::npos ? "Hello  w\u00F6rld 123" : bytes.substr(cut + 2);
  try {
    SentencePieceFile file = parse_sentencepiece(bytes.substr(0, cut), "fuzz");
    if (name.empty()) {
      try_text(*make_sentencepiece(std::move(file), "fuzz"), text);
      return 0;
    }
    Source source = from_sentencepiece("fuzz", file, name, Json::object());
    if (!source.whole) apply_class(name, Json::object(), source.file, "fuzz");
    try_text(Pipeline(std::move(source.file), "fuzz"), text);
  } catch (const Error&) {
  }
  return 0;
}
