#include "automodel/tokenizer/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/jinja_text.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

struct Pipeline::Scratch {
  Work work;
  Normalized spare;
  std::vector<Piece> stretches;
  std::unique_ptr<ModelScratch> model;
  std::vector<ModelToken> found;
};

struct Pipeline::Loan {
  explicit Loan(const Pipeline& owner) : owner_(owner) {
    {
      const std::lock_guard lock(owner.mutex_);
      if (!owner.idle_.empty()) {
        scratch = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    if (scratch) return;
    scratch = std::make_unique<Scratch>();
    scratch->model = owner.model_->make_scratch();
  }
  ~Loan() {
    const std::lock_guard lock(owner_.mutex_);
    owner_.idle_.push_back(std::move(scratch));
  }
  std::unique_ptr<Scratch> scratch;

 private:
  const Pipeline& owner_;
};

static const Json& part(const Json& rest, const char* key) {
  static const Json kNull;
  const auto found = rest.find(key);
  return found == rest.end() ? kNull : *found;
}

// Reading raw bytes instead of byte-level characters needs a token for every byte: without one the library drops
// characters, and its offsets then count what is left in byte-level characters.
static bool reads_bytes(const ModelFile& model, const std::string& type) {
  const auto fallback = model.settings.find("byte_fallback");
  if (type != "BPE" || (fallback != model.settings.end() && *fallback == true)) return false;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, byte_to_character(static_cast<uint8_t>(byte)));
    if (model.vocabulary.find(character) < 0) return false;
  }
  return true;
}

Pipeline::Pipeline(TokenizerFile file, const std::string& name) : name_(name) {
  const Json& rest = file.rest;
  const std::string type = model_type(file.model, name + ": model");
  normalizer_ = make_normalizer(part(rest, "normalizer"), name + ": normalizer");
  pre_ = make_pre_tokenizers(part(rest, "pre_tokenizer"), reads_bytes(file.model, type), name + ": pre_tokenizer");
  model_ = make_model(std::move(file.model), pre_.byte_level, name + ": model");
  has_post_ = !part(rest, "post_processor").is_null();
  post_ = PostProcessor::make(part(rest, "post_processor"), name + ": post_processor");
  decoder_ = make_decoder(part(rest, "decoder"), name + ": decoder");
  always_align_ = pre_.steps && pre_.steps->needs_alignment() &&
                  (normalizer_ || type_of(part(rest, "pre_tokenizer"), name) == "Sequence");
  std::vector<AddedToken> tokens;
  const Json& added = part(rest, "added_tokens");
  if (!added.is_null() && !added.is_array()) throw DataError(name, "'added_tokens' must be a list");
  for (const Json& token : added) {
    if (count_member(token, "id", name + ": added_tokens") >= static_cast<uint64_t>(Vocabulary::kMaxId))
      throw DataError(name + ": added_tokens", fmt::format("an id must be below {}", Vocabulary::kMaxId));
    tokens.push_back(read_added_token(token, name + ": added_tokens"));
  }
  add_tokens(tokens);
}

Pipeline::~Pipeline() = default;

void Pipeline::add_tokens(const std::vector<AddedToken>& tokens) {
  added_.add(tokens, *model_, normalizer_.get());
  added_.finish(name_ + ": added_tokens");
}

static void check_text(std::string_view text) {
  if (text.size() >= UINT32_MAX)
    throw DataError("text", fmt::format("{} bytes are too many to tokenize at once", text.size()));
  if (is_ascii(text)) return;
  if (const size_t at = find_invalid_utf8(text); at != std::string::npos)
    throw DataError("text", fmt::format("not UTF-8 at byte {}", at));
}

static Encoding to_encoding(Tokens tokens) {
  Encoding encoding{std::move(tokens.ids), {}};
  encoding.offsets.reserve(tokens.spans.size());
  for (const Span& span : tokens.spans) encoding.offsets.emplace_back(span.begin, span.end);
  return encoding;
}

std::vector<int32_t> Pipeline::encode(std::string_view text, bool add_special) const {
  Tokens tokens;
  tokens.ids.reserve(text.size() / 3 + 4);
  run(text, add_special, false, tokens);
  return std::move(tokens.ids);
}

Encoding Pipeline::encode_with_offsets(std::string_view text, bool add_special) const {
  Tokens tokens;
  run(text, add_special, true, tokens);
  return to_encoding(std::move(tokens));
}

Encoding Pipeline::encode_truncated(std::string_view text, bool add_special, size_t max_tokens, bool keep_end) const {
  Tokens tokens, special;
  if (add_special) post_.apply({}, true, special);
  if (special.ids.size() > max_tokens)
    throw ConfigError("truncation", fmt::format("{} tokens are too few for the {} special ones of every text",
                                                max_tokens, special.ids.size()));
  run_text(text, true, tokens);
  const size_t room = max_tokens - special.ids.size();
  const auto cut = [&](auto& list) {
    if (list.size() <= room) return;
    const auto first = keep_end ? list.begin() : list.begin() + static_cast<ptrdiff_t>(room);
    list.erase(first, first + static_cast<ptrdiff_t>(list.size() - room));
  };
  cut(tokens.ids);
  cut(tokens.spans);
  cut(tokens.blanks);
  post_.apply(text, add_special, tokens);
  return to_encoding(std::move(tokens));
}

void Pipeline::run(std::string_view text, bool add_special, bool offsets, Tokens& tokens) const {
  run_text(text, offsets, tokens);
  post_.apply(text, add_special, tokens);
}

void Pipeline::run_text(std::string_view text, bool offsets, Tokens& tokens) const {
  check_text(text);
  {
    const Loan loan(*this);
    Scratch& s = *loan.scratch;
    s.stretches.clear();
    added_.split(text, 0, static_cast<uint32_t>(text.size()), false, s.stretches);
    for (const Piece& stretch : s.stretches) {
      if (stretch.id < 0) {
        run_stretch(text, stretch.begin, stretch.end, offsets, s, tokens);
        continue;
      }
      s.work.now.assign(text, stretch.begin, stretch.end, offsets);
      s.work.pieces.assign(1, {0, stretch.end - stretch.begin, stretch.id});
      collect(text, s.work, offsets, s, tokens);
    }
  }
}

// From the text between two added tokens to tokens.
void Pipeline::run_stretch(std::string_view text, uint32_t begin, uint32_t end, bool offsets, Scratch& s,
                           Tokens& tokens) const {
  Work& work = s.work;
  work.now.assign(text, begin, end, offsets || always_align_);
  work.spare.tracked = work.now.tracked;
  if (normalizer_) normalizer_->apply(work.now, s.spare, work.scratch);
  work.pieces.clear();
  added_.split(work.now.text, 0, static_cast<uint32_t>(work.now.text.size()), true, work.pieces);
  if (pre_.steps) pre_.steps->apply(work);
  collect(text, work, offsets, s, tokens);
}

// Blank characters at the ends of a token's text, U+0120 (byte-level's space) among them.
static Tokens::Blanks count_blanks(std::string_view token) {
  const auto blank = [&](size_t at) {
    const uint32_t code = decode_utf8(token.data() + at);
    return code == 0x120 || has(code, kSpace);
  };
  Tokens::Blanks blanks;
  for (size_t at = 0; at < token.size() && blank(at); at += utf8_length(static_cast<unsigned char>(token[at])))
    ++blanks.leading;
  for (size_t at = token.size(); at > 0 && blank(previous_utf8(token, at)); at = previous_utf8(token, at))
    ++blanks.trailing;
  return blanks;
}

void Pipeline::collect(std::string_view text, const Work& work, bool offsets, Scratch& s, Tokens& tokens) const {
  const bool blanks = offsets && post_.trims();
  const std::string_view now = work.now.text;
  const auto span = [&](size_t begin, size_t end) {
    return begin < end && end <= work.now.align.size() ? Span{work.now.align[begin].begin, work.now.align[end - 1].end}
                                                       : Span{};
  };
  for (const Piece& piece : work.pieces) {
    if (piece.id >= 0) {
      tokens.ids.push_back(piece.id);
      if (offsets) tokens.spans.push_back(span(piece.begin, piece.end));
      if (offsets)
        tokens.blanks.push_back(blanks ? count_blanks(now.substr(piece.begin, piece.end - piece.begin))
                                       : Tokens::Blanks{});
      continue;
    }
    s.found.clear();
    model_->tokenize(now.substr(piece.begin, piece.end - piece.begin), *s.model, s.found);
    size_t begin = piece.begin, end = piece.begin;
    for (const ModelToken& token : s.found) {
      tokens.ids.push_back(token.id);
      if (!offsets) continue;
      if (token.size > 0) begin = end;
      end += token.size;
      tokens.spans.push_back(span(begin, end));
      tokens.blanks.push_back(blanks ? count_blanks(model_->vocabulary().token(token.id)) : Tokens::Blanks{});
    }
  }
}

static std::string clean_up_spaces(std::string text) {
  static constexpr const char* kRules[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                              {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
                                              {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& rule : kRules) text = replace_all(std::move(text), rule[0], rule[1]);
  return text;
}

// <|12.34|>, wherever it stands, in the digits of any script: Python's re.sub(r"<\|(\d+\.\d+)\|>", "", text).
static std::string drop_time_stamps(const std::string& text) {
  const auto digits = [&](size_t at) {
    for (size_t next = at; at < text.size() && jinja::is_decimal(jinja::decode(text, next)); at = next) {
    }
    return at;
  };
  std::string out;
  size_t kept = 0;  // what is before it is in `out`, or dropped
  for (size_t begin = text.find("<|"); begin != text.npos;) {
    const size_t point = digits(begin + 2), end = digits(std::min(point + 1, text.size()));
    const bool stamp =
        point > begin + 2 && text.compare(point, 1, ".") == 0 && end > point + 1 && text.compare(end, 2, "|>") == 0;
    if (stamp) {
      out.append(text, kept, begin - kept);
      kept = end + 2;
    }
    begin = text.find("<|", stamp ? kept : begin + 1);
  }
  return out.append(text, kept);
}

void Pipeline::set_speech() {
  speech_ = true;
  const auto unknown = token_to_id(unk_token);
  prompt_id_ = token_to_id("<|startofprev|>");
  if (!prompt_id_) prompt_id_ = unknown;  // as in transformers: what has no id has the unknown token's
  transcript_id_ = token_to_id("<|startoftranscript|>");
  if (!transcript_id_) transcript_id_ = unknown;
}

std::string Pipeline::decode(std::span<const int32_t> ids, bool skip_special) const {
  if (speech_ && skip_special && !ids.empty() && ids[0] == prompt_id_) {
    const auto start = transcript_id_ ? std::find(ids.begin(), ids.end(), *transcript_id_) : ids.end();
    ids = ids.subspan(static_cast<size_t>(start - ids.begin()));
  }
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    std::string token;
    if (added_.contains(id))
      token = added_.decoded(id);
    else if (model_->vocabulary().contains(id))
      token = model_->vocabulary().token(id);
    else
      continue;
    if (skip_special && added_.is_special_text(token)) continue;
    tokens.push_back(std::move(token));
  }
  std::string text;
  if (decoder_) {
    const Loan loan(*this);
    decoder_->apply(tokens, loan.scratch->work.scratch);
    for (const auto& token : tokens) text += token;
  } else {
    text = join(tokens, " ");
  }
  if (!word_end_.empty()) text = jinja::strip(replace_all(std::move(text), word_end_, " "), true, true);
  if (clean_up_) text = clean_up_spaces(std::move(text));
  return speech_ ? drop_time_stamps(std::move(text)) : text;
}

int64_t Pipeline::vocab_size() const { return std::max(model_->vocabulary().end_id(), added_.end_id()); }

std::optional<int32_t> Pipeline::token_to_id(std::string_view token) const {
  int32_t id = added_.find(token);
  if (id < 0) id = model_->vocabulary().find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::optional<std::string> Pipeline::id_to_token(int32_t id) const {
  if (added_.contains(id)) return added_.content(id);
  if (model_->vocabulary().contains(id)) return std::string(model_->vocabulary().token(id));
  return std::nullopt;
}

std::shared_ptr<Pipeline> load_pipeline(const std::filesystem::path& tokenizer_json) {
  return std::make_shared<Pipeline>(read_tokenizer_file(tokenizer_json), tokenizer_json.string());
}

}  // namespace automodel::tokenizer
