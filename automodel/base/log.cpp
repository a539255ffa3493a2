#include "automodel/base/log.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace automodel {
namespace {
std::mutex mutex;
bool status_shown = false;

void write_line(const std::string& text) {
  std::string out = status_shown ? "\r\033[K" : "";
  status_shown = false;
  out += text + "\n";
  std::fwrite(out.data(), 1, out.size(), stderr);
}
}  // namespace

bool stderr_is_terminal() {
  static const bool is = ::isatty(STDERR_FILENO) != 0;
  return is;
}

void log_info(const std::string& text) {
  std::lock_guard lock(mutex);
  write_line(text);
}

void log_warning(const std::string& text) {
  std::lock_guard lock(mutex);
  const bool color = stderr_is_terminal() && !std::getenv("NO_COLOR");
  write_line((color ? "\033[33mwarning:\033[0m " : "warning: ") + text);
}

void log_status(const std::string& text) {
  if (!stderr_is_terminal()) return;
  std::lock_guard lock(mutex);
  const std::string out = "\r\033[K" + text;
  std::fwrite(out.data(), 1, out.size(), stderr);
  std::fflush(stderr);
  status_shown = true;
}

void finish_status() {
  std::lock_guard lock(mutex);
  if (status_shown) std::fputs("\n", stderr);
  status_shown = false;
}

}  // namespace automodel
