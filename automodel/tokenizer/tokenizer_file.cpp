#include "automodel/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/tokenizer/json_cursor.h"

namespace automodel::tokenizer {

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Gathers the members that are kept as JSON.
class Rest {
 public:
  void add(std::string_view key, std::string_view value) {
    text_ += text_.empty() ? "{" : ",";
    text_.append(Json(std::string(key)).dump()).append(":").append(value);
  }
  std::string finish() { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  std::string text_;
};

void add_token(JsonCursor& in, ModelFile& model, std::string_view token, long id) {
  if (model.vocabulary.add(token, static_cast<int32_t>(id))) return;
  if (model.vocabulary.contains(static_cast<int32_t>(id)))
    in.fail(fmt::format("the id {} is given to '{}' and to '{}'", id, model.vocabulary.token(static_cast<int32_t>(id)),
                        token));
  in.fail(fmt::format("the token '{}' is given twice", token));
}

void read_merges(JsonCursor& in, ModelFile& model, std::string_view text) {
  model.has_merges = true;
  model.merges.reserve(std::min<size_t>((text.size() - in.at()) / 12, 1 << 20));  // what is not used is not touched
  std::string buffer;
  const auto stays = [&](std::string_view view) {  // a view into the file, or a copy that stays where it is
    if (view.data() >= text.data() && view.data() + view.size() <= text.data() + text.size()) return view;
    model.merge_text.emplace_back(view);
    return std::string_view(model.merge_text.back());
  };
  in.array([&] {
    if (in.peek() == '"') {
      const std::string_view merge = stays(in.string(buffer));
      if (merge.starts_with("#version")) return;
      const size_t space = merge.find(' ');
      if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos)
        in.fail(fmt::format("the merge '{}' is not two tokens with a space between", merge));
      model.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
      return;
    }
    in.expect('[', "a merge");
    const std::string_view left = stays(in.string(buffer));
    in.expect(',', "the merge's second token");
    const std::string_view right = stays(in.string(buffer));
    in.expect(']', "the end of the merge");
    model.merges.emplace_back(left, right);
  });
}

}  // namespace

void read_vocabulary(JsonCursor& in, ModelFile& model, size_t file_bytes) {
  model.has_vocab = true;
  model.vocabulary.reserve(std::min<size_t>(file_bytes / 60, 1 << 19), file_bytes / 8);
  if (in.peek() == '{') {
    in.object(
        [&](std::string_view token) { add_token(in, model, token, in.integer(Vocabulary::kMaxId, "a token's id")); });
    return;
  }
  std::string buffer;
  in.array([&] {
    in.expect('[', "[token, score]");
    const std::string_view token = in.string(buffer);
    add_token(in, model, token, static_cast<long>(model.scores.size()));
    in.expect(',', "','");
    model.scores.push_back(in.number());
    in.expect(']', "']'");
    if (model.scores.size() > static_cast<size_t>(Vocabulary::kMaxId)) in.fail("the vocabulary is too large");
  });
}

TokenizerFile parse_tokenizer_file(std::string text, const std::string& name) {
  TokenizerFile file;
  file.text = std::move(text);
  if (file.text.starts_with("\xEF\xBB\xBF")) file.text.erase(0, 3);
  JsonCursor in(file.text, name);
  Rest rest, settings;
  bool has_model = false;
  in.object([&](std::string_view key) {
    if (key != "model") {
      rest.add(key, in.skip());
      return;
    }
    if (has_model) in.fail("'model' is given twice");
    has_model = true;
    in.object([&](std::string_view part) {
      if (part == "vocab" && !file.model.has_vocab) return read_vocabulary(in, file.model, file.text.size());
      if (part == "merges" && !file.model.has_merges && in.peek() != 'n') return read_merges(in, file.model, file.text);
      settings.add(part, in.skip());
    });
  });
  if (in.peek() != '\0' || in.at() < file.text.size()) in.fail("text after the end of the object");
  if (!has_model) throw DataError(name, "'model' is missing: not a tokenizer.json");
  file.rest = parse_json(rest.finish(), name);
  file.model.settings = parse_json(settings.finish(), name + ": model");
  return file;
}

TokenizerFile read_tokenizer_file(const std::filesystem::path& path) {
  return parse_tokenizer_file(read_file(path, kMaxFileBytes), path.string());
}

}  // namespace automodel::tokenizer
