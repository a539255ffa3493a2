#include "automodel/net/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <random>
#include <thread>

#include "automodel/base/log.h"
#include "automodel/base/signals.h"
#include "automodel/base/text.h"
#include "automodel/net/answers.h"

namespace automodel::net {

void sleep_unless_stopped(double seconds, const std::string& where) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (const int signal = stop_signal())
      throw HubError(where, "the download was stopped by a signal", "the same command goes on where it was",
                     128 + signal);
    const std::chrono::duration<double> left = end - Clock::now();
    std::this_thread::sleep_for(std::min(left, std::chrono::duration<double>(0.05)));
  }
}

// Only for spreading clients out in time: nothing that a run computes depends on it.
static double jitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.75, 1.25)(random);
}

static std::string first_line(const HubError& fault) {
  const std::string text = fault.what();
  return text.substr(0, text.find('\n'));
}

void Retry::wait(const HubError& fault, std::optional<double> retry_after, int attempts) {
  attempts = std::min(attempts, settings_.attempts);
  if (++failed_ >= attempts) throw;  // as what it was thrown
  double seconds = settings_.backoff_s * std::min(16.0, std::exp2(failed_ - 1)) * jitter();
  if (retry_after) seconds = *retry_after;
  if (seconds > settings_.longest_wait_s) throw;
  log_info(fmt::format("{}; trying again in {} ({} of {})", first_line(fault), format_duration(seconds), failed_ + 1,
                       attempts));
  sleep_unless_stopped(seconds, first_line(fault));
}

Answer send_patiently(HttpClient& http, const HubSettings& settings, const Repo& repo, const Request& request) {
  for (Retry retry(settings);;) {
    try {
      Answer answer = http.send(request);
      if (!is_transient(answer.status)) return answer;
      try {
        throw_for_status(settings, repo, "", answer);
      } catch (const HubError& fault) {
        retry.wait(fault, parse_retry_after(answer.header("retry-after"), std::time(nullptr)));
      }
    } catch (const ConnectionFault& fault) {
      if (!fault.is_transient) throw;
      if (fault.is_unknown_host)
        retry.wait(fault, std::nullopt, 2);
      else
        retry.wait(fault);
    }
  }
}

}  // namespace automodel::net
