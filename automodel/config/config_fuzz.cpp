// libFuzzer entry for the loader: YAML text in, a report or a ConfigError out.
//
// Build and run: tools/fuzz config/config
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "automodel/base/error.h"
#include "automodel/config/load_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  using namespace automodel::config;
  auto environment = [](const std::string&) { return std::nullopt; };
  try {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    Report report = check_config(parse_yaml(text, "fuzz", environment), "fuzz", Capabilities{});
    report.text();
    report.json();
    // What was read without a mistake is read again after printing.
    if (report.findings.faults.empty() && !report.config.model.path.empty()) {
      Report again =
          check_config(parse_yaml(effective_yaml(report.config), "again", environment), "again", Capabilities{});
      if (!again.findings.faults.empty()) __builtin_trap();
    }
  } catch (const ConfigError&) {
  }
  return 0;
}
