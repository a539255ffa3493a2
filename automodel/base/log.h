// What the program tells its user while it runs. Everything goes to standard error; results go to standard output.
#pragma once

#include <string>

namespace automodel {

/// Lines on standard error: plain for info, "warning: ..." in yellow on a terminal (NO_COLOR is obeyed).
void log_info(const std::string& text);
void log_warning(const std::string& text);

/// Redraws one status line on a terminal; elsewhere does nothing. The next log line or finish_status() ends it.
void log_status(const std::string& text);
void finish_status();

bool stderr_is_terminal();

}  // namespace automodel
