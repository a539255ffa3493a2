#include "automodel/base/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <initializer_list>

namespace automodel {

static std::atomic<int> requested{0};

static void on_signal(int signal) {
  int none = 0;
  if (!requested.compare_exchange_strong(none, signal)) _exit(128 + signal);
  const char text[] = "\nstopping after this step; send the signal again to stop at once\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) {
  }
}

void install_stop_signals(int preemption_signal) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, preemption_signal})
    if (signal != 0) ::sigaction(signal, &action, nullptr);
}

int stop_signal() { return requested.load(); }

}  // namespace automodel
