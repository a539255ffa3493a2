#include "automodel/base/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"

namespace automodel {

static constexpr int kMaxDepth = 512;

static std::string place(std::string_view text, size_t at, int64_t first_line) {
  at = std::min(at, text.size());
  const auto before = text.substr(0, at);
  const auto line = first_line + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n');
  return fmt::format("{}:{}", line, at - (start == std::string_view::npos ? 0 : start + 1) + 1);
}

Json parse_json(std::string_view text, const std::string& where, int64_t first_line) {
  int depth = 0;  // nlohmann recurses when it destroys: bound the depth before it is built
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth)
        throw DataError(where + ":" + place(text, i, first_line), fmt::format("JSON nested deeper than {}", kMaxDepth));
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    std::string reason = error.what();  // "[json.exception...] parse error at line 1, column 5: syntax error ..."
    if (const size_t at = reason.find(": "); at != std::string::npos) reason = reason.substr(at + 2);
    throw DataError(where + ":" + place(text, error.byte > 0 ? error.byte - 1 : 0, first_line),
                    "not valid JSON: " + reason);
  } catch (const nlohmann::json::out_of_range& error) {  // 1e999: no fault of form, so it comes as another kind
    const std::string reason = error.what();             // "[...] number overflow parsing '1e999'"
    const size_t open = reason.find('\''), close = reason.rfind('\'');
    const std::string number = open < close ? reason.substr(open + 1, close - open - 1) : "";
    const size_t at = number.empty() ? 0 : text.find(number);
    throw DataError(where + ":" + place(text, at == std::string_view::npos ? 0 : at, first_line),
                    fmt::format("the number {} is too large", number));
  }
}

Json load_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

}  // namespace automodel
