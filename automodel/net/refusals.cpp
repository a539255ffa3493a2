// What the Hub's refusals mean, and how each is mended.
#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/url.h"

namespace automodel::net {

// The server's own words, as far as they can be printed on one line.
static std::string server_words(const HubSettings& settings, const Answer& answer) {
  std::string out, said = answer.header("x-error-message");
  if (!settings.token.empty()) said = replace_all(said, settings.token, "(the token)");
  for (const char c : said.substr(0, 200))
    if (static_cast<unsigned char>(c) >= ' ' && static_cast<unsigned char>(c) < 0x7f) out += c;
  return out.empty() ? "" : fmt::format("; the Hub says: {}", out);
}

static std::string page_of(const HubSettings& settings, const Repo& repo) {
  return shown_url(settings.endpoint) + (repo.kind == RepoKind::Dataset ? "/datasets/" : "/") + repo.repo;
}

static std::string token_hint(const HubSettings& settings) {
  return settings.token.empty()
             ? "set HF_TOKEN to a token of an account that has access"
             : "the token that is set (HF_TOKEN, or the file below HF_HOME) has no access; use another";
}

static HubError meaning_of(const HubSettings& settings, const Repo& repo, const std::string& path,
                           const Answer& answer) {
  const std::string code = answer.header("x-error-code"), words = server_words(settings, answer);
  const char* kind = repo.kind == RepoKind::Dataset ? "data set" : "model";
  const char* other = repo.kind == RepoKind::Dataset ? "model" : "data set";
  const std::string file = path.empty() ? repo.repo : repo.repo + ": " + path;
  const int status = answer.status;
  if (code == "GatedRepo")
    return HubError(repo.repo, fmt::format("is gated: its owner gives access on request (HTTP {}){}", status, words),
                    fmt::format("accept its conditions on {}; {}", page_of(settings, repo), token_hint(settings)));
  if (code == "RevisionNotFound")
    return HubError(repo.repo, fmt::format("has no revision '{}' (HTTP {})", repo.revision, status),
                    fmt::format("its branches and tags are listed on {}", page_of(settings, repo)));
  if (code == "EntryNotFound")
    return HubError(repo.repo, fmt::format("has no file '{}' at revision '{}' (HTTP {})", path, repo.revision, status),
                    fmt::format("its files are listed on {}/tree/{}", page_of(settings, repo), repo.revision));
  if (answer.header("x-error-message") == "Access to this resource is disabled.")
    return HubError(repo.repo, fmt::format("is disabled by the Hub (HTTP {})", status),
                    "use another " + std::string(kind));
  if (status == 401 && !settings.token.empty() && code != "RepoNotFound")
    return HubError(file, fmt::format("the token is not accepted (HTTP 401){}", words),
                    "it may have expired: set HF_TOKEN to a valid one, or unset it for what is public");
  if (code == "RepoNotFound" || status == 401 || status == 404)
    return HubError(repo.repo,
                    fmt::format("there is no such {} on {}, or it is private (HTTP {}){}", kind,
                                shown_url(settings.endpoint), status, words),
                    fmt::format("check the spelling, and that it is no {}{}; for a private one, {}", other,
                                repo.kind == RepoKind::Model ? " (no folder here has this name either)" : "",
                                token_hint(settings)));
  if (status == 403)
    return HubError(file, fmt::format("access is forbidden (HTTP 403){}", words), token_hint(settings));
  if (status == 407)
    return HubError(shown_url(answer.url), "the proxy asks for a user and password (HTTP 407)",
                    "put them into the proxy's address: https_proxy=http://USER:PASSWORD@HOST:PORT");
  if (status == 429)
    return HubError(file, fmt::format("the Hub's rate limit is reached (HTTP 429){}", words),
                    settings.token.empty() ? "wait some minutes; with a token (HF_TOKEN) the limit is higher"
                                           : "wait some minutes and run it again");
  if (status >= 500)
    return HubError(file, fmt::format("{} fails (HTTP {}){}", shown_url(answer.url), status, words),
                    "try again later; HF_HUB_OFFLINE=1 uses what is in the cache");
  return HubError(file, fmt::format("{} answered HTTP {}{}", shown_url(answer.url), status, words),
                  "check HF_ENDPOINT and the proxy");
}

void throw_for_status(const HubSettings& settings, const Repo& repo, const std::string& path, const Answer& answer) {
  throw Refusal(meaning_of(settings, repo, path, answer), answer.status);
}

}  // namespace automodel::net
