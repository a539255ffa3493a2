#include "automodel/net/url.h"

#include <algorithm>
#include <charconv>

#include "automodel/net/hub.h"

namespace automodel::net {

static std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

[[noreturn]] static void refuse(std::string_view text, const char* why) {
  throw HubError(shown_url(text), fmt::format("is no address that can be used: {}", why),
                 "expected http://HOST[:PORT][/PATH] or https://...");
}

Url parse_url(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) refuse("(not shown)", "it has control characters or blanks");
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) refuse(text, "it does not begin with http:// or https://");
  Url url;
  url.scheme = lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") refuse(text, "it is neither http nor https");
  std::string_view rest = text.substr(colon + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  const std::string_view tail =
      rest.substr(end, rest.find('#') == std::string_view::npos ? rest.npos : rest.find('#') - end);
  url.path = tail.starts_with('/') ? std::string(tail) : "/" + std::string(tail);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.userinfo = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  const size_t bracket = authority.find(']');
  const size_t port = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = lower(authority.substr(0, port));
  if (url.host.empty() || url.host.starts_with('[') != (bracket != std::string_view::npos))
    refuse(text, "it names no host");
  url.port = url.scheme == "https" ? 443 : 80;
  if (port != std::string_view::npos && port + 1 < authority.size()) {
    const auto* last = authority.data() + authority.size();
    const auto [read, error] = std::from_chars(authority.data() + port + 1, last, url.port);
    if (error != std::errc() || read != last || url.port < 1 || url.port > 65535) refuse(text, "its port is no number");
  }
  return url;
}

bool same_origin(const Url& a, const Url& b) { return a.scheme == b.scheme && a.host == b.host && a.port == b.port; }

std::string join_url(const std::string& base, std::string_view location) {
  const size_t scheme_end = location.find("://");
  if (scheme_end != std::string_view::npos && scheme_end < location.find_first_of("/?#")) return std::string(location);
  const size_t authority = base.find("://") + 3;
  if (location.starts_with("//")) return base.substr(0, authority - 2) + std::string(location);
  const std::string origin = base.substr(0, std::min(base.find_first_of("/?#", authority), base.size()));
  if (location.starts_with('/')) return origin + std::string(location);
  std::string path = base.substr(origin.size());
  path = path.substr(0, path.find_first_of("?#"));
  if (location.starts_with('?')) return origin + path + std::string(location);
  return origin + path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/')) + "/" +
         std::string(location);
}

std::string quote(std::string_view text, bool keep_slash) {
  static const char* kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '.' || c == '-' || c == '~' || (keep_slash && c == '/');
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string shown_url(std::string_view text) {
  std::string out(text.substr(0, std::min(text.find_first_of("?#"), text.size())));
  const size_t scheme = out.find("://");
  if (scheme == std::string::npos) return out.substr(0, 300);
  const size_t end = std::min(out.find('/', scheme + 3), out.size());
  const size_t at = out.rfind('@', end);
  if (at != std::string::npos && at > scheme) out.erase(scheme + 3, at - scheme - 2);
  return out.substr(0, 300);
}

}  // namespace automodel::net
