#include "automodel/net/hub.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>

#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/repo_cache.h"
#include "automodel/net/resolve.h"
#include "automodel/net/retry.h"
#include "automodel/net/transfer.h"
#include "automodel/net/url.h"

namespace automodel::net {
namespace fs = std::filesystem;

// What the revision stands for, and why the Hub could not be asked ("" if it was, or need not be).
struct Pinned {
  std::string commit, unreachable;
};

struct Hub::State {
  HubSettings settings;
  std::mutex mutex;
  std::set<std::string> told;  // renamed repositories that the user knows of

  Request request(const std::string& url) const;
  std::string ask_commit(const Repo& repo, bool patiently);
  std::vector<RepoFile> ask_tree(const Repo& repo, const std::string& commit, bool patiently) const;
  std::optional<FileHead> ask_file(const Repo& repo, const RepoCache& cache, const std::string& path,
                                   bool patiently) const;
  Pinned pin(const Repo& repo, const RepoCache& cache);
  std::vector<RepoFile> tree(const Repo& repo, const RepoCache& cache, const Pinned& pinned) const;
};

Hub::Hub(HubSettings settings) : state_(std::make_shared<State>()) { state_->settings = std::move(settings); }

Hub Hub::from_environment(RepoKind kind) {
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  return Hub(read_hub_settings(environment, kind));
}

const HubSettings& Hub::settings() const { return state_->settings; }

Request Hub::State::request(const std::string& url) const {
  Request request;
  request.url = url;
  request.token = settings.token;
  request.token_origin = settings.endpoint;
  request.timeout_s = 6 * settings.answer_timeout_s;
  return request;
}

// ENDPOINT/api/models/org/name, and what follows.
static std::string api_url(const HubSettings& settings, const Repo& repo, const std::string& rest) {
  const char* kind = repo.kind == RepoKind::Dataset ? "datasets" : "models";
  return fmt::format("{}/api/{}/{}{}", settings.endpoint, kind, repo.repo, rest);
}

static std::string list_url(const HubSettings& settings, const Repo& repo) {
  return fmt::format("{}{}/{}/tree/{}", shown_url(settings.endpoint), repo.kind == RepoKind::Dataset ? "/datasets" : "",
                     repo.repo, repo.revision);
}

static HubSettings without_patience(HubSettings settings) {
  settings.attempts = 1;
  return settings;
}

std::string Hub::State::ask_commit(const Repo& repo, bool patiently) {
  HttpClient http(settings);
  const Request asked = request(api_url(settings, repo, "/revision/" + quote(repo.revision, false)));
  const Answer answer = send_patiently(http, patiently ? settings : without_patience(settings), repo, asked);
  if (!answer.ok()) throw_for_status(settings, repo, "", answer);
  const RepoInfo info = parse_repo_info(answer.body, shown_url(asked.url));
  std::lock_guard lock(mutex);
  if (!info.name.empty() && info.name != repo.repo && could_be_repo(info.name) && told.insert(repo.repo).second)
    log_info(fmt::format("{} is now called {} on the Hub", repo.repo, info.name));
  return info.commit;
}

std::vector<RepoFile> Hub::State::ask_tree(const Repo& repo, const std::string& commit, bool patiently) const {
  HttpClient http(settings);
  std::vector<RepoFile> files;
  Request page = request(api_url(settings, repo, "/tree/" + commit + "?recursive=true"));
  std::set<std::string> seen;
  while (seen.insert(page.url).second) {
    const Answer answer = send_patiently(http, patiently ? settings : without_patience(settings), repo, page);
    if (!answer.ok()) throw_for_status(settings, repo, "", answer);
    parse_tree_page(answer.body, shown_url(page.url), files);
    const std::string next = next_page(answer.header("link"));
    if (next.empty()) return files;
    page.url = join_url(answer.url, next);
  }
  throw HubError(shown_url(page.url), "the list of files leads in circles", "is this address the Hub's (HF_ENDPOINT)?");
}

std::optional<FileHead> Hub::State::ask_file(const Repo& repo, const RepoCache& cache, const std::string& path,
                                             bool patiently) const {
  HttpClient http(settings);
  Request asked = request(file_url(settings, repo, repo.revision, path));
  asked.head = true;
  const Answer answer = send_patiently(http, patiently ? settings : without_patience(settings), repo, asked);
  if (answer.header("x-error-code") == "EntryNotFound") {
    if (const auto commit = answer.header("x-repo-commit"); is_commit(commit)) {
      cache.write_missing(commit, path);
      cache.write_commit(commit);
    }
    return std::nullopt;
  }
  if (!answer.ok() && answer.location.empty()) throw_for_status(settings, repo, path, answer);
  return parse_file_head(answer, path);
}

// For what is neither here nor to be had now. `what` begins the sentence: "revision 'x' is".
static HubError not_in_cache(const HubSettings& settings, const Repo& repo, const std::string& what,
                             const std::string& unreachable) {
  if (!unreachable.empty())
    return {repo.repo, fmt::format("{} not in the cache ({}), and the Hub cannot be asked: {}", what,
                                   settings.cache.string(), unreachable)};
  return {repo.repo,
          fmt::format("{} not in the cache ({}), and {}", what, settings.cache.string(), settings.offline_reason()),
          fmt::format("unset {}, or fetch it where there is a network: automodel download {}{}{}",
                      join(settings.offline_by, " and "), repo.repo, repo.kind == RepoKind::Dataset ? " --dataset" : "",
                      repo.revision == "main" ? "" : " --revision " + repo.revision)};
}

// True for what a copy in the cache can stand in for: no network, or a Hub that fails. Not for "no" as an answer.
static bool stands_in(const HubError& error, const Repo& repo) {
  const auto* refusal = dynamic_cast<const Refusal*>(&error);
  const bool may = refusal ? is_transient(refusal->status) : dynamic_cast<const ConnectionFault*>(&error) != nullptr;
  if (may) log_warning(fmt::format("{}\n  going on with {} as it is in the cache", error.what(), repo.repo));
  if (!may && refusal) log_info(fmt::format("a copy of {} is in the cache; HF_HUB_OFFLINE=1 uses it", repo.repo));
  return may;
}

// Notes for the next time; a cache that only others may write serves without them.
template <class Write>
static void where_writable(const Write& write) {
  try {
    write();
  } catch (const SystemError& error) {
    log_warning(fmt::format("{}\n  going on without this note in the cache", error.what()));
  }
}

// The commit that the revision is now; where the Hub cannot be asked, the one that it was when last asked.
Pinned Hub::State::pin(const Repo& repo, const RepoCache& cache) {
  if (is_commit(repo.revision)) return {repo.revision, ""};
  const auto cached = cache.find_commit();
  if (settings.offline()) {
    if (cached) return {*cached, ""};
    throw not_in_cache(settings, repo, fmt::format("revision '{}' is", repo.revision), "");
  }
  try {
    const std::string commit = ask_commit(repo, !cached);
    where_writable([&] { cache.write_commit(commit); });
    return {commit, ""};
  } catch (const HubError& error) {
    if (!cached || !stands_in(error, repo)) throw;
    return {*cached, error.what()};
  }
}

std::vector<RepoFile> Hub::State::tree(const Repo& repo, const RepoCache& cache, const Pinned& pinned) const {
  if (auto files = cache.find_tree(pinned.commit)) return std::move(*files);
  auto there = cache.files_there(pinned.commit);  // transformers fetches file by file and keeps no list
  if (!settings.offline() && pinned.unreachable.empty()) {
    std::vector<RepoFile> files;
    try {
      files = ask_tree(repo, pinned.commit, there.empty());
      where_writable([&] { cache.write_tree(pinned.commit, files); });
      return files;
    } catch (const HubError& error) {
      if (there.empty() || !stands_in(error, repo)) throw;
    }
  }
  if (there.empty()) throw not_in_cache(settings, repo, "it is", pinned.unreachable);
  return there;
}

// "folder/" is all of the folder.
static bool matches(const std::vector<std::string>& patterns, const std::string& path) {
  if (patterns.empty()) return true;
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return wildcard_match(pattern.ends_with('/') ? pattern + "*" : pattern, path);
  });
}

static HubError no_such_file(const HubSettings& settings, const Repo& repo, const std::string& what) {
  return {repo.repo, fmt::format("has no file {} at revision '{}'", what, repo.revision),
          fmt::format("its files are listed on {}", list_url(settings, repo))};
}

fs::path Hub::snapshot(const Repo& repo, const std::vector<std::string>& patterns, const Progress& progress) const {
  check_repo(repo);
  const HubSettings& settings = state_->settings;
  const RepoCache cache(settings.cache, repo);
  const Pinned pinned = state_->pin(repo, cache);
  std::vector<RepoFile> missing;
  bool any = false;
  for (auto& file : state_->tree(repo, cache, pinned)) {
    if (!matches(patterns, file.path)) continue;
    any = true;
    if (!cache.has(pinned.commit, file)) missing.push_back(std::move(file));
  }
  if (!any) throw no_such_file(settings, repo, "that matches " + join(patterns, ", "));
  if (!missing.empty()) {
    if (settings.offline() || !pinned.unreachable.empty())
      throw not_in_cache(settings, repo,
                         fmt::format("{} of its files ({}, ...) are", missing.size(), missing.front().path),
                         pinned.unreachable);
    fetch_files(settings, repo, cache, pinned.commit, missing, progress);
  }
  return cache.snapshot(pinned.commit);
}

std::optional<fs::path> Hub::find_file(const Repo& repo, const std::string& path, const Progress& progress) const {
  check_repo(repo);
  const HubSettings& settings = state_->settings;
  if (!is_safe_path(path)) throw ConfigError(repo.repo, fmt::format("'{}' is no path of a file", path));
  const RepoCache cache(settings.cache, repo);
  const auto cached = cache.find_commit();
  const auto there = [&](const std::string& commit) -> std::optional<fs::path> {
    const fs::path file = cache.snapshot(commit) / path;
    std::error_code ignored;
    return fs::is_regular_file(file, ignored) ? std::optional(file) : std::nullopt;
  };
  if (cached && (settings.offline() || *cached == repo.revision)) {
    if (auto file = there(*cached)) return file;
    if (cache.is_known_missing(*cached, path)) return std::nullopt;
  }
  if (settings.offline()) throw not_in_cache(settings, repo, fmt::format("'{}' is", path), "");
  const bool stand_in = cached && there(*cached);
  std::optional<FileHead> head;
  try {
    head = state_->ask_file(repo, cache, path, !stand_in);
  } catch (const HubError& error) {
    if (!stand_in || !stands_in(error, repo)) throw;
    return there(*cached);
  }
  if (!head) return std::nullopt;
  where_writable([&] { cache.write_commit(head->commit); });
  if (!cache.has(head->commit, head->file)) fetch_files(settings, repo, cache, head->commit, {head->file}, progress);
  return cache.snapshot(head->commit) / path;
}

fs::path Hub::file(const Repo& repo, const std::string& path, const Progress& progress) const {
  if (auto found = find_file(repo, path, progress)) return *found;
  throw no_such_file(state_->settings, repo, fmt::format("'{}'", path));
}

Listing Hub::list(const Repo& repo) const {
  check_repo(repo);
  const RepoCache cache(state_->settings.cache, repo);
  const Pinned pinned = state_->pin(repo, cache);
  return {pinned.commit, state_->tree(repo, cache, pinned)};
}

std::optional<fs::path> Hub::find_cached(const Repo& repo) const {
  check_repo(repo);
  const RepoCache cache(state_->settings.cache, repo);
  const auto commit = cache.find_commit();
  std::error_code ignored;
  if (!commit || !fs::is_directory(cache.snapshot(*commit), ignored)) return std::nullopt;
  return cache.snapshot(*commit);
}

}  // namespace automodel::net
