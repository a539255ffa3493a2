// HTTP by libcurl, which is loaded when the first request is made: the program starts and trains without it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "automodel/net/hub.h"

namespace automodel::net {

/// No answer, or one that was cut off.
struct ConnectionFault : HubError {
  ConnectionFault(const std::string& where, const std::string& text, const std::string& hint, bool transient,
                  bool unknown_host = false)
      : HubError(where, text, hint), is_transient(transient), is_unknown_host(unknown_host) {}
  bool is_transient;     ///< it may go better next time: not so for a bad certificate or an unknown proxy
  bool is_unknown_host;  ///< no address was found for the host's name: seldom a matter of seconds
};

/// Header names in lower case; of a repeated header the last value, "link" joined by ", ".
using Headers = std::map<std::string, std::string>;

/// Adds one line "Name: value\r\n" of an answer; a status line empties the headers. Lines beyond 1,000 are dropped.
void add_header_line(Headers& headers, std::string_view line);

struct Answer {
  int status = 0;
  std::string url;  ///< whose answer it is, after redirects
  Headers headers;
  std::string body;      ///< what no sink took; of errors the first 64 KiB
  std::string location;  ///< where a redirect led that was not followed

  std::string header(const std::string& name) const;  ///< "" if it is not there
  bool ok() const { return status >= 200 && status < 300; }
};

struct Request {
  std::string url;
  bool head = false;                             ///< HEAD: and redirects to other origins are not followed
  std::string token;                             ///< sent to `token_origin` only, whatever redirects say
  std::string token_origin;                      ///< an address of the origin that the token is for
  std::string range;                             ///< "0-99", or "" for all
  uint64_t body_limit = 64 << 20;                ///< bytes a body without sink may have
  double timeout_s = 0;                          ///< for the whole exchange; 0: none, the stall timeout alone
  std::function<void(const Answer&)> on_answer;  ///< a 2xx answer's headers are there; may throw
  /// A 2xx body, piece by piece; may throw.
  std::function<void(const char* data, size_t size)> sink;
};

/// One connection at a time, kept open between requests; for one thread.
class HttpClient {
 public:
  explicit HttpClient(const HubSettings& settings);
  ~HttpClient();

  /// Follows up to ten redirects; the token goes only where it belongs, and never from https to http. Throws
  /// ConnectionFault; statuses that are no success are returned. What a callback throws comes through.
  Answer send(const Request& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace automodel::net
