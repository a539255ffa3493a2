// What the Hub answers, read with suspicion: every length is bounded, every path and name is checked before it can
// become a part of a path on this machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/net/http.h"
#include "automodel/net/hub.h"

namespace automodel::net {

/// True if a file of a repository may be called so: relative, no "." or ".." part, no control characters, at most 255
/// bytes a part.
bool is_safe_path(std::string_view path);

/// True for 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text);

/// True for what can be a blob's file name: letters, digits and "-_.", up to 200, not hidden.
bool is_safe_etag(std::string_view etag);

/// The answer to /api/models/REPO/revision/REVISION.
struct RepoInfo {
  std::string commit;
  std::string name;  ///< the repository's present name; "" if the answer has none
};
RepoInfo parse_repo_info(std::string_view body, const std::string& where);

/// Adds the files of one page of /api/models/REPO/tree/COMMIT?recursive=true to `files`.
void parse_tree_page(std::string_view body, const std::string& where, std::vector<RepoFile>& files);

/// The list of a commit as huggingface_hub writes it into trees/COMMIT.json, and back.
std::vector<RepoFile> parse_tree_file(std::string_view body, const std::string& where);
std::string format_tree_file(const std::vector<RepoFile>& files);

/// What a HEAD of a file's address told.
struct FileHead {
  std::string commit;
  RepoFile file;
};
FileHead parse_file_head(const Answer& answer, const std::string& path);

/// The address of the next page in a Link header (rel="next"), or "".
std::string next_page(std::string_view link);

/// `W/"abc"` and `"abc"` are abc.
std::string plain_etag(std::string_view header);

/// "bytes 0-99/1000" (total "*": nothing). Nothing at all for another shape or numbers that contradict each other.
struct ContentRange {
  uint64_t begin = 0, end = 0;  ///< [begin, end)
  std::optional<uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view header);

/// A header of decimal digits alone.
std::optional<uint64_t> parse_length(std::string_view header);

/// Retry-After in seconds from now: a number or an HTTP date ("Wed, 21 Oct 2015 07:28:00 GMT").
std::optional<double> parse_retry_after(std::string_view header, int64_t now);

/// Statuses after which the same request may succeed: 408, 429, 500, 502, 503, 504.
bool is_transient(int status);

/// An answer that is no success.
struct Refusal : HubError {
  Refusal(HubError error, int with_status) : HubError(std::move(error)), status(with_status) {}
  int status;
};

/// Throws the Refusal that says what the answer means for this repository. `path` is the file, or "".
[[noreturn]] void throw_for_status(const HubSettings& settings, const Repo& repo, const std::string& path,
                                   const Answer& answer);

}  // namespace automodel::net
