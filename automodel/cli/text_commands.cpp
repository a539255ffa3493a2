// tokenize: text to ids and back.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"
#include "automodel/cli/line_input.h"
#include "automodel/net/resolve.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::cli {

namespace {

void print_ids(const tokenizer::Tokenizer& tokenizer, const std::string& text, const TokenizeOptions& options) {
  if (!options.offsets) {
    std::cout << as_json(tokenizer.encode(text, !options.no_special)) << "\n";
    return;
  }
  const auto encoding = tokenizer.encode_with_offsets(text, !options.no_special);
  std::cout << as_json({{"ids", encoding.ids}, {"offsets", encoding.offsets}}) << "\n";
}

void print_text(const tokenizer::Tokenizer& tokenizer, const Json& ids, const std::string& where,
                const TokenizeOptions& options) {
  if (!ids.is_array()) throw DataError(where, fmt::format("expected a JSON list of ids, got {}", ids.type_name()));
  std::vector<int32_t> list;
  for (const auto& id : ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= tokenizer.vocab_size())
      throw DataError(where, fmt::format("expected ids below {}, got {}", tokenizer.vocab_size(), id.dump()));
    list.push_back(id.get<int32_t>());
  }
  const auto text = tokenizer.decode(list, options.no_special);
  std::cout << (options.jsonl ? as_json(text) : text) << "\n";
}

}  // namespace

int run_tokenize(const TokenizeOptions& options) {
  if (options.decode && options.offsets)
    throw ConfigError("tokenize", "--offsets are those of ids in a text, so they exclude --decode");
  const auto tokenizer = tokenizer::load(net::resolve_model(options.model, "", net::ModelFiles::Tokenizer));
  bool told = false;
  for_each_line(options.file, [&](const Line& line) {
    if (options.decode) return print_text(*tokenizer, line.parse(), line.where(), options);
    if (options.jsonl) {
      const Json value = line.parse();
      if (!value.is_string())
        throw DataError(line.where(), fmt::format("expected a JSON string, got {}", value.type_name()));
      return print_ids(*tokenizer, value.get<std::string>(), options);
    }
    if (const size_t at = find_invalid_utf8(line.text); at != std::string::npos)
      throw DataError(fmt::format("{}:{}", line.where(), at + 1), "not UTF-8",
                      "the column counts bytes; convert the file to UTF-8, for example with iconv");
    if (line.text.ends_with('\r') && !std::exchange(told, true))
      log_warning(line.where() + ": the line ends with \\r\\n, and the \\r is taken as text");
    print_ids(*tokenizer, line.text, options);
  });
  return 0;
}

}  // namespace automodel::cli
