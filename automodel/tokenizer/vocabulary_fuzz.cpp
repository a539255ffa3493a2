// libFuzzer entry: the first byte chooses a format (tiktoken's ranks, tekken.json, vocab.json, merges.txt, vocab.txt),
// the rest is such a file. Only our own errors may come out.
//
// Build and run: tools/fuzz tokenizer/vocabulary
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/error.h"
#include "automodel/tokenizer/encodings.h"
#include "automodel/tokenizer/vocabulary_files.h"

using namespace automodel;
using namespace automodel::tokenizer;

static void read_one(unsigned format, const std::string& bytes) {
  TokenizerFile file;
  if (format == 0) {
    fill_from_ranks(parse_tiktoken(bytes, "fuzz"), 0, MergeOrder::kLibrary, file.model, "fuzz");
    file.rest = byte_pair_parts(encoding_rules("cl100k_base")->pattern, {"<|end|>"});
  } else if (format == 1) {
    fill_from_tekken(parse_tekken(bytes, "fuzz"), MergeOrder::kTiktoken, file, "fuzz");
  } else {
    file.rest = Json::object();
    const bool words = format == 4;
    file.model.settings = words ? Json{{"type", "WordPiece"},
                                       {"unk_token", "[UNK]"},
                                       {"continuing_subword_prefix", "##"},
                                       {"max_input_chars_per_word", 100}}
                                : Json{{"type", "BPE"}};
    if (words)
      read_vocab_txt(bytes, "fuzz", file.model);
    else
      read_vocab_json(format == 2 ? bytes : R"({"a": 0, "b": 1, "ab": 2})", "fuzz", file.model);
    if (!words) read_merges_txt(format == 3 ? bytes : "#version: 0.2\na b\n", "fuzz", file.model);
  }
  const Pipeline pipeline(std::move(file), "fuzz");
  const auto encoding = pipeline.encode_with_offsets("Hello  w\u00F6rld 123 ab<|end|>", true);
  pipeline.decode(encoding.ids, false);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    read_one(data[0] % 5, std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  } catch (const Error&) {
  }
  return 0;
}
