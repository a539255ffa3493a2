// The knobs and tables as text: `automodel help config [SECTION]` and docs/config.md.
#pragma once

#include <string>
#include <string_view>

namespace automodel::config {

/// Every knob with type, default and meaning, by section; with `section` only that one. Throws ConfigError with the
/// nearest section for a name that is none.
std::string config_help(std::string_view section = "");

/// The same as a Markdown page, with the keys of NeMo AutoModel that are mapped, inert or lacking and why, and the
/// table of names.
std::string config_markdown();

}  // namespace automodel::config
