#include "automodel/metrics/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"

namespace automodel::metrics {
namespace fs = std::filesystem;
namespace {

std::optional<double> field(const Json& record, const char* name) {
  const auto found = record.find(name);
  if (found == record.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

Json or_null(std::optional<double> value) { return value ? Json(*value) : Json(); }

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Json summary(const RunHistory& run) {
  std::vector<double> tps;
  std::optional<double> lowest, mem;
  for (const auto& [number, step] : run.steps) {
    if (step.tps) tps.push_back(*step.tps);
    if (step.loss) lowest = std::min(lowest.value_or(*step.loss), *step.loss);
    if (step.mem) mem = std::max(mem.value_or(*step.mem), *step.mem);
  }
  return {{"path", run.path.string()},
          {"steps", run.steps.size()},
          {"first_step", run.steps.begin()->first},
          {"last_step", run.steps.rbegin()->first},
          {"first_loss", or_null(run.steps.begin()->second.loss)},
          {"final_loss", or_null(run.steps.rbegin()->second.loss)},
          {"lowest_loss", or_null(lowest)},
          {"median_tps", or_null(median(tps))},
          {"peak_mem_gib", or_null(mem)}};
}

Json difference(const RunHistory& first, const RunHistory& other, size_t index) {
  int64_t common = 0;
  std::optional<int64_t> at;
  double largest = 0, relative = 0;
  for (const auto& [number, step] : other.steps) {
    const auto found = first.steps.find(number);
    if (found == first.steps.end() || !step.loss || !found->second.loss) continue;
    ++common;
    const double distance = std::abs(*step.loss - *found->second.loss);
    relative = std::max(relative, distance / std::max(std::abs(*found->second.loss), 1e-300));
    if (!at || distance > largest) largest = distance, at = number;
  }
  return {{"run", index},
          {"steps", common},
          {"max_difference", common ? Json(largest) : Json()},
          {"max_relative", common ? Json(relative) : Json()},
          {"at_step", at ? Json(*at) : Json()},
          {"equal", common > 0 && largest == 0 && first.steps.size() == other.steps.size() &&
                        common == static_cast<int64_t>(first.steps.size())}};
}

std::string shown(const Json& value, const char* form = "{:.6f}") {
  return value.is_number() ? fmt::format(fmt::runtime(form), value.get<double>()) : "-";
}

}  // namespace

RunHistory load_run(const fs::path& run) {
  RunHistory history{run, {}};
  const fs::path file = run.extension() == ".jsonl" ? run : run / "training.jsonl";
  if (!fs::is_regular_file(file))
    throw DataError(run.string(), "is no run: it holds no training.jsonl", "name a run's checkpoint folder");
  const std::string text = read_file(file);
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto line = trim(std::string_view(text).substr(at, end - at));
    const bool last = end == text.size();
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    const auto where = fmt::format("{}:{}", file.string(), number);
    if (last && !Json::accept(line)) {
      log_warning(where + ": not a whole record, left out");
      break;
    }
    const Json record = parse_json(line, where);
    if (!record.is_object() || !record.contains("step") || !record["step"].is_number_integer())
      throw DataError(where, "is no record of a step: it has no whole number 'step'");
    history.steps[record["step"].get<int64_t>()] = {field(record, "loss"), field(record, "tps"), field(record, "mem"),
                                                    field(record, "grad_norm")};
  }
  if (history.steps.empty()) throw DataError(file.string(), "holds no record of a step");
  return history;
}

Json compare_runs(const std::vector<RunHistory>& runs) {
  AM_CHECK(!runs.empty(), "nothing to compare");
  Json result = {{"runs", Json::array()}, {"compared", Json::array()}, {"rows", Json::array()}};
  std::set<int64_t> steps;
  for (size_t i = 0; i < runs.size(); ++i) {
    result["runs"].push_back(summary(runs[i]));
    if (i > 0) result["compared"].push_back(difference(runs[0], runs[i], i));
    for (const auto& [number, step] : runs[i].steps) steps.insert(number);
  }
  for (const int64_t number : steps) {
    Json losses = Json::array();
    for (const auto& run : runs) {
      const auto found = run.steps.find(number);
      losses.push_back(found == run.steps.end() ? Json() : or_null(found->second.loss));
    }
    result["rows"].push_back({{"step", number}, {"losses", losses}});
  }
  return result;
}

std::string comparison_text(const Json& comparison, size_t max_rows) {
  const auto& runs = comparison["runs"];
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) text += fmt::format("run {}: {}\n", i, runs[i]["path"].get<std::string>());
  text += fmt::format("\n{:>8}", "step");
  for (size_t i = 0; i < runs.size(); ++i) text += fmt::format("  {:>12}", fmt::format("loss {}", i));
  if (runs.size() > 1) text += fmt::format("  {:>12}", "difference");
  text += '\n';

  const auto& rows = comparison["rows"];
  std::set<size_t> picked;
  const size_t count = std::min(std::max<size_t>(max_rows, 2), rows.size());
  for (size_t k = 0; k < count; ++k) picked.insert(count == 1 ? 0 : k * (rows.size() - 1) / (count - 1));
  for (const size_t r : picked) {
    const auto& losses = rows[r]["losses"];
    text += fmt::format("{:>8}", rows[r]["step"].get<int64_t>());
    std::optional<double> low, high;
    int common = 0;
    for (const auto& loss : losses) {
      text += fmt::format("  {:>12}", shown(loss));
      if (!loss.is_number()) continue;
      ++common;
      low = std::min(low.value_or(loss.get<double>()), loss.get<double>());
      high = std::max(high.value_or(loss.get<double>()), loss.get<double>());
    }
    if (losses.size() > 1) text += fmt::format("  {:>12}", common > 1 ? fmt::format("{:.3g}", *high - *low) : "-");
    text += '\n';
  }
  text += fmt::format("\n{:>4}  {:>7}  {:>12}  {:>12}  {:>12}  {:>10}  {:>12}\n", "run", "steps", "final loss",
                      "lowest loss", "tokens/s", "speed", "memory GiB");
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto &tps = runs[i]["median_tps"], &base = runs[0]["median_tps"];
    const bool both = tps.is_number() && base.is_number() && base.get<double>() > 0;
    text += fmt::format("{:>4}  {:>7}  {:>12}  {:>12}  {:>12}  {:>10}  {:>12}\n", i, runs[i]["steps"].get<int64_t>(),
                        shown(runs[i]["final_loss"]), shown(runs[i]["lowest_loss"]), shown(tps, "{:.1f}"),
                        both ? fmt::format("{:.2f}x", tps.get<double>() / base.get<double>()) : "-",
                        shown(runs[i]["peak_mem_gib"], "{:.2f}"));
  }
  for (const auto& d : comparison["compared"]) {
    if (d["steps"] == 0)
      text += fmt::format("run {}: no step in common with run 0\n", d["run"].get<int>());
    else if (d["equal"].get<bool>())
      text += fmt::format("run {}: every loss is equal to run 0's, bit for bit, over {}\n", d["run"].get<int>(),
                          counted(d["steps"].get<int64_t>(), "step"));
    else
      text += fmt::format("run {}: differs from run 0 by at most {:.3g} (step {}), relative {:.3g}, over {}\n",
                          d["run"].get<int>(), d["max_difference"].get<double>(), d["at_step"].get<int64_t>(),
                          d["max_relative"].get<double>(), counted(d["steps"].get<int64_t>(), "common step"));
  }
  return text;
}

}  // namespace automodel::metrics
