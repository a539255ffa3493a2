#include "automodel/config/load_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/config/fill_config.h"
#include "automodel/config/recipe_keys.h"

namespace automodel::config {

Report check_config(Value root, const std::string& name, const Capabilities& capabilities) {
  Report report;
  report.file = name;
  std::vector<Fault> form_faults;
  expand_short_forms(root, form_faults);
  report.findings = check_tree(root);
  report.findings.faults.insert(report.findings.faults.begin(), form_faults.begin(), form_faults.end());
  fill_config(root, report.config, report.findings.faults);
  classify_for_recipe(report.config.recipe, report.findings);
  report.lacking = find_lacking(root, report.config, report.findings, capabilities);
  find_run_faults(root, report.config, capabilities, report.findings, report.lacking);
  report.root = std::move(root);
  return report;
}

Report check_config(const std::filesystem::path& file, const std::vector<Override>& overrides,
                    const Capabilities& capabilities, const Environment& environment) {
  Value root = load_yaml(file, environment);
  std::vector<Fault> ignored;
  expand_short_forms(root, ignored);  // so that --model.key can stand beside `model: NAME`
  apply_overrides(root, overrides, environment);
  return check_config(std::move(root), file.string(), capabilities);
}

RecipeConfig load_config(const std::filesystem::path& file, const std::vector<Override>& overrides,
                         const Capabilities& capabilities, const Environment& environment) {
  return require_runnable(check_config(file, overrides, capabilities, environment));
}

[[noreturn]] static void refuse_lacking(const Report& report) {
  const char* hint = "`automodel check` shows every key";
  const auto where = [&](const Lacking& lacking) {
    return Fault{lacking.place, lacking.path, "", ""}.where(report.file);
  };
  const Lacking& first = report.lacking[0];
  if (report.lacking.size() == 1)
    throw UnsupportedError(where(first), first.text() + (first.is_sentence ? "" : ", which this build lacks"),
                           first.hint.empty() ? hint : first.hint);
  std::string all;
  for (const Lacking& lacking : report.lacking) all += fmt::format("\n  {}: {}", where(lacking), lacking.text());
  throw UnsupportedError(report.file, "valid, but this build lacks what it needs:" + all, hint);
}

RecipeConfig require_runnable(const Report& report) {
  std::vector<Fault> faults = report.faults();
  const bool only_files =
      std::all_of(report.lacking.begin(), report.lacking.end(), [](const Lacking& lacking) { return lacking.no_file; });
  if (faults.empty() && only_files)  // what `check` leaves open, for the file may lie on another machine, ends a run
    for (const Lacking& lacking : report.lacking)
      faults.push_back({lacking.place, lacking.path, fmt::format("is {}, expected {}", lacking.value, lacking.reason),
                        lacking.hint});
  if (!faults.empty()) {
    const Fault& first = faults[0];
    std::string text = first.text, hint = first.hint;
    for (size_t k = 1; k < faults.size() && k < 20; ++k) {  // each with its own hint
      const Fault& fault = faults[k];
      if (!hint.empty()) text += "\n  hint: " + hint;
      text += fmt::format("\nerror: {}: {}", fault.where(report.file), fault.text);
      hint = fault.hint;
    }
    throw ConfigError(first.where(report.file), text, hint);
  }
  if (!report.lacking.empty()) refuse_lacking(report);
  return report.config;
}

std::string Report::placed(const std::string& message) const {
  const size_t end = message.find(": ");
  if (end == std::string::npos) return message;
  const std::string path = message.substr(0, end);
  for (const KeyNote& key : findings.keys) {
    if (key.path != path || (key.is_section && key.place.line == 0)) continue;  // of a section only its keys are typed
    return Fault{key.place, path, "", ""}.where(file) + message.substr(path.size());
  }
  return message;
}

std::vector<std::string> start_notes(const Report& report) {
  std::vector<std::string> notes;
  for (const KeyNote& key : report.findings.keys) {
    if (key.from_section || key.note.empty()) continue;
    if (key.key_class != KeyClass::kMapped && key.key_class != KeyClass::kInert) continue;
    if (key.path == "ci") continue;
    notes.push_back(fmt::format("{}{} is {}: {}", key.path, key.value.empty() ? "" : ": " + key.value,
                                class_name(key.key_class), key.note));
  }
  return notes;
}

}  // namespace automodel::config
