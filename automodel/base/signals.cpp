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

void install_stop_signals(const std::vector<int>& more) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  std::vector<int> signals = {SIGTERM, SIGINT};
  signals.insert(signals.end(), more.begin(), more.end());
  for (const int signal : signals) ::sigaction(signal, &action, nullptr);
}

std::optional<int> parse_signal(const std::string& text) {
  const std::string name = text.starts_with("SIG") ? text.substr(3) : text;
  for (int signal = 1; signal < NSIG; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (std::to_string(signal) == name || (known && name == known)) return signal;
  }
  return std::nullopt;
}

int stop_signal() { return requested.load(); }

}  // namespace automodel
