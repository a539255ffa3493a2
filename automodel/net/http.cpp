#include "automodel/net/http.h"

#include <exception>

#include "automodel/base/signals.h"
#include "automodel/base/text.h"
#include "automodel/net/curl_library.h"
#include "automodel/net/url.h"

#ifndef AUTOMODEL_USER_AGENT
#define AUTOMODEL_USER_AGENT "automodel"
#endif

namespace automodel::net {

constexpr size_t kErrorBodyBytes = 64 << 10;
constexpr size_t kHeaderBytes = 1 << 20;
constexpr size_t kMaxHeaders = 1000;
constexpr int kMaxRedirects = 10;

void add_header_line(Headers& headers, std::string_view line) {
  if (line.starts_with("HTTP/")) return headers.clear();
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || headers.size() >= kMaxHeaders) return;
  std::string name(trim(line.substr(0, colon)));
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::string value(trim(line.substr(colon + 1)));
  std::string& slot = headers[name];
  slot = name == "link" && !slot.empty() ? slot + ", " + value : value;
}

std::string Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::State {
  const HubSettings& settings;
  const CurlLibrary& curl = curl_library();
  CURL* handle = curl.easy_init();

  // of the exchange that is under way
  const Request* request = nullptr;
  Answer answer;
  bool announced = false, too_long = false;
  size_t header_bytes = 0;
  std::exception_ptr thrown;  // an exception must not pass through libcurl's C frames

  explicit State(const HubSettings& given) : settings(given) {
    if (!handle) throw SystemError("libcurl", "cannot make a connection handle");
  }
  ~State() { curl.easy_cleanup(handle); }

  bool is_redirect() const {
    return (answer.status == 301 || answer.status == 302 || answer.status == 303 || answer.status == 307 ||
            answer.status == 308) &&
           answer.headers.contains("location");
  }

  void read_status() {
    long status = 0;
    curl.easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
  }

  void announce() {
    if (announced) return;
    announced = true;
    read_status();
    if (answer.ok() && request->on_answer) request->on_answer(answer);
  }

  size_t take_body(const char* data, size_t size) {
    try {
      announce();
      if (answer.ok() && request->sink) {
        request->sink(data, size);
        return size;
      }
      const uint64_t limit = answer.ok() ? request->body_limit : kErrorBodyBytes;
      if (answer.body.size() + size > limit) {
        if (answer.ok()) too_long = true;
        if (answer.ok()) return 0;
        size_t room = limit - answer.body.size();
        answer.body.append(data, room);
        return size;
      }
      answer.body.append(data, size);
      return size;
    } catch (...) {
      thrown = std::current_exception();
      return 0;
    }
  }

  static size_t on_body(char* data, size_t one, size_t count, void* self) {
    return static_cast<State*>(self)->take_body(data, one * count);
  }
  static size_t on_header(char* data, size_t one, size_t count, void* self) {
    auto& state = *static_cast<State*>(self);
    const std::string_view line(data, one * count);
    if ((state.header_bytes += line.size()) > kHeaderBytes) return 0;
    try {
      add_header_line(state.answer.headers, line);
    } catch (...) {
      state.thrown = std::current_exception();
      return 0;
    }
    return one * count;
  }
  static int on_tick(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return stop_signal() != 0; }

  void set_options(const std::string& url, curl_slist* lines, char* message) {
    const auto set = curl.easy_setopt;
    curl.easy_reset(handle);
    set(handle, CURLOPT_URL, url.c_str());
    set(handle, CURLOPT_NOBODY, request->head ? 1L : 0L);
    set(handle, CURLOPT_HTTPHEADER, lines);
    set(handle, CURLOPT_USERAGENT, AUTOMODEL_USER_AGENT);
    set(handle, CURLOPT_FOLLOWLOCATION, 0L);  // send() does: it knows where the token may go
    set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    set(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_ERRORBUFFER, message);
    set(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.answer_timeout_s * 1000));
    set(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request->timeout_s * 1000));
    set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(handle, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(settings.stall_timeout_s)));
    set(handle, CURLOPT_BUFFERSIZE, 512L << 10);
    set(handle, CURLOPT_WRITEFUNCTION, &State::on_body);
    set(handle, CURLOPT_WRITEDATA, this);
    set(handle, CURLOPT_HEADERFUNCTION, &State::on_header);
    set(handle, CURLOPT_HEADERDATA, this);
    set(handle, CURLOPT_XFERINFOFUNCTION, &State::on_tick);
    set(handle, CURLOPT_NOPROGRESS, 0L);
    if (!request->range.empty()) set(handle, CURLOPT_RANGE, request->range.c_str());
    if (!settings.ca_file.empty()) set(handle, CURLOPT_CAINFO, settings.ca_file.c_str());
  }

  [[noreturn]] void fail(CURLcode code, const std::string& url, const char* message);
  void exchange(const std::string& url, bool with_token);
};

void HttpClient::State::fail(CURLcode code, const std::string& url, const char* message) {
  const std::string shown = shown_url(url), said = message[0] ? message : curl.easy_strerror(code);
  if (code == CURLE_ABORTED_BY_CALLBACK)
    throw HubError(shown, "the download was stopped by a signal", "the same command goes on where it was",
                   128 + stop_signal());
  if (too_long)
    throw HubError(shown, fmt::format("the answer is longer than {}", format_bytes(request->body_limit)),
                   "is this address the Hub's (HF_ENDPOINT)?");
  if (code == CURLE_COULDNT_RESOLVE_PROXY)
    throw ConnectionFault(shown, fmt::format("the proxy cannot be found: {}", said),
                          "check https_proxy, http_proxy and no_proxy", false);
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM)
    throw ConnectionFault(shown, fmt::format("the server's certificate cannot be trusted: {}", said),
                          "install ca-certificates, or name the certificates of your proxy in SSL_CERT_FILE", false);
  if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
    throw ConnectionFault(shown, fmt::format("is no address that can be used: {}", said), "check HF_ENDPOINT", false);
  const bool unreached = code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT;
  throw ConnectionFault(shown, fmt::format("{}: {}", unreached ? "cannot be reached" : "the connection was lost", said),
                        "check the network, http_proxy and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is in the cache",
                        true, code == CURLE_COULDNT_RESOLVE_HOST);
}

void HttpClient::State::exchange(const std::string& url, bool with_token) {
  answer = {};
  answer.url = url;
  announced = too_long = false;
  header_bytes = 0;
  thrown = nullptr;
  char message[CURL_ERROR_SIZE] = {};
  curl_slist* lines = curl.slist_append(nullptr, "Accept-Encoding: identity");  // lengths and ranges are of the file
  if (with_token) lines = curl.slist_append(lines, ("Authorization: Bearer " + request->token).c_str());
  set_options(url, lines, message);
  const CURLcode code = curl.easy_perform(handle);
  curl.easy_setopt(handle, CURLOPT_HTTPHEADER, nullptr);
  curl.easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
  curl.slist_free_all(lines);
  if (thrown) std::rethrow_exception(thrown);
  if (code != CURLE_OK) fail(code, url, message);
  announce();
}

HttpClient::HttpClient(const HubSettings& settings) : state_(std::make_unique<State>(settings)) {}
HttpClient::~HttpClient() = default;

Answer HttpClient::send(const Request& request) {
  State& state = *state_;
  state.request = &request;
  std::string url = request.url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const Url here = parse_url(url);
    state.exchange(url, !request.token.empty() && same_origin(here, parse_url(request.token_origin)));
    if (!state.is_redirect()) return std::move(state.answer);
    const std::string next = join_url(url, state.answer.headers.at("location"));
    const Url there = parse_url(next);
    if (here.scheme == "https" && there.scheme == "http")
      throw HubError(shown_url(url), fmt::format("leads from https to {}, which is not followed", shown_url(next)),
                     "a proxy that answers in the Hub's place does this");
    if (request.head && !same_origin(here, there)) {
      state.answer.location = next;
      return std::move(state.answer);
    }
    url = next;
  }
  throw HubError(shown_url(request.url),
                 fmt::format("leads in circles: {} redirects, the last to {}", kMaxRedirects, shown_url(url)),
                 "check HF_ENDPOINT and the proxy");
}

}  // namespace automodel::net
