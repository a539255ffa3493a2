#include "automodel/tokenizer/vocabulary_files.h"

#include <fmt/format.h>

#include <unordered_map>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/json_cursor.h"
#include "automodel/tokenizer/tokenizer_file.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

// Calls each(line, number from 1) for lines ended by \n or \r\n; a last one without end counts too.
template <class Each>
static void for_lines(std::string_view text, Each each) {
  size_t number = 0;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r') && end < text.size()) line.remove_suffix(1);
    each(line, ++number);
  }
}

void read_vocab_json(std::string_view text, const std::string& name, ModelFile& model) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  JsonCursor in(text, name);
  if (in.peek() != '{') in.fail("expected an object of token and id");
  read_vocabulary(in, model, text.size());
  if (in.peek() != '\0' || in.at() < text.size()) in.fail("text after the end of the object");
}

void read_merges_txt(std::string_view text, const std::string& name, ModelFile& model) {
  model.has_merges = true;
  for_lines(text, [&](std::string_view line, size_t number) {
    if (line.starts_with("#version")) return;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      throw DataError(fmt::format("{}:{}", name, number), "a merge is two tokens with one space between");
    const std::string_view merge = model.merge_text.emplace_back(line);
    model.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  });
}

void read_vocab_txt(std::string_view text, const std::string& name, ModelFile& model) {
  model.has_vocab = true;
  std::unordered_map<std::string_view, int32_t> ids;
  int32_t lines = 0;
  for_lines(text, [&](std::string_view line, size_t number) {
    if (find_invalid_utf8(line) != std::string::npos)
      throw DataError(fmt::format("{}:{}", name, number), "the token is not UTF-8");
    if (number > static_cast<size_t>(Vocabulary::kMaxId)) throw DataError(name, "the vocabulary is too large");
    while (!line.empty()) {
      const size_t last = previous_utf8(line, line.size());
      if (!has(decode_utf8(line.data() + last), kSpace)) break;
      line = line.substr(0, last);
    }
    ids[line] = lines++;
  });
  if (lines == 0) throw DataError(name, "holds no tokens");
  for (const auto& [token, id] : ids) model.vocabulary.add(token, id);
}

}  // namespace automodel::tokenizer
