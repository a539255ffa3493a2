// Pipeline: the whole way of one tokenizer.json, from text to ids and back.
//
// added tokens -> normalizer -> normalized added tokens -> pre-tokenizer -> model -> post-processor. Truncation and
// padding of the file are left to the caller, as transformers does. Immutable; each call borrows working memory (with
// its cache of words) from a pool, so calls from several threads do not wait for each other.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "automodel/tokenizer/added_tokens.h"
#include "automodel/tokenizer/decoder.h"
#include "automodel/tokenizer/model.h"
#include "automodel/tokenizer/normalizer.h"
#include "automodel/tokenizer/post_processor.h"
#include "automodel/tokenizer/pre_tokenizer.h"
#include "automodel/tokenizer/tokenizer.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

class Pipeline final : public Tokenizer {
 public:
  /// `name` starts the errors. Throws DataError, UnsupportedError.
  Pipeline(TokenizerFile file, const std::string& name);
  ~Pipeline() override;

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override;
  Encoding encode_with_offsets(std::string_view text, bool add_special) const override;
  Encoding encode_truncated(std::string_view text, bool add_special, size_t max_tokens,
                            bool keep_end = false) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override;

  int64_t vocab_size() const override;
  std::optional<int32_t> token_to_id(std::string_view token) const override;
  std::optional<std::string> id_to_token(int32_t id) const override;
  bool is_special(int32_t id) const override { return added_.special(id); }

  /// Before the first use: tokens on top of the file's, and another post-processor, as tokenizer_config.json asks.
  void add_tokens(const std::vector<AddedToken>& tokens);
  void set_post_processor(PostProcessor processor) { post_ = std::move(processor); }
  bool has_post_processor() const { return has_post_; }
  void set_clean_up(bool clean_up) { clean_up_ = clean_up; }
  /// decode() makes this mark a space and trims white space at both ends; empty: it does not.
  void set_word_end(std::string mark) { word_end_ = std::move(mark); }
  /// decode() leaves time stamps (<|1.50|>) out and, without special tokens, the prompt before the transcript, as
  /// Whisper's does. After the last add_tokens().
  void set_speech();

 private:
  struct Scratch;
  struct Loan;
  void run(std::string_view text, bool add_special, bool offsets, Tokens& tokens) const;
  void run_text(std::string_view text, bool offsets, Tokens& tokens) const;  // without the post-processor
  void run_stretch(std::string_view text, uint32_t begin, uint32_t end, bool offsets, Scratch& s, Tokens& tokens) const;
  void collect(std::string_view text, const Work& work, bool offsets, Scratch& s, Tokens& tokens) const;

  std::string name_, word_end_;
  std::unique_ptr<const Normalizer> normalizer_;
  PreTokenizers pre_;
  std::unique_ptr<const Model> model_;
  PostProcessor post_;
  std::unique_ptr<const Decoder> decoder_;
  AddedTokens added_;
  bool has_post_ = false, always_align_ = false, clean_up_ = false, speech_ = false;
  std::optional<int32_t> prompt_id_, transcript_id_;  // where a speech prompt and its transcript begin
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;
};

/// Exactly one tokenizer.json, without the rules of tokenizer_config.json.
std::shared_ptr<Pipeline> load_pipeline(const std::filesystem::path& tokenizer_json);

}  // namespace automodel::tokenizer
