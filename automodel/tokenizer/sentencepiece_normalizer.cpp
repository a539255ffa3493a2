#include "automodel/tokenizer/sentencepiece_normalizer.h"

#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

static constexpr std::string_view kMark = "\u2581";

void PrefixMatcher::add(std::string_view text) {
  uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const Merge known = trie_.get(node, byte);
    if (known.rank != kNoRank) {
      node = static_cast<uint32_t>(known.id);
      continue;
    }
    trie_.set(node, byte, {0, static_cast<int32_t>(ends_.size())});
    node = static_cast<uint32_t>(ends_.size());
    ends_.push_back(false);
  }
  ends_[node] = true;
}

size_t PrefixMatcher::longest(std::string_view text) const {
  size_t best = 0;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size() && ends_.size() > 1; ++i) {
    const Merge known = trie_.get(node, static_cast<unsigned char>(text[i]));
    if (known.rank == kNoRank) break;
    node = static_cast<uint32_t>(known.id);
    if (ends_[node]) best = i + 1;
  }
  return best;
}

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceFile::Rules& rules, const std::string& where)
    : dummy_prefix_(rules.add_dummy_prefix),
      remove_extra_(rules.remove_extra_whitespaces),
      escape_(rules.escape_whitespaces) {
  if (!rules.charsmap.empty()) charsmap_ = Charsmap::from_bytes(rules.charsmap, where);
}

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceFile& file, const std::string& where)
    : SentencePieceNormalizer(file.normalizer, where) {
  suffix_ = file.whitespace_as_suffix;
  for (const auto& piece : file.pieces)
    if (piece.type == SentencePieceFile::kUserDefined) user_defined_.add(piece.text);
}

SentencePieceNormalizer::Step SentencePieceNormalizer::next(std::string_view input) const {
  if (const size_t size = user_defined_.longest(input)) return {input.substr(0, size), size};
  if (charsmap_)
    if (const Charsmap::Match match = charsmap_->longest(input); match.size > 0) return {match.replacement, match.size};
  const size_t size = utf8_length(static_cast<unsigned char>(input[0]));
  return {input.substr(0, size), size};
}

void SentencePieceNormalizer::apply(std::string_view input, std::string& normalized,
                                    std::vector<uint32_t>& origin) const {
  normalized.clear();
  origin.clear();
  const std::string_view space = escape_ ? kMark : " ";
  size_t at = 0;
  const auto put = [&](std::string_view text) {
    normalized += text;
    origin.insert(origin.end(), text.size(), static_cast<uint32_t>(at));
  };
  while (remove_extra_ && at < input.size()) {
    const Step step = next(input.substr(at));
    if (step.text != " ") break;
    at += step.size;
  }
  if (at < input.size()) {
    if (dummy_prefix_ && !suffix_) put(space);
    for (bool after_space = remove_extra_; at < input.size();) {
      Step step = next(input.substr(at));
      while (after_space && step.text.starts_with(' ')) step.text.remove_prefix(1);
      for (const char c : step.text) put(c == ' ' ? space : std::string_view(&c, 1));
      if (!step.text.empty()) after_space = remove_extra_ && step.text.ends_with(' ');
      at += step.size;
    }
    while (remove_extra_ && normalized.ends_with(space)) {
      normalized.erase(normalized.size() - space.size());
      at = origin[normalized.size()];
      origin.resize(normalized.size());
    }
    if (dummy_prefix_ && suffix_) put(space);
  }
  origin.push_back(static_cast<uint32_t>(at));
}

}  // namespace automodel::tokenizer
