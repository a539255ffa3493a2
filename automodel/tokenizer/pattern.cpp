#include "automodel/tokenizer/pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include "automodel/base/error.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

static constexpr size_t kJitStackBytes = 512 * 1024;

struct MatchScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = nullptr;
  ~Impl() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack) pcre2_jit_stack_free(stack);
  }
};

MatchScratch::MatchScratch() : impl_(std::make_unique<Impl>()) {}
MatchScratch::~MatchScratch() = default;

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  std::string where;
  ~Compiled() { pcre2_code_free(code); }
};

Pattern::Pattern(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

static std::string pcre_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

Pattern Pattern::regex(const std::string& expression, const std::string& where, bool allow_scanner) {
  Pattern pattern;
  if (allow_scanner) pattern.scanner_ = find_scanner(expression);
  if (pattern.scanner_) return pattern;
  pattern.compiled_ = std::make_unique<Compiled>();
  pattern.compiled_->where = where;
  const std::string translated = translate_onig(expression, where);
  int error = 0;
  PCRE2_SIZE at = 0;
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  pattern.compiled_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions, &error, &at, nullptr);
  if (!pattern.compiled_->code)
    throw DataError(where, fmt::format("cannot compile the pattern {}: {}", expression, pcre_message(error)));
  pcre2_jit_compile(pattern.compiled_->code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter runs it
  return pattern;
}

bool Pattern::find(std::string_view text, size_t from, size_t& begin, size_t& end, MatchScratch& scratch) const {
  if (scanner_) {
    for (begin = from; begin < text.size(); begin += utf8_length(static_cast<unsigned char>(text[begin])))
      if ((end = scanner_(text, begin)) > begin) return true;
    return false;
  }
  if (!compiled_) {
    begin = text.find(literal_, from);
    end = begin + literal_.size();
    return begin != std::string_view::npos;
  }
  auto& m = scratch.impl();
  const auto run = [&] {
    return pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK, m.data, m.context);
  };
  int code = run();
  if (code == PCRE2_ERROR_JIT_STACKLIMIT && !m.stack) {
    m.stack = pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr);
    pcre2_jit_stack_assign(m.context, nullptr, m.stack);
    code = run();
  }
  if (code == PCRE2_ERROR_NOMATCH) return false;
  if (code < 0) throw DataError(compiled_->where, "the pattern gave up on a text: " + pcre_message(code));
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(m.data);
  begin = span[0];
  end = span[1];
  return true;
}

bool Matches::next(size_t& begin, size_t& end) {
  while (from_ <= text_.size()) {
    if (!pattern_.find(text_, from_, begin, end, scratch_)) break;
    if (begin == end && end == last_end_) {  // step over one character and look again
      if (from_ >= text_.size()) break;
      from_ += utf8_length(static_cast<unsigned char>(text_[from_]));
      last_end_ = std::string_view::npos;
      continue;
    }
    from_ = last_end_ = end;
    return true;
  }
  from_ = text_.size() + 1;
  return false;
}

namespace {

constexpr char kSpaces[] =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

std::string class_of(uint16_t property) {
  std::string text;
  const uint16_t* bits = properties();
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (!(bits[code] & property)) continue;
    const uint32_t first = code;
    while (code + 1 < 0x110000 && bits[code + 1] & property) ++code;
    text += first == code ? fmt::format("\\x{{{:X}}}", first) : fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", first, code);
  }
  return text;
}

// Translates one expression; `at_` walks over it.
class Translator {
 public:
  Translator(std::string_view source, const std::string& where) : source_(source), where_(where) {}

  std::string run() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\\')
        escape();
      else if (c == '[')
        out_ += character_class();
      else if (c == '{')
        interval();
      else if (c == '(' && source_.substr(at_, 3) == "(?m")
        refuse("(?m)");
      else
        out_ += source_[at_++];
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw UnsupportedError(where_,
                           fmt::format("the pattern {} uses {}, which this build does not translate", source_, what));
  }

  // What stands for the escape at `at_` inside a class, and whether it is negated.
  std::string escaped_class(bool& negated) {
    const char c = source_[at_ + 1];
    negated = c == 'S' || c == 'D' || c == 'W' || c == 'P' || c == 'H';
    at_ += 2;
    switch (c) {
      case 's':
      case 'S':
        return kSpaces;
      case 'd':
      case 'D':
        return "\\p{Nd}" + std::string(category_gain("Nd"));
      case 'w':
      case 'W':
        return class_of(kWordPattern);
      case 'h':
      case 'H':
        return "0-9a-fA-F";
      default:
        break;
    }
    const size_t close = source_.find('}', at_);
    if (at_ >= source_.size() || source_[at_] != '{' || close == std::string_view::npos) refuse("a \\p without braces");
    std::string_view name = source_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    return fmt::format("\\p{{{}}}{}", name, category_gain(name));
  }

  bool is_class_escape() const {
    return at_ + 1 < source_.size() && std::string_view("sSdDwWpPhH").find(source_[at_ + 1]) != std::string_view::npos;
  }

  // \uHHHH, and escapes that both engines read alike.
  std::string plain_escape() {
    if (at_ + 1 >= source_.size()) refuse("a backslash at its end");
    if (source_[at_ + 1] == 'u') {
      const std::string_view digits = source_.substr(at_ + 2, 4);
      if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
        refuse("\\u");
      at_ += 6;
      return fmt::format("\\x{{{}}}", digits);
    }
    const std::string text(source_.substr(at_, 2));
    at_ += 2;
    return text;
  }

  void escape() {
    if (!is_class_escape()) {
      out_ += plain_escape();
      return;
    }
    bool negated = false;
    const std::string inside = escaped_class(negated);
    out_ += (negated ? "[^" : "[") + inside + "]";
  }

  // One bracketed class, from '[' over its ']'; A&&[B] becomes a look-ahead.
  std::string character_class() {
    std::string text(1, source_[at_++]);
    if (at_ < source_.size() && source_[at_] == '^') text += source_[at_++];
    bool first = true;
    for (; at_ < source_.size(); first = false) {
      const char c = source_[at_];
      if (c == ']' && !first) {
        ++at_;
        return text + "]";
      }
      if (c == '\\') {
        if (!is_class_escape()) {
          text += plain_escape();
          continue;
        }
        bool negated = false;
        const std::string inside = escaped_class(negated);
        if (negated) refuse("a negated class inside a class");
        text += inside;
      } else if (c == '[' && source_.substr(at_, 2) == "[:") {
        const size_t close = source_.find(":]", at_);
        if (close == std::string_view::npos) refuse("an open [:");
        text += source_.substr(at_, close + 2 - at_);
        at_ = close + 2;
      } else if (c == '[') {
        refuse("a class inside a class");
      } else if (source_.substr(at_, 2) == "&&") {
        at_ += 2;
        if (at_ >= source_.size() || source_[at_] != '[') refuse("&& without a class after it");
        const std::string other = character_class();
        if (at_ >= source_.size() || source_[at_] != ']') refuse("&& with more than one class after it");
        ++at_;
        return fmt::format("(?:(?={}){}])", other, text);
      } else {
        text += c == ']' ? "\\]" : std::string(1, c);
        ++at_;
      }
    }
    refuse("an open class");
  }

  // {,n} means {0,n} to Oniguruma, and a + after an interval repeats it instead of making it possessive.
  void interval() {
    const size_t close = source_.find('}', at_);
    if (close != std::string_view::npos && close + 1 < source_.size() && source_[close + 1] == '+') refuse("{n,m}+");
    out_ += source_[at_++];
    if (at_ < source_.size() && source_[at_] == ',') out_ += '0';
  }

  std::string_view source_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
};

}  // namespace

std::string translate_onig(std::string_view expression, const std::string& where) {
  return Translator(expression, where).run();
}

}  // namespace automodel::tokenizer
