#include "automodel/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/normalizer.h"
#include "automodel/tokenizer/piece_split.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

namespace {

// Rewrites every open piece by `step(rewrite, piece)`, which must consume the piece.
template <class Step>
void rewrite_pieces(Work& work, Step step) {
  Normalized& to = work.spare;
  to.text.clear();
  to.align.clear();
  to.tracked = work.now.tracked;
  to.origin = work.now.origin;
  for (Piece& piece : work.pieces) {
    const uint32_t origin =
        work.now.tracked && piece.begin < piece.end ? work.now.align[piece.begin].begin : work.now.origin;
    Rewrite rewrite(work.now, piece.begin, origin, to);
    const auto begin = static_cast<uint32_t>(to.text.size());
    if (piece.id >= 0)
      rewrite.keep(piece.end - piece.begin);
    else
      step(rewrite, piece);
    piece.begin = begin;
    piece.end = static_cast<uint32_t>(to.text.size());
  }
  std::swap(work.now, work.spare);
}

// The library puts what is prepended in the place of the first character.
void prepend(Work& work, const std::string& content, const std::function<bool(const Piece&, uint32_t first)>& wanted) {
  bool any = false;
  for (const Piece& piece : work.pieces)
    any |= piece.id < 0 && piece.begin < piece.end && wanted(piece, decode_utf8(work.now.text.data() + piece.begin));
  if (!any) return;
  rewrite_pieces(work, [&](Rewrite& rewrite, const Piece& piece) {
    if (piece.begin < piece.end && wanted(piece, decode_utf8(work.now.text.data() + piece.begin))) {
      const size_t length = length_at(work.now.text, piece.begin);
      Rewrite before(work.now, piece.begin, 0, work.spare);
      before.drop(length);
      before.insert(content);
    }
    rewrite.keep(piece.end - piece.begin);
  });
}

struct SplitStep final : PreTokenizer {
  SplitStep(Pattern p, Behavior b, bool i) : pattern(std::move(p)), behavior(b), invert(i) {}
  void apply(Work& work) const override { split_by_pattern(work, pattern, behavior, invert); }
  Pattern pattern;
  Behavior behavior;
  bool invert;
};

struct CharacterStep final : PreTokenizer {
  CharacterStep(Behavior b, std::function<bool(uint32_t)> m) : behavior(b), match(std::move(m)) {}
  void apply(Work& work) const override { split_by_character(work, behavior, match); }
  Behavior behavior;
  std::function<bool(uint32_t)> match;
};

struct SequenceStep final : PreTokenizer {
  void apply(Work& work) const override {
    for (const auto& step : steps) step->apply(work);
  }
  bool needs_alignment() const override {
    for (const auto& step : steps)
      if (step->needs_alignment()) return true;
    return false;
  }
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
};

struct ByteLevelStep final : PreTokenizer {
  void apply(Work& work) const override {
    if (add_prefix_space) prepend(work, " ", [](const Piece&, uint32_t first) { return first != ' '; });
    if (use_regex) split_by_scanner(work, find_scanner(kGpt2Expression));
    if (!write_bytes) return;
    rewrite_pieces(work, [&](Rewrite& rewrite, const Piece& piece) {
      while (rewrite.at() < piece.end) {
        const size_t at = rewrite.at(), bytes = length_at(work.now.text, at);
        rewrite.replace(byte_to_character(static_cast<uint8_t>(work.now.text[at])), bytes);
        for (size_t i = 1; i < bytes; ++i)
          rewrite.insert(byte_to_character(static_cast<uint8_t>(work.now.text[at + i])));
      }
    });
  }
  bool add_prefix_space = true, use_regex = true, write_bytes = true;
};

struct MetaspaceStep final : PreTokenizer {
  enum class Scheme { kAlways, kFirst, kNever };

  void apply(Work& work) const override {
    rewrite_pieces(work, [&](Rewrite& rewrite, const Piece& piece) {
      const std::string_view text = work.now.text;
      while (rewrite.at() < piece.end) {
        size_t space = text.find(' ', rewrite.at());
        if (space > piece.end) space = piece.end;
        rewrite.keep(space - rewrite.at());
        if (space < piece.end) rewrite.replace(replacement, 1);
      }
    });
    std::string mark;
    append_utf8(mark, replacement);
    if (scheme != Scheme::kNever) {
      prepend(work, mark, [&](const Piece& piece, uint32_t first) {
        if (first == replacement) return false;
        if (scheme == Scheme::kAlways) return true;
        return work.now.tracked ? work.now.align[piece.begin].begin == 0 : work.now.origin == 0 && piece.begin == 0;
      });
    }
    if (split) split_by_character(work, Behavior::kMergedWithNext, [&](uint32_t code) { return code == replacement; });
  }
  bool needs_alignment() const override { return scheme == Scheme::kFirst; }

  uint32_t replacement = 0x2581;
  Scheme scheme = Scheme::kAlways;
  bool split = true;
};

struct FixedLengthStep final : PreTokenizer {
  void apply(Work& work) const override {
    split_pieces(work, Behavior::kIsolated, false, [&](std::string_view text, auto add) {
      for (size_t at = 0, end = 0; at < text.size(); at = end) {
        for (size_t i = 0; i < length && end < text.size(); ++i) end += length_at(text, end);
        add(at, end, true);
      }
    });
  }
  size_t length = 5;
};

// \w+|[^\w\s]+ by the regex crate's classes: runs of one kind, blanks removed.
struct WhitespaceStep final : PreTokenizer {
  void apply(Work& work) const override {
    split_pieces(work, Behavior::kRemoved, true, [](std::string_view text, auto add) {
      const auto kind = [](uint32_t code) { return has(code, kWordRegex) ? 1 : has(code, kSpace) ? 0 : 2; };
      for (size_t at = 0, end = 0; at < text.size(); at = end) {
        const int first = kind(decode_utf8(text.data() + at));
        do end += length_at(text, end);
        while (end < text.size() && kind(decode_utf8(text.data() + end)) == first);
        add(at, end, first != 0);
      }
    });
  }
};

Behavior behavior_of(const Json& config, const std::string& where) {
  const std::string name = text_member(config, "behavior", where);
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  throw DataError(
      where,
      fmt::format("'behavior' must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, not '{}'",
                  name));
}

std::unique_ptr<const PreTokenizer> make_metaspace(const Json& config, const std::string& where) {
  auto step = std::make_unique<MetaspaceStep>();
  const std::string replacement = text_member(config, "replacement", where);
  if (count_characters(replacement) != 1) throw DataError(where, "'replacement' must be one character");
  step->replacement = decode_utf8(replacement.data());
  const std::string scheme =
      config.contains("prepend_scheme") ? text_member(config, "prepend_scheme", where) : "always";
  if (scheme == "always")
    step->scheme = MetaspaceStep::Scheme::kAlways;
  else if (scheme == "first")
    step->scheme = MetaspaceStep::Scheme::kFirst;
  else if (scheme == "never")
    step->scheme = MetaspaceStep::Scheme::kNever;
  else
    throw DataError(where, fmt::format("'prepend_scheme' must be always, first or never, not '{}'", scheme));
  if (!flag_member(config, "add_prefix_space", where, true)) {
    if (config.contains("prepend_scheme") && scheme != "never")
      throw DataError(where, "'add_prefix_space' contradicts 'prepend_scheme'");
    step->scheme = MetaspaceStep::Scheme::kNever;
  }
  step->split = flag_member(config, "split", where, true);
  return step;
}

std::unique_ptr<const PreTokenizer> make_split(const Json& config, const std::string& where) {
  const Json& pattern = member(config, "pattern", where);
  const bool literal = pattern.is_object() && pattern.contains("String");
  return std::make_unique<SplitStep>(literal ? Pattern::literal(text_member(pattern, "String", where))
                                             : Pattern::regex(text_member(pattern, "Regex", where), where),
                                     behavior_of(config, where), flag_member(config, "invert", where, false));
}

std::unique_ptr<ByteLevelStep> make_byte_level(const Json& config, const std::string& where) {
  auto step = std::make_unique<ByteLevelStep>();
  step->add_prefix_space = flag_member(config, "add_prefix_space", where);
  step->use_regex = flag_member(config, "use_regex", where, true);
  return step;
}

std::unique_ptr<const PreTokenizer> make_character_step(const std::string& type, const Json& config,
                                                        const std::string& where) {
  if (type == "Digits") {
    const bool individual = flag_member(config, "individual_digits", where);
    return std::make_unique<CharacterStep>(individual ? Behavior::kIsolated : Behavior::kContiguous,
                                           [](uint32_t c) { return has(c, kNumeric); });
  }
  if (type == "Punctuation") {
    const Behavior behavior = config.contains("behavior") ? behavior_of(config, where) : Behavior::kIsolated;
    return std::make_unique<CharacterStep>(behavior, [](uint32_t c) { return has(c, kPunctuation); });
  }
  if (type == "WhitespaceSplit")
    return std::make_unique<CharacterStep>(Behavior::kRemoved, [](uint32_t c) { return has(c, kSpace); });
  if (type == "CharDelimiterSplit") {
    const std::string delimiter = text_member(config, "delimiter", where);
    if (count_characters(delimiter) != 1) throw DataError(where, "'delimiter' must be one character");
    return std::make_unique<CharacterStep>(Behavior::kRemoved,
                                           [code = decode_utf8(delimiter.data())](uint32_t c) { return c == code; });
  }
  return nullptr;
}

// A step; a ByteLevel that is left to the model sets `byte_level`.
std::unique_ptr<const PreTokenizer> make_step(const Json& config, bool last, bool& byte_level,
                                              const std::string& where) {
  const std::string type = type_of(config, where);
  if (type == "Sequence") {
    auto sequence = std::make_unique<SequenceStep>();
    const Json& parts = array_member(config, "pretokenizers", where);
    for (size_t i = 0; i < parts.size(); ++i)
      sequence->steps.push_back(make_step(parts[i], last && i + 1 == parts.size(), byte_level, where));
    return sequence;
  }
  if (type == "ByteLevel") {
    auto step = make_byte_level(config, where);
    step->write_bytes = !last;
    byte_level |= last;
    return step;
  }
  if (type == "Split") return make_split(config, where);
  if (type == "Metaspace") return make_metaspace(config, where);
  if (type == "Whitespace") return std::make_unique<WhitespaceStep>();
  if (type == "BertPreTokenizer") {
    auto sequence = std::make_unique<SequenceStep>();
    sequence->steps.push_back(
        std::make_unique<CharacterStep>(Behavior::kRemoved, [](uint32_t c) { return has(c, kSpace); }));
    sequence->steps.push_back(
        std::make_unique<CharacterStep>(Behavior::kIsolated, [](uint32_t c) { return has(c, kPunctuation); }));
    return sequence;
  }
  if (type == "FixedLength") {
    auto step = std::make_unique<FixedLengthStep>();
    if (config.contains("length")) step->length = count_member(config, "length", where);
    if (step->length == 0) throw DataError(where, "'length' must be at least 1");
    return step;
  }
  if (auto step = make_character_step(type, config, where)) return step;
  throw UnsupportedError(where, fmt::format("the pre-tokenizer type '{}' is not in this build", type));
}

}  // namespace

PreTokenizers make_pre_tokenizers(const Json& config, bool bytes_wanted, const std::string& where) {
  PreTokenizers made;
  if (!config.is_null()) made.steps = make_step(config, bytes_wanted, made.byte_level, where);
  return made;
}

}  // namespace automodel::tokenizer
