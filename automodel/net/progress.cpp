// The bar on a terminal, plain lines elsewhere.
#include <cstdlib>

#include "automodel/base/counted.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/net/hub.h"

namespace automodel::net {

static std::string bar(double part) {
  constexpr int kWidth = 24;
  std::string out = "[";
  for (int i = 0; i < kWidth; ++i) out += i < static_cast<int>(part * kWidth) ? '#' : '.';
  return out + "]";
}

static std::string line_of(const TransferState& state, double rate) {
  std::string line =
      fmt::format("{} of {}, {} of {} files, {}/s", format_bytes(state.bytes_done), format_bytes(state.bytes),
                  state.files_done, state.files, format_bytes(static_cast<uint64_t>(rate)));
  if (rate > 0 && state.bytes > state.bytes_done)
    line += fmt::format(", {} left", format_duration(static_cast<double>(state.bytes - state.bytes_done) / rate));
  return line;
}

Progress show_progress() {
  const char* disabled = std::getenv("HF_HUB_DISABLE_PROGRESS_BARS");
  if (disabled && disabled[0] && std::string(disabled) != "0") return {};
  struct Shown {
    double at = 0;  // seconds of the last line, and the rate then
    double rate = 0, rate_at = 0;
    uint64_t rate_bytes = 0;
    bool begun = false;
  };
  return [shown = Shown{}](const TransferState& state) mutable {
    if (!shown.begun) shown.rate_bytes = state.bytes_resumed;
    shown.begun = true;
    if (state.seconds < 1) return;
    if (state.finished) {
      finish_status();
      const uint64_t fetched = state.bytes - std::min(state.bytes, state.bytes_resumed);
      return log_info(fmt::format("{}: {} in {} fetched in {} ({}/s)", state.repo, format_bytes(fetched),
                                  counted(state.files, "file"), format_duration(state.seconds),
                                  format_bytes(static_cast<uint64_t>(static_cast<double>(fetched) / state.seconds))));
    }
    if (const double passed = state.seconds - shown.rate_at; passed >= 1) {  // smoothed over some seconds
      const double now =
          state.bytes_done > shown.rate_bytes ? static_cast<double>(state.bytes_done - shown.rate_bytes) / passed : 0;
      shown.rate = shown.rate == 0 ? now : 0.7 * shown.rate + 0.3 * now;
      shown.rate_at = state.seconds;
      shown.rate_bytes = state.bytes_done;
    }
    const std::string line = line_of(state, shown.rate);
    if (stderr_is_terminal()) {
      const double part = state.bytes ? static_cast<double>(state.bytes_done) / static_cast<double>(state.bytes) : 1;
      log_status(fmt::format("{} {} {}", state.repo, bar(part), line));
    } else if (state.seconds - shown.at >= 10) {
      shown.at = state.seconds;
      log_info(fmt::format("{}: {}", state.repo, line));
    }
  };
}

}  // namespace automodel::net
