// Addresses: cut apart, joined, quoted, and shown without what is secret in them.
#pragma once

#include <string>
#include <string_view>

namespace automodel::net {

struct Url {
  std::string scheme;    ///< "http" or "https", lower case
  std::string userinfo;  ///< "user:password" or ""
  std::string host;      ///< lower case; IPv6 in brackets
  int port = 0;          ///< the scheme's own where none is written
  std::string path;      ///< with its query, from '/'; "/" at least
};

/// Cuts an absolute http or https address apart. Throws HubError for anything else, and for control characters.
Url parse_url(std::string_view text);

/// True if both have the same scheme, host and port: a token that is for one may go to the other.
bool same_origin(const Url& a, const Url& b);

/// What `location` (a Location or Link header) means in an answer from `base`: absolute, "//host/path", "/path" or
/// relative to the folder.
std::string join_url(const std::string& base, std::string_view location);

/// Percent-encodes all but letters, digits, "_.-~" and, where asked, '/': Python's urllib.parse.quote.
std::string quote(std::string_view text, bool keep_slash);

/// For messages: no user, password, query or fragment; signed addresses carry their signature there.
std::string shown_url(std::string_view text);

}  // namespace automodel::net
