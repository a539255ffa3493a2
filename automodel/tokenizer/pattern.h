// Pattern: what tokenizer.json splits or replaces by, a literal string or a regular expression written for Oniguruma.
//
// Regular expressions run on PCRE2's JIT after translation: Oniguruma's meaning of \s \d \w \h ^ $ and of categories by
// its newer Unicode version is spelled out. The patterns of GPT-2, cl100k (GPT-4, Llama 3, Qwen) and DeepSeek are
// recognised by their text and scanned by hand-written code (scanner.h), several times faster, with the same matches.
// Immutable; scratch is the caller's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "automodel/tokenizer/scanner.h"

namespace automodel::tokenizer {

/// What matching needs besides the pattern: one a thread.
class MatchScratch {
 public:
  MatchScratch();
  ~MatchScratch();
  MatchScratch(const MatchScratch&) = delete;
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

class Pattern {
 public:
  /// A string that stands for itself.
  static Pattern literal(std::string text);
  /// An Oniguruma expression. `where` starts the errors: DataError for a broken one, UnsupportedError for syntax that
  /// is not translated.
  static Pattern regex(const std::string& expression, const std::string& where, bool allow_scanner = true);
  Pattern(Pattern&&) noexcept;
  ~Pattern();

  /// The first match at or after `from` in valid UTF-8 `text`, as [begin, end). Throws DataError if the matcher runs
  /// out of its limits.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end, MatchScratch& scratch) const;

  /// The scanner that has recognised the expression; nullptr if PCRE2 runs it.
  Scanner scanner() const { return scanner_; }

 private:
  Pattern() = default;
  struct Compiled;
  std::string literal_;
  std::unique_ptr<Compiled> compiled_;
  Scanner scanner_ = nullptr;
};

/// All matches in order, as the library iterates them: an empty match directly after another match is left out.
class Matches {
 public:
  Matches(const Pattern& pattern, std::string_view text, MatchScratch& scratch)
      : pattern_(pattern), text_(text), scratch_(scratch) {}
  bool next(size_t& begin, size_t& end);

 private:
  const Pattern& pattern_;
  std::string_view text_;
  MatchScratch& scratch_;
  size_t from_ = 0, last_end_ = std::string_view::npos;
};

/// The PCRE2 form of an Oniguruma expression. Throws UnsupportedError{where} for syntax that has no counterpart.
std::string translate_onig(std::string_view expression, const std::string& where);

}  // namespace automodel::tokenizer
