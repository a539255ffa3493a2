// When a request is made again, and how long to wait before.
#pragma once

#include <limits>
#include <string>

#include "automodel/net/http.h"
#include "automodel/net/hub.h"

namespace automodel::net {

/// Counts attempts that brought nothing new. wait() is called from the handler of a fault: it sleeps (the server's
/// Retry-After, else backoff_s doubled each time, up to a quarter longer or shorter so that many clients do not come
/// back at once) and says so in the log; it throws the fault again when the attempts are used up, the wait asked for is
/// too long, or a signal came.
class Retry {
 public:
  explicit Retry(const HubSettings& settings) : settings_(settings) {}
  void progressed() { failed_ = 0; }
  /// `attempts`: no more in all are worth while than so many of settings.attempts.
  void wait(const HubError& fault, std::optional<double> retry_after = std::nullopt,
            int attempts = std::numeric_limits<int>::max());

 private:
  const HubSettings& settings_;
  int failed_ = 0;
};

/// Sends until an answer comes that is not transient; the last answer, whatever its status. A host whose name is not
/// found is looked up once more only. Throws as send() does.
Answer send_patiently(HttpClient& http, const HubSettings& settings, const Repo& repo, const Request& request);

/// Sleeps, and throws HubError with the exit code 128 + n as soon as signal n asks the process to stop.
void sleep_unless_stopped(double seconds, const std::string& where);

}  // namespace automodel::net
