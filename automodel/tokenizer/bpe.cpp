#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/merge_table.h"
#include "automodel/tokenizer/model.h"
#include "automodel/tokenizer/normalizer.h"
#include "automodel/tokenizer/unicode.h"
#include "automodel/tokenizer/word_cache.h"

namespace automodel::tokenizer {

namespace {

constexpr int32_t kNoToken = -1;
constexpr size_t kShortWord = 40;  // symbols up to which the next merge is found by looking at all

struct Symbol {
  int32_t id;
  uint32_t size;
  int32_t previous, next;
};

struct Candidate {  // of the heap for long words
  uint32_t rank, position;
  int32_t left, right, merged;
  bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : position > o.position; }
};

struct BpeScratch final : ModelScratch {
  WordCache cache;
  std::vector<ModelToken> symbols;
  std::vector<Symbol> links;
  std::vector<Candidate> heap;
  std::string word;
};

class Bpe final : public Model {
 public:
  Bpe(ModelFile file, bool bytes, const std::string& where);

  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<BpeScratch>(); }

  void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<ModelToken>& out) const override {
    auto& s = static_cast<BpeScratch&>(scratch);
    if (!splits_) return word(piece, s, out);
    // Where no merge ever joins the two characters, the piece falls apart into words that the cache knows.
    size_t begin = 0;
    uint32_t left = decode_utf8(piece.data());
    for (size_t at = utf8_length(static_cast<unsigned char>(piece[0])); at < piece.size();) {
      const uint32_t right = decode_utf8(piece.data() + at);
      if (right == boundary_ && !junctions_.find(left, right)) {
        word(piece.substr(begin, at - begin), s, out);
        begin = at;
      }
      left = right;
      at += utf8_length(static_cast<unsigned char>(piece[at]));
    }
    word(piece.substr(begin), s, out);
  }

 private:
  void read_settings(const Json& settings, const std::string& where);
  void read_merges(const ModelFile& file, const std::string& where);
  int32_t find_merged(std::string_view left, std::string_view right, int32_t guess) const;
  void index_characters();
  void find_boundary(const ModelFile& file);

  void word(std::string_view piece, BpeScratch& s, std::vector<ModelToken>& out) const;
  void start(std::string_view piece, BpeScratch& s) const;
  void start_character(std::string_view character, bool first, bool last, BpeScratch& s,
                       std::optional<ModelToken>& unknown) const;
  void merge_short(BpeScratch& s) const;
  void merge_long(BpeScratch& s) const;
  int32_t unknown_id() const;

  std::string where_, unknown_, prefix_, suffix_;
  bool bytes_, has_unknown_ = false, fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false,
               splits_ = false;
  MergeTable merges_, junctions_;
  uint32_t boundary_ = 0x2581;
  std::array<int32_t, 256> byte_ids_;      // bytes_: the token of a byte; else of an ASCII character
  std::array<int32_t, 256> fallback_ids_;  // "<0x00>" ...
  Vocabulary words_;                       // bytes_ and ignore_merges_: tokens as raw bytes
};

Bpe::Bpe(ModelFile file, bool bytes, const std::string& where) : where_(where), bytes_(bytes) {
  read_settings(file.settings, where);
  vocabulary_ = std::move(file.vocabulary);
  read_merges(file, where);
  index_characters();
  if (!bytes_) find_boundary(file);
}

void Bpe::read_settings(const Json& settings, const std::string& where) {
  const auto text = [&](const char* key) {
    return settings.contains(key) && !settings[key].is_null() ? text_member(settings, key, where) : std::string();
  };
  if (settings.contains("dropout") && !settings["dropout"].is_null()) {
    if (!settings["dropout"].is_number()) throw DataError(where, "'dropout' must be a number or null");
    if (settings["dropout"].get<double>() != 0)
      throw UnsupportedError(where, "BPE dropout is not in this build", "set \"dropout\" to null");
  }
  unknown_ = text("unk_token");
  has_unknown_ = settings.contains("unk_token") && !settings["unk_token"].is_null();
  prefix_ = text("continuing_subword_prefix");
  suffix_ = text("end_of_word_suffix");
  fuse_unknown_ = flag_member(settings, "fuse_unk", where, false);
  byte_fallback_ = flag_member(settings, "byte_fallback", where, false);
  ignore_merges_ = flag_member(settings, "ignore_merges", where, false);
}

void Bpe::read_merges(const ModelFile& file, const std::string& where) {
  merges_.reserve(file.merges.size());
  constexpr size_t kAtOnce = 16;
  std::string_view sides[2 * kAtOnce];
  int32_t ids[2 * kAtOnce], merged = kNoToken;
  for (size_t rank = 0; rank < file.merges.size(); ++rank) {
    const auto& [left, right] = file.merges[rank];
    if (const size_t at = rank % kAtOnce; at == 0) {
      const size_t count = std::min(kAtOnce, file.merges.size() - rank);
      for (size_t i = 0; i < count; ++i) std::tie(sides[2 * i], sides[2 * i + 1]) = file.merges[rank + i];
      vocabulary_.find_all({sides, 2 * count}, {ids, 2 * count});
    }
    const int32_t a = ids[2 * (rank % kAtOnce)], b = ids[2 * (rank % kAtOnce) + 1];
    if (left.empty() || right.empty()) throw DataError(where, fmt::format("merge {} has an empty side", rank));
    if (right.size() < prefix_.size())
      throw DataError(where, fmt::format("merge {} ('{}' '{}') is shorter than the subword prefix", rank, left, right));
    merged = find_merged(left, right.substr(prefix_.size()), merged + 1);
    if (a < 0 || b < 0 || merged < 0)
      throw DataError(where, fmt::format("merge {} ('{}' '{}') names the token '{}{}', which is not in the vocabulary",
                                         rank, left, right, a < 0 || b >= 0 ? left : right,
                                         a < 0 || b < 0 ? "" : right.substr(prefix_.size())));
    const uint32_t place = file.merge_ranks.empty() ? static_cast<uint32_t>(rank) : file.merge_ranks[rank];
    merges_.set(static_cast<uint32_t>(a), static_cast<uint32_t>(b), {place, merged});
  }
}

// The token that reads left + right; most often it is the next one of the vocabulary.
int32_t Bpe::find_merged(std::string_view left, std::string_view right, int32_t guess) const {
  if (vocabulary_.contains(guess)) {
    const std::string_view next = vocabulary_.token(guess);
    if (next.size() == left.size() + right.size() && next.starts_with(left) && next.ends_with(right)) return guess;
  }
  return vocabulary_.find(std::string(left).append(right));
}

void Bpe::index_characters() {
  std::string character;
  for (uint32_t i = 0; i < 256; ++i) {
    character.clear();
    append_utf8(character, bytes_ ? byte_to_character(static_cast<uint8_t>(i)) : i);
    byte_ids_[i] = vocabulary_.find(character);
    fallback_ids_[i] = vocabulary_.find(fmt::format("<0x{:02X}>", i));
  }
  if (!bytes_ || !ignore_merges_) return;
  words_.reserve(vocabulary_.size(), vocabulary_.size() * 6);
  for (int32_t id = 0; id < vocabulary_.end_id(); ++id) {
    if (!vocabulary_.contains(id)) continue;
    const std::string_view token = vocabulary_.token(id);
    character.clear();
    bool whole = true;
    for (size_t at = 0; at < token.size() && whole; at += utf8_length(static_cast<unsigned char>(token[at]))) {
      const int byte = character_to_byte(decode_utf8(token.data() + at));
      whole = byte >= 0;
      character += static_cast<char>(byte);
    }
    if (whole) words_.add(character, id);
  }
}

// Splitting before U+2581 is exact if bytes stand in for every unknown character, so that unknown tokens are never
// fused.
void Bpe::find_boundary(const ModelFile& file) {
  const bool plain = prefix_.empty() && suffix_.empty() && !ignore_merges_;
  const bool fallback =
      byte_fallback_ && std::all_of(fallback_ids_.begin(), fallback_ids_.end(), [](int32_t id) { return id >= 0; });
  std::string mark;
  append_utf8(mark, boundary_);
  if (!plain || !fallback || vocabulary_.find(mark) < 0) return;
  splits_ = true;
  for (const auto& [left, right] : file.merges)
    if (right.starts_with(mark))
      junctions_.set(decode_utf8(left.data() + previous_utf8(left, left.size())), boundary_, {0, 0});
}

int32_t Bpe::unknown_id() const {
  const int32_t id = vocabulary_.find(unknown_);
  if (id < 0)
    throw DataError(where_, fmt::format("'unk_token' {} is not in the vocabulary, and a text needs it", unknown_));
  return id;
}

void Bpe::word(std::string_view piece, BpeScratch& s, std::vector<ModelToken>& out) const {
  const uint64_t hash = hash_bytes(piece);
  if (s.cache.find(piece, hash, out)) return;
  s.symbols.clear();
  int32_t whole = kNoToken;
  if (ignore_merges_) whole = bytes_ ? words_.find(piece) : vocabulary_.find(piece);
  if (whole >= 0) {
    s.symbols.push_back({whole, static_cast<uint32_t>(piece.size())});
  } else {
    start(piece, s);
    s.symbols.size() <= kShortWord ? merge_short(s) : merge_long(s);
  }
  s.cache.add(piece, hash, s.symbols);
  out.insert(out.end(), s.symbols.begin(), s.symbols.end());
}

// The characters of the piece as symbols.
void Bpe::start(std::string_view piece, BpeScratch& s) const {
  std::optional<ModelToken> unknown;
  const bool plain = prefix_.empty() && suffix_.empty();
  std::string& text = s.word;
  for (size_t at = 0, size; at < piece.size(); at += size) {
    const auto lead = static_cast<unsigned char>(piece[at]);
    size = bytes_ ? 1 : utf8_length(lead);
    if (plain && (bytes_ || lead < 0x80) && byte_ids_[lead] >= 0) {
      if (unknown) s.symbols.push_back(*unknown);
      unknown.reset();
      s.symbols.push_back({byte_ids_[lead], 1});
      continue;
    }
    text.clear();
    if (bytes_)
      append_utf8(text, byte_to_character(lead));
    else
      text.assign(piece.substr(at, size));
    const auto bytes = static_cast<uint32_t>(size);
    if (at > 0) text.insert(0, prefix_);
    if (at + size == piece.size()) text += suffix_;
    const int32_t id = vocabulary_.find(text);
    if (id >= 0) {
      if (unknown) s.symbols.push_back(*unknown);
      unknown.reset();
      s.symbols.push_back({id, bytes});
      continue;
    }
    if (byte_fallback_ && std::all_of(text.begin(), text.end(),
                                      [&](char c) { return fallback_ids_[static_cast<unsigned char>(c)] >= 0; })) {
      for (const char c : text) s.symbols.push_back({fallback_ids_[static_cast<unsigned char>(c)], 1});
      continue;
    }
    if (!has_unknown_) continue;
    if (unknown && fuse_unknown_) {
      unknown->size += bytes;
    } else {
      if (unknown) s.symbols.push_back(*unknown);
      unknown = ModelToken{unknown_id(), bytes};
    }
  }
  if (unknown) s.symbols.push_back(*unknown);
}

void Bpe::merge_short(BpeScratch& s) const {
  auto& symbols = s.symbols;
  size_t n = symbols.size();
  if (n < 2) return;
  Merge pairs[kShortWord];
  const auto pair = [&](size_t i) {
    return merges_.get(static_cast<uint32_t>(symbols[i].id), static_cast<uint32_t>(symbols[i + 1].id));
  };
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = pair(i);
  while (n > 1) {
    size_t best = 0;
    uint32_t rank = pairs[0].rank;
    for (size_t i = 1; i + 1 < n; ++i)
      if (pairs[i].rank < rank) {
        rank = pairs[i].rank;
        best = i;
      }
    if (rank == kNoRank) break;
    symbols[best] = {pairs[best].id, symbols[best].size + symbols[best + 1].size};
    --n;
    for (size_t i = best + 1; i < n; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i - 1] = pairs[i];
    }
    if (best + 1 < n) pairs[best] = pair(best);
    if (best > 0) pairs[best - 1] = pair(best - 1);
  }
  symbols.resize(n);
}

void Bpe::merge_long(BpeScratch& s) const {
  auto& links = s.links;
  links.clear();
  s.heap.clear();
  const auto n = static_cast<int32_t>(s.symbols.size());
  for (int32_t i = 0; i < n; ++i)
    links.push_back(
        {s.symbols[static_cast<size_t>(i)].id, s.symbols[static_cast<size_t>(i)].size, i - 1, i + 1 < n ? i + 1 : -1});
  const auto at = [&](int32_t i) -> Symbol& { return links[static_cast<size_t>(i)]; };
  const auto push = [&](int32_t i) {
    if (i < 0 || at(i).next < 0) return false;
    const int32_t left = at(i).id, right = at(at(i).next).id;
    const Merge merge = merges_.get(static_cast<uint32_t>(left), static_cast<uint32_t>(right));
    if (merge.rank == kNoRank) return false;
    s.heap.push_back({merge.rank, static_cast<uint32_t>(i), left, right, merge.id});
    return true;
  };
  for (int32_t i = 0; i + 1 < n; ++i) push(i);
  std::make_heap(s.heap.begin(), s.heap.end());
  while (!s.heap.empty()) {
    std::pop_heap(s.heap.begin(), s.heap.end());
    const Candidate top = s.heap.back();
    s.heap.pop_back();
    const auto i = static_cast<int32_t>(top.position);
    const int32_t next = at(i).next;
    if (at(i).id != top.left || next < 0 || at(next).id != top.right) continue;
    at(i).id = top.merged;
    at(i).size += at(next).size;
    at(next).id = kNoToken;
    at(i).next = at(next).next;
    if (at(i).next >= 0) at(at(i).next).previous = i;
    if (push(at(i).previous)) std::push_heap(s.heap.begin(), s.heap.end());
    if (push(i)) std::push_heap(s.heap.begin(), s.heap.end());
  }
  s.symbols.clear();
  for (int32_t i = 0; i >= 0; i = at(i).next) s.symbols.push_back({at(i).id, at(i).size});
}

}  // namespace

std::unique_ptr<Model> make_bpe(ModelFile file, bool bytes, const std::string& where) {
  if (!file.has_merges) throw DataError(where, "a BPE model needs 'merges'");
  return std::make_unique<Bpe>(std::move(file), bytes, where);
}

}  // namespace automodel::tokenizer
