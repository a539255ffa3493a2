#include "automodel/tokenizer/model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

namespace {

struct NoScratch final : ModelScratch {};

// A model whose pieces are looked up whole.
class WordLevel final : public Model {
 public:
  WordLevel(ModelFile file, const std::string& where)
      : where_(where), unknown_(text_member(file.settings, "unk_token", where)) {
    vocabulary_ = std::move(file.vocabulary);
  }
  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<NoScratch>(); }
  void tokenize(std::string_view piece, ModelScratch&, std::vector<ModelToken>& out) const override {
    int32_t id = vocabulary_.find(piece);
    if (id < 0) id = vocabulary_.find(unknown_);
    if (id < 0)
      throw DataError(where_, fmt::format("'{}' is not in the vocabulary, nor is 'unk_token' {}", piece, unknown_));
    out.push_back({id, static_cast<uint32_t>(piece.size())});
  }

 private:
  std::string where_, unknown_;
};

// The longest known beginning again and again; a piece with an unknown rest is unknown as a whole.
class WordPiece final : public Model {
 public:
  WordPiece(ModelFile file, const std::string& where)
      : where_(where),
        unknown_(text_member(file.settings, "unk_token", where)),
        prefix_(text_member(file.settings, "continuing_subword_prefix", where)),
        longest_(count_member(file.settings, "max_input_chars_per_word", where)) {
    vocabulary_ = std::move(file.vocabulary);
  }

  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<NoScratch>(); }

  void tokenize(std::string_view piece, ModelScratch&, std::vector<ModelToken>& out) const override {
    const size_t before = out.size();
    bool known = count_characters(piece) <= longest_;
    std::string word;
    for (size_t begin = 0; known && begin < piece.size();) {
      size_t end = piece.size();
      int32_t id = -1;
      while (end > begin) {
        word.assign(begin > 0 ? prefix_ : "").append(piece.substr(begin, end - begin));
        if ((id = vocabulary_.find(word)) >= 0) break;
        end = previous_utf8(piece, end);
      }
      known = id >= 0;
      if (known) out.push_back({id, static_cast<uint32_t>(end - begin)});
      begin = end;
    }
    if (known) return;
    out.resize(before);
    const int32_t id = vocabulary_.find(unknown_);
    if (id < 0)
      throw DataError(where_, fmt::format("'unk_token' {} is not in the vocabulary, and a text needs it", unknown_));
    out.push_back({id, static_cast<uint32_t>(piece.size())});
  }

 private:
  std::string where_, unknown_, prefix_;
  uint64_t longest_;
};

}  // namespace

std::unique_ptr<Model> make_word_piece(ModelFile file, const std::string& where) {
  return std::make_unique<WordPiece>(std::move(file), where);
}
std::unique_ptr<Model> make_word_level(ModelFile file, const std::string& where) {
  return std::make_unique<WordLevel>(std::move(file), where);
}

std::string model_type(const ModelFile& file, const std::string& where) {
  if (file.settings.contains("type")) return text_member(file.settings, "type", where);
  if (file.has_merges) return "BPE";
  if (!file.scores.empty()) return "Unigram";
  return file.settings.contains("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

std::unique_ptr<Model> make_model(ModelFile file, bool bytes, const std::string& where) {
  const std::string type = model_type(file, where);
  if (!file.has_vocab) throw DataError(where, "'vocab' is missing");
  if (type == "BPE") return make_bpe(std::move(file), bytes, where);
  if (type == "Unigram") return make_unigram(std::move(file), where);
  if (type == "WordPiece") return make_word_piece(std::move(file), where);
  if (type == "WordLevel") return make_word_level(std::move(file), where);
  throw UnsupportedError(where, fmt::format("the model type '{}' is not known to this build", type));
}

}  // namespace automodel::tokenizer
