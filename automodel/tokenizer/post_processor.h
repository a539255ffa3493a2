// Post-processors of tokenizer.json: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence; for
// single texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/normalized.h"

namespace automodel::tokenizer {

/// The tokens of a text on their way out.
struct Tokens {
  struct Blanks {
    uint16_t leading = 0, trailing = 0;  // blank characters at the token's ends, with byte-level's sign for a space
  };
  std::vector<int32_t> ids;
  std::vector<Span> spans;     // bytes of the input; empty if offsets are not wanted
  std::vector<Blanks> blanks;  // beside spans, if trims()
};

class PostProcessor {
 public:
  /// null: none. Throws DataError{where}, or UnsupportedError for an unknown type.
  static PostProcessor make(const Json& config, const std::string& where);

  /// A template of bos and eos ids, -1 for none.
  static PostProcessor make_template(int32_t bos, int32_t eos);

  void apply(std::string_view input, bool add_special, Tokens& tokens) const;
  bool trims() const;  // some step takes blanks off the offsets

 private:
  struct Step {
    bool trim = false, add_prefix_space = false;  // ByteLevel, RobertaProcessing
    bool inserts = false;
    std::vector<int32_t> parts;  // if inserts: ids, and kText where the text goes
  };
  static constexpr int32_t kText = -1;
  void add(const Json& config, const std::string& where);
  std::vector<Step> steps_;
};

}  // namespace automodel::tokenizer
