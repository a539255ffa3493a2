#include "automodel/tokenizer/post_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/unicode.h"
#include "automodel/tokenizer/vocabulary.h"

namespace automodel::tokenizer {

static int32_t id_of(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(Vocabulary::kMaxId))
    throw DataError(where, fmt::format("a token id must be in [0, {}), not {}", Vocabulary::kMaxId, value.dump()));
  return value.get<int32_t>();
}

static int32_t id_of_pair(const Json& config, const char* key, const std::string& where) {
  const Json& pair = array_member(config, key, where);
  if (pair.size() != 2) throw DataError(where, fmt::format("'{}' must be [token, id]", key));
  return id_of(pair[1], where);
}

// The "single" list of a template: {"SpecialToken": {"id": name}} or {"Sequence": {"id": "A"}}.
static std::vector<int32_t> read_template(const Json& config, int32_t text, const std::string& where) {
  const Json& known = member(config, "special_tokens", where);
  std::vector<int32_t> parts;
  for (const Json& part : array_member(config, "single", where)) {
    if (part.is_object() && part.contains("Sequence")) {
      if (text_member(part["Sequence"], "id", where) != "A") throw DataError(where, "'single' names a second sequence");
      parts.push_back(text);
      continue;
    }
    const std::string name = text_member(member(part, "SpecialToken", where), "id", where);
    for (const Json& id : array_member(member(known, name.c_str(), where), "ids", where))
      parts.push_back(id_of(id, where));
  }
  return parts;
}

PostProcessor PostProcessor::make(const Json& config, const std::string& where) {
  PostProcessor made;
  if (!config.is_null()) made.add(config, where);
  return made;
}

PostProcessor PostProcessor::make_template(int32_t bos, int32_t eos) {
  PostProcessor made;
  Step step;
  step.inserts = true;
  if (bos >= 0) step.parts.push_back(bos);
  step.parts.push_back(kText);
  if (eos >= 0) step.parts.push_back(eos);
  made.steps_.push_back(step);
  return made;
}

void PostProcessor::add(const Json& config, const std::string& where) {
  const std::string type = type_of(config, where);
  Step step;
  if (type == "Sequence") {
    for (const Json& part : array_member(config, "processors", where)) add(part, where);
    return;
  }
  if (type == "TemplateProcessing") {
    step.inserts = true;
    step.parts = read_template(config, kText, where);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    step.inserts = true;
    step.parts = {id_of_pair(config, "cls", where), kText, id_of_pair(config, "sep", where)};
  } else if (type != "ByteLevel") {
    throw UnsupportedError(where, fmt::format("the post-processor type '{}' is not known to this build", type));
  }
  if (type == "ByteLevel" || type == "RobertaProcessing") {
    step.trim = flag_member(config, "trim_offsets", where);
    step.add_prefix_space = flag_member(config, "add_prefix_space", where);
  }
  steps_.push_back(std::move(step));
}

bool PostProcessor::trims() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) { return step.trim; });
}

// Blank characters leave the offsets; a single leading one of the first token stays if a space was put in front.
static void trim(std::string_view input, bool add_prefix_space, Tokens& tokens) {
  for (size_t i = 0; i < tokens.spans.size(); ++i) {
    Span& span = tokens.spans[i];
    size_t leading = tokens.blanks[i].leading, trailing = tokens.blanks[i].trailing;
    if ((i == 0 || span.begin == 0) && add_prefix_space && leading == 1) leading = 0;
    const uint32_t end = span.end;
    for (; leading > 0 && span.begin < end; --leading)
      span.begin += static_cast<uint32_t>(utf8_length(static_cast<unsigned char>(input[span.begin])));
    if (trailing > 0 && count_characters(input.substr(0, end)) >= trailing)
      for (; trailing > 0 && span.end > span.begin; --trailing)
        span.end = static_cast<uint32_t>(previous_utf8(input, span.end));
  }
}

void PostProcessor::apply(std::string_view input, bool add_special, Tokens& tokens) const {
  const bool offsets = !tokens.spans.empty() || !tokens.blanks.empty();
  for (const Step& step : steps_) {
    if (step.trim && offsets) trim(input, step.add_prefix_space, tokens);
    if (!step.inserts || !add_special) continue;
    const Tokens text = std::move(tokens);
    tokens = {};
    for (const int32_t part : step.parts) {
      if (part != kText) {
        tokens.ids.push_back(part);
        tokens.spans.push_back({0, 0});
        tokens.blanks.push_back({});
        continue;
      }
      tokens.ids.insert(tokens.ids.end(), text.ids.begin(), text.ids.end());
      tokens.spans.insert(tokens.spans.end(), text.spans.begin(), text.spans.end());
      tokens.blanks.insert(tokens.blanks.end(), text.blanks.begin(), text.blanks.end());
    }
  }
}

}  // namespace automodel::tokenizer
