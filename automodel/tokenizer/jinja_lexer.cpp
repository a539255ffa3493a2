#include "automodel/tokenizer/jinja_lexer.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "automodel/tokenizer/jinja_text.h"

namespace automodel::tokenizer::jinja {

namespace {

struct Operator {
  std::string_view text;
  Tok type;
};
// Longer ones first.
constexpr Operator kOperators[] = {
    {"//", Tok::kFloorDiv}, {"**", Tok::kPow},   {"==", Tok::kEq},      {"!=", Tok::kNe},      {">=", Tok::kGe},
    {"<=", Tok::kLe},       {"+", Tok::kAdd},    {"-", Tok::kSub},      {"/", Tok::kDiv},      {"*", Tok::kMul},
    {"%", Tok::kMod},       {"~", Tok::kTilde},  {"[", Tok::kLBracket}, {"]", Tok::kRBracket}, {"(", Tok::kLParen},
    {")", Tok::kRParen},    {"{", Tok::kLBrace}, {"}", Tok::kRBrace},   {">", Tok::kGt},       {"<", Tok::kLt},
    {"=", Tok::kAssign},    {".", Tok::kDot},    {":", Tok::kColon},    {"|", Tok::kPipe},     {",", Tok::kComma},
    {";", Tok::kSemicolon},
};

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : name_(name) {
    if (source.size() > (size_t{1} << 24)) throw DataError(name, "the template is larger than 16 MiB");
    source_.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\r') {
        source_ += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      } else {
        source_ += source[i];
      }
    }
    if (!source_.empty() && source_.back() == '\n') source_.pop_back();
  }

  std::vector<Token> run() {
    while (pos_ < source_.size()) root();
    add(Tok::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fault(const std::string& text) const { throw DataError(fmt::format("{}:{}", name_, line_), text); }
  char at(size_t i) const { return i < source_.size() ? source_[i] : '\0'; }
  bool starts(size_t i, std::string_view what) const {
    return std::string_view(source_).substr(i, what.size()) == what;
  }
  void add(Tok type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }

  // Moves on to `to`, counting lines.
  void advance(size_t to) {
    for (; pos_ < to; ++pos_) line_ += source_[pos_] == '\n';
  }

  size_t skip_space(size_t i) const {
    while (i < source_.size()) {
      size_t next = i;
      if (!is_space(decode(source_, next))) break;
      i = next;
    }
    return i;
  }

  // The end of "{%- raw -%}" at `i`, or npos; `sign` becomes the first sign.
  size_t match_word_tag(size_t i, std::string_view word, char& sign, bool closing) const {
    if (!starts(i, "{%")) return std::string::npos;
    i += 2;
    sign = at(i) == '-' || at(i) == '+' ? at(i) : '\0';
    if (sign) ++i;
    i = skip_space(i);
    if (!starts(i, word)) return std::string::npos;
    i = skip_space(i + word.size());
    if (starts(i, "-%}")) return skip_space(i + 3);
    if (closing && starts(i, "+%}")) return i + 3;
    if (!starts(i, "%}")) return std::string::npos;
    i += 2;
    return closing && at(i) == '\n' ? i + 1 : i;
  }

  // Template text up to `end`, stripped as the sign of the tag that follows asks for; `tag_end` is where the tag's
  // inside starts.
  void data(size_t end, char sign, bool variable, size_t tag_end) {
    std::string_view text = std::string_view(source_).substr(pos_, end - pos_);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && skip_space(pos_ + start) >= end) text = text.substr(0, start);
    }
    if (!text.empty()) add(Tok::kData, std::string(text));
    advance(end);
    line_starting_ = at(tag_end - 1) == '\n';
  }

  void root() {
    size_t open = pos_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        add(Tok::kData, source_.substr(pos_));
        advance(source_.size());
        return;
      }
      const char next = source_[open + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++open;
    }
    char sign = '\0';
    if (const size_t end = match_word_tag(open, "raw", sign, false); end != std::string::npos) {
      data(open, sign, false, end);
      advance(end);
      raw();
      return;
    }
    const char kind = source_[open + 1];
    sign = at(open + 2) == '-' || at(open + 2) == '+' ? at(open + 2) : '\0';
    const size_t inside = open + 2 + (sign ? 1 : 0);
    data(open, sign, kind == '{', inside);
    if (kind == '#') {
      advance(inside);
      comment();
    } else {
      add(kind == '{' ? Tok::kVariableBegin : Tok::kBlockBegin, "");
      advance(inside);
      tag(kind == '{');
    }
  }

  void raw() {
    for (size_t i = pos_; (i = source_.find("{%", i)) != std::string::npos; ++i) {
      char sign = '\0';
      const size_t end = match_word_tag(i, "endraw", sign, true);
      if (end == std::string::npos) continue;
      data(i, sign, false, end);
      advance(end);
      return;
    }
    fault("missing the end of a raw block: {% endraw %}");
  }

  void comment() {
    const size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) fault("missing the end of a comment: #}");
    const char sign = close > pos_ ? source_[close - 1] : '\0';
    finish_tag(close + 2, sign, true);
  }

  void finish_tag(size_t end, char sign, bool trims) {
    if (sign == '-')
      end = skip_space(end);
    else if (trims && sign != '+' && at(end) == '\n')
      ++end;
    line_starting_ = at(end - 1) == '\n';
    advance(end);
  }

  // At the end of the tag? Ends count only outside brackets.
  bool ends_tag(bool variable) {
    const std::string_view close = variable ? "}}" : "%}";
    char sign = '\0';
    if (starts(pos_, close))
      sign = ' ';
    else if (starts(pos_ + 1, close) && (at(pos_) == '-' || (!variable && at(pos_) == '+')))
      sign = at(pos_);
    if (!sign) return false;
    add(variable ? Tok::kVariableEnd : Tok::kBlockEnd, "");
    finish_tag(pos_ + (sign == ' ' ? 2 : 3), sign, !variable);
    return true;
  }

  void tag(bool variable) {
    std::string brackets;
    while (pos_ < source_.size()) {
      if (brackets.empty() && ends_tag(variable)) return;
      if (const size_t end = skip_space(pos_); end > pos_) {
        advance(end);
      } else if (!number() && !word() && !string_literal()) {
        operator_sign(brackets);
      }
    }
  }

  bool digits(size_t& i, bool (*accepts)(char)) const {  // digits with single underscores between them
    if (!accepts(at(i))) return false;
    while (accepts(at(i)) || (at(i) == '_' && accepts(at(i + 1)))) ++i;
    return true;
  }

  bool number() {
    if (!is_digit_char(at(pos_))) return false;
    size_t end = pos_;
    digits(end, is_digit_char);
    bool real = false;
    if (!(pos_ > 0 && at(pos_ - 1) == '.')) {
      size_t i = end + 1;
      if (at(end) == '.' && digits(i, is_digit_char)) {
        real = true;
        end = i;
      }
      if (at(end) == 'e' || at(end) == 'E') {
        i = end + 1;
        if (at(i) == '+' || at(i) == '-') ++i;
        if (digits(i, is_digit_char)) {
          real = true;
          end = i;
        }
      }
    }
    if (real) {
      add(Tok::kFloat, "");
      tokens_.back().number = std::strtod(plain(pos_, end).c_str(), nullptr);
      advance(end);
      return true;
    }
    integer();
    return true;
  }

  std::string plain(size_t begin, size_t end) const {
    std::string out;
    for (size_t i = begin; i < end; ++i) {
      if (source_[i] != '_') out += source_[i];
    }
    return out;
  }

  void integer() {
    const char prefix = static_cast<char>(at(pos_ + 1) | 0x20);
    int base = 10;
    size_t begin = pos_, end = pos_;
    const auto based = [&](int b, bool (*accepts)(char)) {
      size_t i = pos_ + 2 + (at(pos_ + 2) == '_');
      if (!digits(i, accepts)) return;
      base = b, begin = pos_ + 2, end = i;
    };
    if (at(pos_) == '0' && prefix == 'x')
      based(16, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
    if (at(pos_) == '0' && prefix == 'o') based(8, [](char c) { return c >= '0' && c <= '7'; });
    if (at(pos_) == '0' && prefix == 'b') based(2, [](char c) { return c == '0' || c == '1'; });
    if (base == 10 && at(pos_) == '0')
      digits(end, [](char c) { return c == '0'; });  // 012 is 0 and then 12
    else if (base == 10)
      digits(end, is_digit_char);
    const std::string text = plain(begin, end);
    add(Tok::kInteger, "");
    const auto [ptr, error] = std::from_chars(text.data(), text.data() + text.size(), tokens_.back().integer, base);
    if (error != std::errc()) fault(fmt::format("the integer {} does not fit 64 bits", text));
    advance(end);
  }

  bool word() {
    size_t end = pos_;
    while (end < source_.size()) {
      size_t next = end;
      const char32_t c = decode(source_, next);
      const bool part = c < 0x80 ? std::isalnum(static_cast<int>(c)) || c == '_'
                                 : is_alpha(c) || is_numeric(c) || is_identifier("_" + source_.substr(end, next - end));
      if (!part) break;
      end = next;
    }
    if (end == pos_) return false;
    std::string text = source_.substr(pos_, end - pos_);
    if (!is_identifier(text)) fault("invalid character in the identifier " + str_repr(text));
    add(Tok::kName, std::move(text));
    advance(end);
    return true;
  }

  bool string_literal() {
    const char quote = at(pos_);
    if (quote != '\'' && quote != '"') return false;
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return false;  // a lone quote: an unexpected character
    add(Tok::kString, unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1)));
    advance(end + 1);
    return true;
  }

  // Python's unicode-escape codec.
  std::string unescape(std::string_view text) const {
    if (text.find('\\') == std::string_view::npos) return std::string(text);
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\') {
        out += text[i++];
        continue;
      }
      ++i;
      const char c = text[i];
      static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t k = kFrom.find(c); k != std::string_view::npos) {
        out += kTo[k];
        ++i;
      } else if (c == '\n') {
        ++i;
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        for (int n = 0; n < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n)
          code = code * 8 + (text[i++] - '0');
        append_utf8(out, code);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        append_utf8(out, hex_escape(text, i, c == 'x' ? 2 : c == 'u' ? 4 : 8));
      } else if (c == 'N') {
        fault("\\N{...} in a string is not supported; write the character or \\uXXXX");
      } else if (static_cast<unsigned char>(c) < 0x80) {
        out += '\\';
        out += c;
        ++i;
      } else {  // the codec sees the backslash followed by the character's own escape
        const char32_t code = decode(text, i);
        const auto n = static_cast<uint32_t>(code);
        out += code < 0x100     ? fmt::format("\\x{:02x}", n)
               : code < 0x10000 ? fmt::format("\\u{:04x}", n)
                                : fmt::format("\\U{:08x}", n);
      }
    }
    return out;
  }

  char32_t hex_escape(std::string_view text, size_t& i, size_t digits) const {
    const std::string hex(text.substr(i + 1, digits));
    if (hex.size() < digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      fault(fmt::format("truncated \\{} escape in a string: {} hexadecimal digits are needed", text[i], digits));
    }
    const auto code = std::stoul(hex, nullptr, 16);
    if (code > 0x10FFFF) fault("illegal Unicode character in a string: \\U" + hex);
    i += 1 + digits;
    return static_cast<char32_t>(code);
  }

  void operator_sign(std::string& brackets) {
    for (const auto& [text, type] : kOperators) {
      if (!starts(pos_, text)) continue;
      const char c = text[0];
      if (c == '(' || c == '[' || c == '{') {
        brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
      } else if (c == ')' || c == ']' || c == '}') {
        if (brackets.empty()) fault(fmt::format("unexpected '{}'", c));
        if (brackets.back() != c) fault(fmt::format("unexpected '{}', expected '{}'", c, brackets.back()));
        brackets.pop_back();
      }
      add(type, std::string(text));
      advance(pos_ + text.size());
      return;
    }
    size_t next = pos_;
    decode(source_, next);
    fault("unexpected character " + str_repr(std::string_view(source_).substr(pos_, next - pos_)));
  }

  std::string name_, source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& name) { return Lexer(source, name).run(); }

std::string describe(const Token& token) {
  switch (token.type) {
    case Tok::kName:
    case Tok::kString:
      return str_repr(token.text);
    case Tok::kInteger:
      return "an integer";
    case Tok::kFloat:
      return "a float";
    case Tok::kData:
      return "template text";
    case Tok::kVariableBegin:
      return "the start of a print statement";
    case Tok::kVariableEnd:
      return "the end of the print statement";
    case Tok::kBlockBegin:
      return "the start of a statement";
    case Tok::kBlockEnd:
      return "the end of the statement";
    case Tok::kEnd:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace automodel::tokenizer::jinja
