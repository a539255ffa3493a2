// Model: what turns one piece of text into tokens. BPE, Unigram, WordPiece, WordLevel.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/vocabulary.h"

namespace automodel::tokenizer {

struct ModelToken {
  int32_t id;
  uint32_t size;  // bytes of the piece that it stands for, after those of the token before; 0: it shares the place of
                  // the token before
};

/// What a model keeps between pieces, one a thread: a cache of words, working memory.
struct ModelScratch {
  virtual ~ModelScratch() = default;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual std::unique_ptr<ModelScratch> make_scratch() const = 0;
  /// Appends the tokens of the non-empty `piece`. Throws DataError where the library does (an unknown piece without
  /// unknown token).
  virtual void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<ModelToken>& out) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  Vocabulary vocabulary_;
};

/// "model" of tokenizer.json as read by read_tokenizer_file().
struct ModelFile {
  Json settings;  // all keys but vocab and merges
  Vocabulary vocabulary;
  std::vector<double> scores;                                        // Unigram: by id
  HugeVector<std::pair<std::string_view, std::string_view>> merges;  // BPE: in order, into `merge_text`
  std::vector<uint32_t> merge_ranks;   // of the merges, where they are not just their order
  std::deque<std::string> merge_text;  // what the views point into where the file's own bytes do not do
  bool has_vocab = false, has_merges = false;
};

/// `bytes`: pieces are raw bytes and the vocabulary writes bytes as byte-level characters (BPE only).
/// Throws DataError for merges that name unknown tokens and the like; UnsupportedError for other types and for dropout.
std::unique_ptr<Model> make_model(ModelFile file, bool bytes, const std::string& where);

/// The type of the model ("BPE"), found out from its keys where the file is too old to say.
std::string model_type(const ModelFile& file, const std::string& where);

std::unique_ptr<Model> make_bpe(ModelFile file, bool bytes, const std::string& where);
std::unique_ptr<Model> make_unigram(ModelFile file, const std::string& where);
std::unique_ptr<Model> make_word_piece(ModelFile file, const std::string& where);
std::unique_ptr<Model> make_word_level(ModelFile file, const std::string& where);

}  // namespace automodel::tokenizer
