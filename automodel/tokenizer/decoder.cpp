#include "automodel/tokenizer/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/normalizer.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

namespace {

using Strings = std::vector<std::string>;

size_t length_at(const std::string& text, size_t at) { return utf8_length(static_cast<unsigned char>(text[at])); }

// A decoder that is one function.
struct PlainDecoder final : Decoder {
  explicit PlainDecoder(std::function<void(Strings&, MatchScratch&)> f) : function(std::move(f)) {}
  void apply(Strings& tokens, MatchScratch& scratch) const override { function(tokens, scratch); }
  std::function<void(Strings&, MatchScratch&)> function;
};

void fuse(Strings& tokens) {
  std::string whole;
  for (const auto& token : tokens) whole += token;
  tokens.assign(1, std::move(whole));
}

// A token with any character that stands for no byte is taken as it is.
void from_byte_level(Strings& tokens) {
  std::string bytes;
  for (const auto& token : tokens) {
    const size_t before = bytes.size();
    for (size_t at = 0; at < token.size(); at += length_at(token, at)) {
      const int byte = character_to_byte(decode_utf8(token.data() + at));
      if (byte < 0) {
        bytes.resize(before);
        bytes += token;
        break;
      }
      bytes += static_cast<char>(byte);
    }
  }
  tokens.assign(1, replace_invalid_utf8(std::move(bytes)));
}

// The byte of "<0x..>", or -1.
int fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const size_t i : {3, 4}) {
    const char c = token[i];
    const bool sign = i == 3 && c == '+';  // Rust's parser takes a sign
    if (!sign && !std::isxdigit(static_cast<unsigned char>(c))) return -1;
    value = value * 16 + (sign ? 0 : c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  }
  return value;
}

// Runs of byte tokens become text if they are UTF-8, else one U+FFFD a byte.
void from_bytes(Strings& tokens) {
  Strings out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (find_invalid_utf8(bytes) == std::string::npos)
      out.push_back(bytes);
    else
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    bytes.clear();
  };
  for (auto& token : tokens) {
    const int byte = fallback_byte(token);
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  flush();
  tokens.swap(out);
}

void strip(const std::string& content, size_t start, size_t stop, Strings& tokens) {
  for (auto& token : tokens) {
    size_t begin = 0, end = token.size();
    for (size_t i = 0; i < start && begin < token.size() && token.compare(begin, content.size(), content) == 0; ++i)
      begin += content.size();
    for (size_t i = 0;
         i < stop && end >= content.size() && token.compare(end - content.size(), content.size(), content) == 0; ++i)
      end -= content.size();
    token = begin < end ? token.substr(begin, end - begin) : std::string();
  }
}

std::string clean_up(std::string text) {
  static constexpr const char* kRules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                              {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                              {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& rule : kRules) text = replace_all(std::move(text), rule[0], rule[1]);
  return text;
}

void from_word_pieces(const std::string& prefix, bool cleanup, Strings& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && tokens[i].starts_with(prefix))
      tokens[i].erase(0, prefix.size());
    else if (i > 0)
      tokens[i].insert(0, 1, ' ');
    if (cleanup) tokens[i] = clean_up(std::move(tokens[i]));
  }
}

void from_ctc(const std::string& pad, const std::string& delimiter, bool cleanup, Strings& tokens) {
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  Strings out;
  for (const auto& token : tokens) {
    std::string text = replace_all(token, pad, "");
    if (cleanup) text = replace_all(clean_up(std::move(text)), delimiter, " ");
    if (!text.empty()) out.push_back(std::move(text));
  }
  tokens.swap(out);
}

void from_metaspace(const std::string& mark, bool prepended, Strings& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = replace_all(std::move(tokens[i]), mark, i == 0 && prepended ? "" : " ");
}

template <class F>
std::unique_ptr<const Decoder> plain(F function) {
  return std::make_unique<PlainDecoder>([function](Strings& tokens, MatchScratch&) { function(tokens); });
}

std::unique_ptr<const Decoder> make_sequence(const Json& config, const std::string& where) {
  auto parts = std::make_shared<std::vector<std::unique_ptr<const Decoder>>>();
  for (const Json& part : array_member(config, "decoders", where)) parts->push_back(make_decoder(part, where));
  return std::make_unique<PlainDecoder>([parts](Strings& tokens, MatchScratch& scratch) {
    for (const auto& part : *parts)
      if (part) part->apply(tokens, scratch);
  });
}

std::unique_ptr<const Decoder> make_replace(const Json& config, const std::string& where) {
  const Json& source = member(config, "pattern", where);
  const bool literal = source.is_object() && source.contains("String");
  auto pattern = std::make_shared<Pattern>(literal ? Pattern::literal(text_member(source, "String", where))
                                                   : Pattern::regex(text_member(source, "Regex", where), where));
  return std::make_unique<PlainDecoder>(
      [pattern, content = text_member(config, "content", where)](Strings& tokens, MatchScratch& scratch) {
        for (auto& token : tokens) {
          Matches matches(*pattern, token, scratch);
          std::string out;
          size_t last = 0, begin, end;
          while (matches.next(begin, end)) {
            out.append(token, last, begin - last).append(content);
            last = end;
          }
          token = out.append(token, last);
        }
      });
}

std::unique_ptr<const Decoder> make_metaspace(const Json& config, const std::string& where) {
  bool prepended = flag_member(config, "add_prefix_space", where, true);
  if (config.contains("prepend_scheme")) prepended &= text_member(config, "prepend_scheme", where) != "never";
  return plain([mark = text_member(config, "replacement", where), prepended](Strings& tokens) {
    from_metaspace(mark, prepended, tokens);
  });
}

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Json& config, const std::string& where) {
  if (config.is_null()) return nullptr;
  const std::string type = type_of(config, where);
  if (type == "Sequence") return make_sequence(config, where);
  if (type == "Replace") return make_replace(config, where);
  if (type == "Metaspace") return make_metaspace(config, where);
  if (type == "ByteLevel") return plain(from_byte_level);
  if (type == "ByteFallback") return plain(from_bytes);
  if (type == "Fuse") return plain(fuse);
  if (type == "Strip") {
    const std::string content = text_member(config, "content", where);
    if (count_characters(content) != 1) throw DataError(where, "'content' of Strip must be one character");
    return plain([content, start = count_member(config, "start", where), stop = count_member(config, "stop", where)](
                     Strings& tokens) { strip(content, start, stop, tokens); });
  }
  if (type == "WordPiece")
    return plain([prefix = text_member(config, "prefix", where), cleanup = flag_member(config, "cleanup", where)](
                     Strings& tokens) { from_word_pieces(prefix, cleanup, tokens); });
  if (type == "BPEDecoder")
    return plain([suffix = text_member(config, "suffix", where)](Strings& tokens) {
      for (size_t i = 0; i < tokens.size(); ++i)
        tokens[i] = replace_all(std::move(tokens[i]), suffix, i + 1 == tokens.size() ? "" : " ");
    });
  if (type == "CTC")
    return plain([pad = text_member(config, "pad_token", where),
                  delimiter = text_member(config, "word_delimiter_token", where),
                  cleanup = flag_member(config, "cleanup", where)](Strings& tokens) {
      from_ctc(pad, delimiter, cleanup, tokens);
    });
  throw UnsupportedError(where, fmt::format("the decoder type '{}' is not known to this build", type));
}

}  // namespace automodel::tokenizer
