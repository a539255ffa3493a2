// SIGTERM and SIGINT: the first asks the run to finish its step, save and exit; the second ends the process at once.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace automodel {

/// Installs the handlers for the life of the process: SIGINT, SIGTERM and `more`. From the first thread, which gets the
/// signals: they run on a stack of their own there.
void install_stop_signals(const std::vector<int>& more = {});

/// "SIGUSR1", "USR1" or "10" as a number; nothing for what is no signal.
std::optional<int> parse_signal(const std::string& text);

/// The signal that asked to stop, or 0.
int stop_signal();

}  // namespace automodel
