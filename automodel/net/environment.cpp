// The environment variables of huggingface_hub, read as it reads them.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/net/hub.h"
#include "automodel/net/url.h"

namespace automodel::net {
namespace fs = std::filesystem;

static std::string value_of(const Environment& environment, const char* name) { return environment(name).value_or(""); }

static bool is_true(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

// "~" and "~/...", $NAME and ${NAME}; a name that is not set stays as it is written.
static std::string expand(const std::string& text, const Environment& environment) {
  std::string out;
  size_t at = 0;
  if (text.starts_with("~") && (text.size() == 1 || text[1] == '/')) {
    out = value_of(environment, "HOME");
    at = 1;
  }
  while (at < text.size()) {
    if (text[at] != '$') {
      out += text[at++];
      continue;
    }
    const bool braces = at + 1 < text.size() && text[at + 1] == '{';
    size_t begin = at + 1 + braces, end = begin;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_')) ++end;
    const bool closed = !braces || (end < text.size() && text[end] == '}');
    const auto value = end > begin && closed ? environment(text.substr(begin, end - begin)) : std::nullopt;
    const size_t next = end + (braces && closed);
    out += value ? *value : text.substr(at, next - at);
    at = next;
  }
  return out;
}

static double seconds_of(const Environment& environment, const char* name, double otherwise) {
  const std::string text = value_of(environment, name);
  if (text.empty()) return otherwise;
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1)
    throw ConfigError(name, fmt::format("expected whole seconds from 1, got '{}'", text));
  return seconds;
}

// The token travels in a header: a line end in it would forge another one.
static std::string clean_token(const std::string& text, const std::string& where) {
  std::string token(trim(text));
  for (const char c : token)
    if (static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f)
      throw ConfigError(where, "the token has blanks or characters that no token has",
                        "a token is one word, like hf_...; make one in the Hub's settings");
  return token;
}

static std::string find_token(const Environment& environment, const fs::path& home) {
  if (is_true(value_of(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return "";
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const auto token = clean_token(value_of(environment, name), name); !token.empty()) return token;
  const std::string named = value_of(environment, "HF_TOKEN_PATH");
  const fs::path file = named.empty() ? home / "token" : fs::path(expand(named, environment));
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return "";
  return clean_token(read_file(file, 65536), file.string());
}

// The variables that forbid requests; none if they are allowed. Any value but none of HF_HUB_OFFLINE goes before
// TRANSFORMERS_OFFLINE. HF_DATASETS_OFFLINE cannot allow what huggingface_hub forbids: the requests are its own.
static std::vector<std::string> offline_variables(const Environment& environment, RepoKind kind) {
  std::vector<std::string> names;
  const bool hub = is_true(value_of(environment, "HF_HUB_OFFLINE"));
  if (hub) names.push_back("HF_HUB_OFFLINE");
  if ((hub || value_of(environment, "HF_HUB_OFFLINE").empty()) &&
      is_true(value_of(environment, "TRANSFORMERS_OFFLINE")))
    names.push_back("TRANSFORMERS_OFFLINE");
  if (kind == RepoKind::Dataset && is_true(value_of(environment, "HF_DATASETS_OFFLINE")))
    names.push_back("HF_DATASETS_OFFLINE");
  return names;
}

std::string HubSettings::offline_reason() const {
  return fmt::format("{} {} set", join(offline_by, " and "), offline_by.size() == 1 ? "is" : "are");
}

HubSettings read_hub_settings(const Environment& environment, RepoKind kind) {
  HubSettings settings;
  if (const auto endpoint = value_of(environment, "HF_ENDPOINT"); !endpoint.empty()) {
    settings.endpoint = endpoint;
    while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
    try {
      parse_url(settings.endpoint);
    } catch (const HubError& error) {
      throw ConfigError("HF_ENDPOINT", error.what());
    }
  }
  fs::path home;
  if (const auto named = value_of(environment, "HF_HOME"); !named.empty()) {
    home = expand(named, environment);
  } else {
    const auto cache = value_of(environment, "XDG_CACHE_HOME"), user = value_of(environment, "HOME");
    if (cache.empty() && user.empty())
      throw ConfigError("HF_HOME", "neither HF_HOME nor HOME is set: there is no place for what the Hub holds",
                        "set HF_HOME to a folder");
    home = (cache.empty() ? fs::path(user) / ".cache" : fs::path(expand(cache, environment))) / "huggingface";
  }
  settings.cache = home / "hub";
  for (const char* name : {"HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"})
    if (const auto named = value_of(environment, name); !named.empty()) settings.cache = expand(named, environment);
  settings.cache = fs::absolute(settings.cache);
  settings.token = find_token(environment, home);
  settings.offline_by = offline_variables(environment, kind);
  for (const char* name : {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})
    if (settings.ca_file.empty()) settings.ca_file = value_of(environment, name);
  settings.answer_timeout_s = seconds_of(environment, "HF_HUB_ETAG_TIMEOUT", settings.answer_timeout_s);
  settings.stall_timeout_s = seconds_of(environment, "HF_HUB_DOWNLOAD_TIMEOUT", settings.stall_timeout_s);
  return settings;
}

}  // namespace automodel::net
