#include "automodel/tokenizer/rank_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/tokenizer/base64.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/normalizer.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

static void check_unique(const std::vector<RankedToken>& tokens, const std::string& where) {
  std::unordered_set<std::string_view> texts;
  std::unordered_set<int32_t> ranks;
  for (const RankedToken& token : tokens) {
    if (!texts.insert(token.bytes).second)
      throw DataError(where, fmt::format("the token of rank {} comes twice", token.rank));
    if (!ranks.insert(token.rank).second) throw DataError(where, fmt::format("the rank {} comes twice", token.rank));
  }
}

std::vector<RankedToken> parse_tiktoken(std::string_view text, const std::string& name) {
  std::vector<RankedToken> tokens;
  size_t line = 0;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    ++line;
    std::string_view row = text.substr(at, end - at);
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    const auto where = [&] { return fmt::format("{}:{}", name, line); };
    const size_t space = row.find(' ');
    if (space == std::string_view::npos) throw DataError(where(), "expected 'base64 rank': a line of tiktoken's ranks");
    std::optional<std::string> bytes = decode_base64(row.substr(0, space));
    if (!bytes || bytes->empty()) throw DataError(where(), "the token is not base64");
    int64_t rank = -1;
    const std::string_view digits = row.substr(space + 1);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc() || stop != digits.data() + digits.size() || rank < 0 || rank >= Vocabulary::kMaxId)
      throw DataError(where(), fmt::format("the rank '{}' is not in [0, {})", digits, Vocabulary::kMaxId));
    tokens.push_back({std::move(*bytes), static_cast<int32_t>(rank)});
  }
  if (tokens.empty()) throw DataError(name, "holds no ranks");
  check_unique(tokens, name);
  return tokens;
}

// Those of tekken files up to version 7 that do not list them.
static constexpr const char* kOlderSpecials[] = {"<unk>",
                                                 "<s>",
                                                 "</s>",
                                                 "[INST]",
                                                 "[/INST]",
                                                 "[AVAILABLE_TOOLS]",
                                                 "[/AVAILABLE_TOOLS]",
                                                 "[TOOL_RESULTS]",
                                                 "[/TOOL_RESULTS]",
                                                 "[TOOL_CALLS]",
                                                 "[IMG]",
                                                 "<pad>",
                                                 "[IMG_BREAK]",
                                                 "[IMG_END]",
                                                 "[PREFIX]",
                                                 "[MIDDLE]",
                                                 "[SUFFIX]",
                                                 "[SYSTEM_PROMPT]",
                                                 "[/SYSTEM_PROMPT]",
                                                 "[TOOL_CONTENT]"};

// The special tokens in the order of their ranks, which must be 0, 1, 2, ...
static std::vector<std::string> read_specials(const Json& file, const std::string& name) {
  const std::string where = name + ": special_tokens";
  const auto found = file.find("special_tokens");
  if (found == file.end() || found->is_null()) {
    const std::string version = text_member(member(file, "config", name), "version", name + ": config");
    if (version != "v3" && version != "v7")
      throw DataError(where, fmt::format("the list is missing, which version '{}' must have", version));
    return {std::begin(kOlderSpecials), std::end(kOlderSpecials)};
  }
  std::vector<std::string> texts;
  for (const Json& token : array_member(file, "special_tokens", name)) {
    const uint64_t rank = count_member(token, "rank", where);
    if (rank >= found->size()) throw DataError(where, fmt::format("the ranks must be 0, 1, 2, ...; one is {}", rank));
    texts.resize(found->size());
    std::string text = text_member(token, "token_str", where);
    if (text.empty()) throw DataError(where, fmt::format("the token of rank {} is empty", rank));
    if (!texts[rank].empty()) throw DataError(where, fmt::format("the rank {} comes twice", rank));
    texts[rank] = std::move(text);
  }
  return texts;
}

TekkenFile parse_tekken(std::string_view text, const std::string& name) {
  const Json file = parse_json(text, name);
  const Json& config = member(file, "config", name);
  TekkenFile tekken;
  tekken.pattern = text_member(config, "pattern", name + ": config");
  tekken.special_tokens = read_specials(file, name);
  const auto count = [&](const char* key, uint64_t otherwise) {
    const auto found = config.find(key);
    return found == config.end() || found->is_null() ? otherwise : count_member(config, key, name + ": config");
  };
  const uint64_t specials = count("default_num_special_tokens", tekken.special_tokens.size());
  const Json& vocab = array_member(file, "vocab", name);
  const uint64_t size = count("default_vocab_size", specials + vocab.size());
  if (specials < tekken.special_tokens.size() || size < specials || size > static_cast<uint64_t>(Vocabulary::kMaxId))
    throw DataError(name + ": config",
                    fmt::format("default_vocab_size {} and default_num_special_tokens {} do not fit {} special tokens",
                                size, specials, tekken.special_tokens.size()));
  while (tekken.special_tokens.size() < specials)
    tekken.special_tokens.push_back(fmt::format("<SPECIAL_{}>", tekken.special_tokens.size()));
  for (size_t i = 0; i < std::min<uint64_t>(vocab.size(), size - specials); ++i) {
    const std::string where = fmt::format("{}: vocab[{}]", name, i);
    std::optional<std::string> bytes = decode_base64(text_member(vocab[i], "token_bytes", where));
    if (!bytes || bytes->empty()) throw DataError(where, "'token_bytes' is not base64");
    if (count_member(vocab[i], "rank", where) != i) throw DataError(where, fmt::format("'rank' is not {}", i));
    tekken.vocab.push_back({std::move(*bytes), static_cast<int32_t>(i)});
  }
  check_unique(tekken.vocab, name + ": vocab");
  return tekken;
}

static std::string to_characters(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, byte_to_character(static_cast<uint8_t>(c)));
  return text;
}

void fill_from_ranks(const std::vector<RankedToken>& ranks, int32_t first_id, MergeOrder order, ModelFile& model,
                     const std::string& where) {
  std::vector<size_t> by_rank(ranks.size());
  std::iota(by_rank.begin(), by_rank.end(), size_t{0});
  std::sort(by_rank.begin(), by_rank.end(), [&](size_t a, size_t b) { return ranks[a].rank < ranks[b].rank; });
  model.has_vocab = model.has_merges = true;
  model.vocabulary.reserve(ranks.size(), ranks.size() * 8);
  for (const RankedToken& token : ranks) {
    const std::string& text = model.merge_text.emplace_back(to_characters(token.bytes));
    if (!model.vocabulary.add(text, token.rank + first_id))
      throw DataError(where, fmt::format("the token of rank {} has the text of a special token", token.rank));
  }
  for (uint32_t byte = 0; byte < 256 && order == MergeOrder::kTiktoken; ++byte)
    if (model.vocabulary.find(to_characters(std::string(1, static_cast<char>(byte)))) < 0)
      throw DataError(where, fmt::format("the byte 0x{:02X} is no token of its own", byte));
  struct Split {
    int32_t left_id, right_id;
    std::string_view left, right;
  };
  std::vector<Split> splits;
  for (const size_t index : by_rank) {
    const std::string_view text = model.merge_text[index];
    splits.clear();
    for (size_t at = utf8_length(static_cast<unsigned char>(text[0])); at < text.size();
         at += utf8_length(static_cast<unsigned char>(text[at]))) {
      const std::string_view left = text.substr(0, at), right = text.substr(at);
      const int32_t left_id = model.vocabulary.find(left), right_id = model.vocabulary.find(right);
      if (left_id >= first_id && right_id >= first_id) splits.push_back({left_id, right_id, left, right});
    }
    std::sort(splits.begin(), splits.end(), [](const Split& a, const Split& b) {
      return std::pair(a.left_id, a.right_id) < std::pair(b.left_id, b.right_id);
    });
    for (const Split& split : splits) {
      model.merges.emplace_back(split.left, split.right);
      if (order == MergeOrder::kTiktoken) model.merge_ranks.push_back(static_cast<uint32_t>(ranks[index].rank));
    }
  }
  model.settings = {{"type", "BPE"}, {"unk_token", nullptr}, {"fuse_unk", false}, {"ignore_merges", true}};
}

}  // namespace automodel::tokenizer
