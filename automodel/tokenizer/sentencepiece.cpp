#include "automodel/tokenizer/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <queue>
#include <unordered_map>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/sentencepiece_normalizer.h"
#include "automodel/tokenizer/unicode.h"
#include "automodel/tokenizer/vocabulary.h"

namespace automodel::tokenizer {

namespace {

constexpr std::string_view kMark = "\u2581";
constexpr std::string_view kReplacement = "\uFFFD";

struct Found {
  int32_t id;
  uint32_t size;  // bytes of the normalized text
};

class SentencePiece final : public Tokenizer {
 public:
  SentencePiece(SentencePieceFile file, const std::string& name);

  std::vector<int32_t> encode(std::string_view text, bool) const override { return run(text, nullptr); }
  Encoding encode_with_offsets(std::string_view text, bool) const override {
    Encoding encoding;
    encoding.ids = run(text, &encoding.offsets);
    return encoding;
  }
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override;

  int64_t vocab_size() const override { return static_cast<int64_t>(file_.pieces.size()); }
  std::optional<int32_t> token_to_id(std::string_view token) const override {
    int32_t id = pieces_.find(token);
    if (id < 0) id = reserved_.find(token);
    return id < 0 ? std::nullopt : std::optional(id);
  }
  std::optional<std::string> id_to_token(int32_t id) const override {
    if (!has(id)) return std::nullopt;
    return piece(id).text;
  }
  bool is_special(int32_t id) const override { return is(id, SentencePieceFile::kControl); }

 private:
  const SentencePieceFile::Piece& piece(int32_t id) const { return file_.pieces[static_cast<size_t>(id)]; }
  bool has(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < file_.pieces.size(); }
  bool is(int32_t id, SentencePieceFile::PieceType type) const { return has(id) && piece(id).type == type; }

  void index_pieces();
  std::vector<int32_t> run(std::string_view text, std::vector<std::pair<size_t, size_t>>* offsets) const;
  std::vector<Found> unigram(std::string_view text) const;
  std::vector<Found> bpe(std::string_view text) const;

  std::string name_;
  SentencePieceFile file_;
  SentencePieceNormalizer normalizer_;
  std::optional<SentencePieceNormalizer> denormalizer_;
  Vocabulary pieces_, reserved_;  // normal, user-defined and unused pieces; the others
  MergeTable trie_;               // Unigram: (node, byte) -> next node
  std::vector<int32_t> leaves_ = {-1};
  std::array<int32_t, 256> byte_ids_{};
  float lowest_ = 0, highest_ = 0;  // scores of normal pieces
};

SentencePiece::SentencePiece(SentencePieceFile file, const std::string& name)
    : name_(name), file_(std::move(file)), normalizer_(file_, name) {
  if (file_.model_type != SentencePieceFile::kUnigram && file_.model_type != SentencePieceFile::kBpe)
    throw UnsupportedError(name, "word and character models of SentencePiece are not in this build");
  if (!file_.denormalizer.charsmap.empty()) denormalizer_.emplace(file_.denormalizer, name);
  index_pieces();
  const auto named = [&](int32_t id, std::string& token, std::optional<int32_t>& number) {
    if (!has(id)) return;
    token = piece(id).text;
    number = id;
  };
  std::optional<int32_t> unknown;
  named(file_.bos_id, bos_token, bos_id);
  named(file_.eos_id, eos_token, eos_id);
  named(file_.pad_id, pad_token, pad_id);
  named(file_.unk_id, unk_token, unknown);
  config = Json::object();
}

void SentencePiece::index_pieces() {
  byte_ids_.fill(-1);
  int32_t unknown = -1, bytes = 0;
  lowest_ = std::numeric_limits<float>::max();
  highest_ = std::numeric_limits<float>::lowest();
  for (int32_t id = 0; has(id); ++id) {
    const SentencePieceFile::Piece& p = piece(id);
    const bool plain = p.type == SentencePieceFile::kNormal || p.type == SentencePieceFile::kUserDefined ||
                       p.type == SentencePieceFile::kUnused;
    if (!(plain ? pieces_ : reserved_).add(p.text, id))
      throw DataError(name_, fmt::format("the piece '{}' comes twice", p.text));
    if (p.type == SentencePieceFile::kUnknown && unknown >= 0) throw DataError(name_, "there are two unknown pieces");
    if (p.type == SentencePieceFile::kUnknown) unknown = id;
    if (p.type == SentencePieceFile::kNormal) lowest_ = std::min(lowest_, p.score);
    if (p.type == SentencePieceFile::kNormal) highest_ = std::max(highest_, p.score);
  }
  if (unknown < 0) throw DataError(name_, "there is no unknown piece");
  file_.unk_id = unknown;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const int32_t id = reserved_.find(fmt::format("<0x{:02X}>", byte));
    if (is(id, SentencePieceFile::kByte)) byte_ids_[byte] = id, ++bytes;
  }
  if (file_.byte_fallback && bytes != 256)
    throw DataError(name_, fmt::format("byte fallback needs 256 byte pieces, the file holds {}", bytes));
  for (int32_t id = 0; has(id) && file_.model_type == SentencePieceFile::kUnigram; ++id) {
    if (!pieces_.contains(id)) continue;
    uint32_t node = 0;
    for (const char c : piece(id).text) {
      const auto byte = static_cast<unsigned char>(c);
      const Merge known = trie_.get(node, byte);
      if (known.rank == kNoRank) trie_.set(node, byte, {0, static_cast<int32_t>(leaves_.size())});
      node = known.rank == kNoRank ? static_cast<uint32_t>(leaves_.size()) : static_cast<uint32_t>(known.id);
      if (known.rank == kNoRank) leaves_.push_back(-1);
    }
    leaves_[node] = id;
  }
}

// The path of the highest sum of scores, in float as the library sums: which of two nearly equal paths wins depends on
// it.
std::vector<Found> SentencePiece::unigram(std::string_view text) const {
  struct Best {
    int32_t id = -1, begin = -1;
    float score = 0;
  };
  std::vector<Best> best(text.size() + 1);
  const float unknown_score = lowest_ - 10.0f;
  for (size_t begin = 0, length; begin < text.size(); begin += length) {
    length = std::min(utf8_length(static_cast<unsigned char>(text[begin])), text.size() - begin);
    const float here = best[begin].score;
    bool single = false;
    uint32_t node = 0;
    for (size_t end = begin; end < text.size();) {
      const Merge known = trie_.get(node, static_cast<unsigned char>(text[end]));
      if (known.rank == kNoRank) break;
      node = static_cast<uint32_t>(known.id);
      ++end;
      const int32_t id = leaves_[node];
      if (id < 0 || is(id, SentencePieceFile::kUnused)) continue;
      const float score = is(id, SentencePieceFile::kUserDefined)
                              ? static_cast<float>(static_cast<float>(end - begin) * highest_ - 0.1)
                              : piece(id).score;
      const float candidate = score + here;
      Best& target = best[end];
      if (target.begin < 0 || candidate > target.score) target = {id, static_cast<int32_t>(begin), candidate};
      single |= end - begin == length;
    }
    if (single) continue;
    Best& target = best[begin + length];
    const float candidate = unknown_score + here;
    if (target.begin < 0 || candidate > target.score) target = {file_.unk_id, static_cast<int32_t>(begin), candidate};
  }
  std::vector<Found> found;
  for (size_t end = text.size(); end > 0; end = static_cast<size_t>(best[end].begin))
    found.push_back({best[end].id, static_cast<uint32_t>(end - static_cast<size_t>(best[end].begin))});
  std::reverse(found.begin(), found.end());
  return found;
}

// The neighbours whose text together is the piece of the highest score are joined, the leftmost first.
std::vector<Found> SentencePiece::bpe(std::string_view text) const {
  struct Symbol {
    std::string_view text;
    int32_t previous, next;
    bool frozen;
  };
  struct Pair {
    float score;
    int32_t left, right;
    size_t size;
    bool operator<(const Pair& o) const { return score < o.score || (score == o.score && left > o.left); }
  };
  std::vector<Symbol> symbols;
  for (size_t at = 0, size; at < text.size(); at += size) {
    size = normalizer_.user_defined().longest(text.substr(at));
    const bool frozen = size > 0;
    if (!frozen) size = std::min(utf8_length(static_cast<unsigned char>(text[at])), text.size() - at);
    const auto here = static_cast<int32_t>(symbols.size());
    symbols.push_back({text.substr(at, size), here - 1, at + size < text.size() ? here + 1 : -1, frozen});
  }
  const auto symbol = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  std::priority_queue<Pair> agenda;
  std::unordered_map<std::string_view, size_t> unused;  // text of an unused piece -> size of its left part
  const auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0 || symbol(left).frozen || symbol(right).frozen) return;
    const std::string_view whole(symbol(left).text.data(), symbol(left).text.size() + symbol(right).text.size());
    const int32_t id = pieces_.find(whole);
    if (id < 0) return;
    agenda.push({piece(id).score, left, right, whole.size()});
    if (is(id, SentencePieceFile::kUnused)) unused[whole] = symbol(left).text.size();
  };
  for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) offer(i - 1, i);
  while (!agenda.empty()) {
    const Pair top = agenda.top();
    agenda.pop();
    Symbol &left = symbol(top.left), &right = symbol(top.right);
    if (left.text.empty() || right.text.empty() || left.text.size() + right.text.size() != top.size) continue;
    left.text = std::string_view(left.text.data(), top.size);
    left.next = right.next;
    if (right.next >= 0) symbol(right.next).previous = top.left;
    right.text = {};
    offer(left.previous, top.left);
    offer(top.left, left.next);
  }
  std::vector<Found> found;
  std::vector<std::string_view> waiting;
  for (int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbol(i).next) {
    waiting.assign(1, symbol(i).text);
    while (!waiting.empty()) {  // unused pieces fall apart again
      const std::string_view part = waiting.back();
      waiting.pop_back();
      const int32_t id = token_to_id(part).value_or(file_.unk_id);
      const auto split = is(id, SentencePieceFile::kUnused) ? unused.find(part) : unused.end();
      if (split == unused.end()) {
        found.push_back({id, static_cast<uint32_t>(part.size())});
      } else {
        waiting.push_back(part.substr(split->second));
        waiting.push_back(part.substr(0, split->second));
      }
    }
  }
  return found;
}

std::vector<int32_t> SentencePiece::run(std::string_view text, std::vector<std::pair<size_t, size_t>>* offsets) const {
  if (text.size() >= UINT32_MAX / 4)
    throw DataError("text", fmt::format("{} bytes are too many to tokenize at once", text.size()));
  if (const size_t at = find_invalid_utf8(text); at != std::string::npos)
    throw DataError("text", fmt::format("not UTF-8 at byte {}", at));
  std::string normalized;
  std::vector<uint32_t> origin;
  normalizer_.apply(text, normalized, origin);
  const std::vector<Found> found =
      file_.model_type == SentencePieceFile::kUnigram ? unigram(normalized) : bpe(normalized);
  std::vector<int32_t> ids;
  ids.reserve(found.size());
  bool after_unknown = false;
  size_t begin = 0;
  for (const Found& token : found) {
    const size_t end = begin + token.size;
    const bool unknown = token.id == file_.unk_id;
    const std::pair<size_t, size_t> span{origin[begin], origin[end]};
    if (unknown && file_.byte_fallback) {
      for (size_t i = begin; i < end; ++i) {
        ids.push_back(byte_ids_[static_cast<unsigned char>(normalized[i])]);
        if (offsets) offsets->push_back(i + 1 < end ? std::pair(span.first, span.first) : span);
      }
    } else if (unknown && after_unknown) {
      if (offsets) offsets->back().second = span.second;
    } else {
      ids.push_back(token.id);
      if (offsets) offsets->push_back(span);
    }
    after_unknown = unknown;
    begin = end;
  }
  return ids;
}

std::string SentencePiece::decode(std::span<const int32_t> ids, bool) const {
  std::string text, bytes;
  bool at_begin = true, seen_mark = false;
  const auto flush = [&] {
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = utf8_length(static_cast<unsigned char>(bytes[at]));
      const std::string_view character = std::string_view(bytes).substr(at, size);
      const bool whole = character.size() == size && find_invalid_utf8(character) == std::string::npos;
      text += whole ? character : kReplacement;
      at += whole ? size : 1;
    }
    bytes.clear();
  };
  for (const int32_t id : ids) {
    if (!has(id)) continue;
    if (is(id, SentencePieceFile::kByte)) {
      for (uint32_t byte = 0; byte < 256; ++byte)
        if (byte_ids_[byte] == id) bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    if (seen_mark || !text.empty()) at_begin = false;
    seen_mark = false;
    if (is(id, SentencePieceFile::kControl)) continue;
    if (id == file_.unk_id) {
      text += file_.unk_surface;
      continue;
    }
    std::string_view part = piece(id).text;
    if (at_begin && (file_.normalizer.add_dummy_prefix || file_.normalizer.remove_extra_whitespaces) &&
        part.starts_with(kMark)) {
      part.remove_prefix(kMark.size());
      seen_mark = !file_.normalizer.remove_extra_whitespaces;
    }
    text += replace_all(std::string(part), kMark, " ");
  }
  flush();
  if (!denormalizer_) return text;
  std::string denormalized;
  std::vector<uint32_t> origin;
  denormalizer_->apply(text, denormalized, origin);
  return denormalized;
}

}  // namespace

std::shared_ptr<const Tokenizer> make_sentencepiece(SentencePieceFile file, const std::string& name) {
  return std::make_shared<SentencePiece>(std::move(file), name);
}

std::shared_ptr<const Tokenizer> load_sentencepiece(const std::filesystem::path& path) {
  return make_sentencepiece(read_sentencepiece(path), path.string());
}

}  // namespace automodel::tokenizer
