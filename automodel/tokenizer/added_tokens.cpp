#include "automodel/tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

AddedToken read_added_token(const Json& config, const std::string& where) {
  AddedToken token;
  token.content = text_member(config, "content", where);
  token.single_word = flag_member(config, "single_word", where, false);
  token.lstrip = flag_member(config, "lstrip", where, false);
  token.rstrip = flag_member(config, "rstrip", where, false);
  token.special = flag_member(config, "special", where, false);
  token.normalized = flag_member(config, "normalized", where, !token.special);
  return token;
}

void AddedTokens::add(const std::vector<AddedToken>& tokens, const Model& model, const Normalizer* normalizer) {
  const auto model_size = static_cast<int32_t>(model.vocabulary().size());
  int32_t next = model_size;
  if (end_id_ > 0 && (end_id_ - 1 >= model_size || model_size == 0)) next = end_id_;
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    int32_t id = find(token.content);
    if (id >= 0 && by_id_.at(id) == token) continue;
    if (id < 0) id = model.vocabulary().find(token.content);
    if (id < 0) id = next++;
    if (token.normalized && normalizer) {
      Normalized now, spare;
      MatchScratch scratch;
      now.assign(token.content, 0, token.content.size(), false);
      normalizer->apply(now, spare, scratch);
      if (now.text != token.content) normalized_[id] = now.text;
    }
    by_content_[token.content] = id;
    if (token.special) special_.insert(token.content);
    by_id_[id] = token;
    end_id_ = std::max(end_id_, id + 1);
  }
}

void AddedTokens::finish(const std::string& where) {
  search_ = {};
  for (const auto& [id, token] : by_id_) {
    Search& search = search_[token.normalized];
    const auto found = normalized_.find(id);
    const std::string& pattern = token.normalized && found != normalized_.end() ? found->second : token.content;
    if (pattern.empty())
      throw DataError(where, fmt::format("the added token '{}' is empty once normalized", token.content));
    uint32_t node = 0;
    for (const char c : pattern) {
      const auto byte = static_cast<unsigned char>(c);
      const Merge next = search.trie.get(node, byte);
      if (next.rank != kNoRank) {
        node = static_cast<uint32_t>(next.id);
        continue;
      }
      const auto fresh = static_cast<uint32_t>(search.leaves.size());
      search.trie.set(node, byte, {0, static_cast<int32_t>(fresh)});
      search.leaves.push_back(-1);
      node = fresh;
    }
    if (search.leaves[node] >= 0)
      throw DataError(where, fmt::format("the added tokens '{}' and '{}' read the same once normalized", token.content,
                                         content(search.leaves[node])));
    search.leaves[node] = id;
    search.first[static_cast<unsigned char>(pattern[0])] = true;
    search.any = true;
  }
}

size_t AddedTokens::longest_match(const Search& search, std::string_view text, size_t at, int32_t& id) const {
  size_t best = 0;
  uint32_t node = 0;
  for (size_t i = at; i < text.size();) {
    const Merge next = search.trie.get(node, static_cast<unsigned char>(text[i]));
    if (next.rank == kNoRank) break;
    node = static_cast<uint32_t>(next.id);
    ++i;
    if (search.leaves[node] < 0) continue;
    best = i;
    id = search.leaves[node];
  }
  return best;
}

void AddedTokens::split(std::string_view whole, uint32_t begin, uint32_t end, bool normalized,
                        std::vector<Piece>& out) const {
  const Search& search = search_[normalized];
  const std::string_view text = whole.substr(begin, end - begin);
  const auto push = [&](size_t from, size_t to, int32_t id) {
    out.push_back({begin + static_cast<uint32_t>(from), begin + static_cast<uint32_t>(to), id});
  };
  size_t done = 0;
  for (size_t at = 0; search.any && at < text.size();) {
    if (!search.first[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    int32_t id = -1;
    size_t stop = longest_match(search, text, at, id), start = at;
    if (stop == 0) {
      ++at;
      continue;
    }
    at = stop;
    const AddedToken& token = by_id_.at(id);
    if (token.single_word) {
      const bool before = start > 0 && has(decode_utf8(text.data() + previous_utf8(text, start)), kWordRegex);
      const bool after = stop < text.size() && has(decode_utf8(text.data() + stop), kWordRegex);
      if (before || after) continue;
    }
    if (token.lstrip) {
      while (start > 0) {
        const size_t last = previous_utf8(text, start);
        if (!has(decode_utf8(text.data() + last), kSpace)) break;
        start = last;
      }
      start = std::max(start, done);
    }
    while (token.rstrip && stop < text.size() && has(decode_utf8(text.data() + stop), kSpace))
      stop += utf8_length(static_cast<unsigned char>(text[stop]));
    if (done < start) push(done, start, -1);
    if (start < stop) push(start, stop, id);
    done = stop;
  }
  if (done < text.size()) push(done, text.size(), -1);
}

int32_t AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? -1 : found->second;
}

const std::string& AddedTokens::decoded(int32_t id) const {
  const auto found = normalized_.find(id);
  return found == normalized_.end() ? content(id) : found->second;
}

bool AddedTokens::special(int32_t id) const {
  const auto found = by_id_.find(id);
  return found != by_id_.end() && found->second.special;
}

}  // namespace automodel::tokenizer
