#include "automodel/base/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>

namespace automodel {

static std::atomic<int> requested{0};

static void on_signal(int signal) {
  const int before = errno;
  int none = 0;
  if (!requested.compare_exchange_strong(none, signal)) _exit(128 + signal);
  const char text[] = "\nstopping after this step; send the signal again to stop at once\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) < 0) {
  }
  errno = before;
}

// The handler has a stack of its own: kernels of libtorch's BLAS take the stack pointer for their data, and what a
// handler writes below it there is somebody's heap. The system gives a process's signals to its first thread, which is
// the one that trains.
static void take_own_stack() {
  alignas(16) static char memory[64 << 10];  // a frame with all AVX-512 registers takes 4 KiB
  stack_t stack{};
  stack.ss_sp = memory, stack.ss_size = sizeof memory;
  ::sigaltstack(&stack, nullptr);
}

void install_stop_signals(const std::vector<int>& more) {
  take_own_stack();
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_ONSTACK;
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
