#include "automodel/metrics/json_lines.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/log.h"

namespace automodel::metrics {
namespace fs = std::filesystem;

static std::optional<int64_t> step_of(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) return std::nullopt;
  return json["step"].get<int64_t>();
}

void drop_lines_from_step(const fs::path& path, int64_t next_step) {
  if (!fs::is_regular_file(path)) return;
  const std::string text = read_file(path);
  std::string kept;
  int64_t number = 0, repeated = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const auto line = std::string_view(text).substr(at, end == std::string::npos ? end : end - at);
    at = end == std::string::npos ? text.size() : end + 1;
    ++number;
    const auto step = end == std::string::npos ? std::nullopt : step_of(line);
    if (!step)
      log_warning(fmt::format("{}:{}: not a whole record, dropped", path.string(), number));
    else if (*step >= next_step)
      ++repeated;
    else
      kept.append(line).push_back('\n');
  }
  if (kept.size() == text.size()) return;
  if (repeated > 0)
    log_info(fmt::format("{}: {} records of steps from {} on, which are made again, dropped", path.string(), repeated,
                         next_step));
  write_file_atomically(path, kept);
}

static const fs::path& mended(const fs::path& path, int64_t next_step) {
  drop_lines_from_step(path, next_step);
  return path;
}

JsonLines::JsonLines(const fs::path& path, int64_t next_step) : writer_(mended(path, next_step)) {}

void JsonLines::append(const Json& object) {
  // Text from outside (a metric's name) may be no UTF-8; numbers that are not finite become null.
  writer_.append(object.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace automodel::metrics
