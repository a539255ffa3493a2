#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/merge_table.h"
#include "automodel/tokenizer/model.h"
#include "automodel/tokenizer/unicode.h"
#include "automodel/tokenizer/word_cache.h"

namespace automodel::tokenizer {

namespace {

constexpr double kUnknownPenalty = 10.0;

struct Best {  // the best way to the byte at its place
  int32_t id = -1;
  int32_t begin = -1;
  double score = 0;
};

struct UnigramScratch final : ModelScratch {
  WordCache cache;
  std::vector<Best> best;
  std::vector<std::pair<size_t, size_t>> pieces;
  std::vector<ModelToken> tokens;
};

// The path of the highest sum of scores; unknown characters cost 10 more than the worst token, and neighbours among
// them are fused.
class Unigram final : public Model {
 public:
  Unigram(ModelFile file, const std::string& where) : where_(where), scores_(std::move(file.scores)) {
    vocabulary_ = std::move(file.vocabulary);
    if (scores_.size() != vocabulary_.size()) throw DataError(where, "a Unigram 'vocab' is a list of [token, score]");
    const auto unknown = file.settings.find("unk_id");
    if (unknown != file.settings.end() && !unknown->is_null()) {
      unknown_ =
          static_cast<int32_t>(std::min<uint64_t>(count_member(file.settings, "unk_id", where), Vocabulary::kMaxId));
      if (!vocabulary_.contains(unknown_))
        throw DataError(where, fmt::format("'unk_id' {} is not in the vocabulary", unknown_));
    }
    byte_fallback_ = flag_member(file.settings, "byte_fallback", where, false);
    lowest_ = scores_.empty() ? 0 : *std::min_element(scores_.begin(), scores_.end());
    for (int32_t id = 0; id < vocabulary_.end_id(); ++id) insert(vocabulary_.token(id), id);
    for (uint32_t i = 0; i < 256; ++i) bytes_[i] = vocabulary_.find(fmt::format("<0x{:02X}>", i));
  }

  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<UnigramScratch>(); }

  void tokenize(std::string_view piece, ModelScratch& scratch, std::vector<ModelToken>& out) const override {
    auto& s = static_cast<UnigramScratch&>(scratch);
    const uint64_t hash = hash_bytes(piece);
    if (s.cache.find(piece, hash, out)) return;
    find_path(piece, s);
    s.tokens.clear();
    for (const auto& [begin, end] : s.pieces) add_token(piece.substr(begin, end - begin), s.tokens);
    s.cache.add(piece, hash, s.tokens);
    out.insert(out.end(), s.tokens.begin(), s.tokens.end());
  }

 private:
  void insert(std::string_view token, int32_t id) {
    uint32_t node = 0;
    for (const char c : token) {
      const auto byte = static_cast<unsigned char>(c);
      const Merge next = trie_.get(node, byte);
      if (next.rank == kNoRank) trie_.set(node, byte, {0, static_cast<int32_t>(leaves_.size())});
      node = next.rank == kNoRank ? static_cast<uint32_t>(leaves_.size()) : static_cast<uint32_t>(next.id);
      if (next.rank == kNoRank) leaves_.push_back(-1);
    }
    leaves_[node] = id;
  }

  void find_path(std::string_view piece, UnigramScratch& s) const {
    auto& best = s.best;
    best.assign(piece.size() + 1, Best{});
    for (size_t begin = 0, length; begin < piece.size(); begin += length) {
      length = utf8_length(static_cast<unsigned char>(piece[begin]));
      const double here = best[begin].score;
      const auto offer = [&](size_t end, double score, int32_t id) {
        Best& target = best[end];
        if (target.begin < 0 || score > target.score) target = {id, static_cast<int32_t>(begin), score};
      };
      bool single = false;
      uint32_t node = 0;
      for (size_t end = begin; end < piece.size();) {
        const Merge next = trie_.get(node, static_cast<unsigned char>(piece[end]));
        if (next.rank == kNoRank) break;
        node = static_cast<uint32_t>(next.id);
        ++end;
        if (leaves_[node] < 0) continue;
        offer(end, scores_[static_cast<size_t>(leaves_[node])] + here, leaves_[node]);
        single |= end - begin == length;
      }
      if (single) continue;
      if (unknown_ < 0) throw DataError(where_, "an unknown character came, and 'unk_id' is missing");
      offer(begin + length, lowest_ - kUnknownPenalty + here, unknown_);
    }
    s.pieces.clear();
    bool fused = false;
    for (size_t end = piece.size(); end > 0;) {
      const auto begin = static_cast<size_t>(best[end].begin);
      const bool unknown = unknown_ >= 0 && best[end].id == unknown_;
      if (unknown && fused)
        s.pieces.back().first = begin;
      else
        s.pieces.emplace_back(begin, end);
      fused = unknown;
      end = begin;
    }
    std::reverse(s.pieces.begin(), s.pieces.end());
  }

  void add_token(std::string_view text, std::vector<ModelToken>& out) const {
    const auto size = static_cast<uint32_t>(text.size());
    const int32_t id = vocabulary_.find(text);
    const auto byte_id = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
    if (id >= 0) {
      out.push_back({id, size});
    } else if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (size_t i = 0; i < text.size(); ++i)
        out.push_back({byte_id(text[i]), i == 0 ? size : 0});  // all share the place of the whole
    } else {
      if (unknown_ < 0) throw DataError(where_, "an unknown piece came, and 'unk_id' is missing");
      out.push_back({unknown_, size});
    }
  }

  std::string where_;
  std::vector<double> scores_;
  int32_t unknown_ = -1;
  bool byte_fallback_ = false;
  double lowest_ = 0;
  MergeTable trie_;  // (node, byte) -> next node
  std::vector<int32_t> leaves_ = {-1};
  int32_t bytes_[256];
};

}  // namespace

std::unique_ptr<Model> make_unigram(ModelFile file, const std::string& where) {
  return std::make_unique<Unigram>(std::move(file), where);
}

}  // namespace automodel::tokenizer
