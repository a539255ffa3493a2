// Lexer: a template's source cut into tokens, with jinja2's white-space control: trim_blocks, lstrip_blocks, the signs
// of
// {%- -%} {%+ +%}, {% raw %}, comments; line ends normalised to \n and one trailing newline dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/error.h"

namespace automodel::tokenizer::jinja {

enum class Tok : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kEnd,
  kAdd,
  kSub,
  kDiv,
  kFloorDiv,
  kMul,
  kMod,
  kPow,
  kTilde,
  kLBracket,
  kRBracket,
  kLParen,
  kRParen,
  kLBrace,
  kRBrace,
  kEq,
  kNe,
  kGt,
  kGe,
  kLt,
  kLe,
  kAssign,
  kDot,
  kColon,
  kPipe,
  kComma,
  kSemicolon,
};  // clang-format skip

struct Token {
  Tok type;
  int line;
  std::string text;  // of data, names, strings (unescaped) and operators
  int64_t integer = 0;
  double number = 0;
};

/// Throws DataError{"name:line"}. The last token is kEnd. At most 2^24 bytes of source.
std::vector<Token> tokenize(std::string_view source, const std::string& name);

/// How errors call a token: "'endif'", "end of print statement", ... .
std::string describe(const Token& token);

}  // namespace automodel::tokenizer::jinja
