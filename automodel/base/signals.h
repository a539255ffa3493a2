// SIGTERM and SIGINT: the first asks the run to finish its step, save and exit; the second ends the process at once.
#pragma once

namespace automodel {

/// Installs the handlers for the life of the process. `preemption_signal` is one more signal that asks to stop, 0 for none.
void install_stop_signals(int preemption_signal = 0);

/// The signal that asked to stop, or 0.
int stop_signal();

}  // namespace automodel
