// The Hugging Face Hub: files of model and data set repositories, fetched into the cache that huggingface_hub uses too.
//
// The cache has huggingface_hub's layout and file locks, so that either finds what the other fetched:
//   HUB_CACHE/models--org--name/blobs/ETAG                     contents, named by sha256 (LFS) or git blob sha1
//                              /refs/REVISION                  the commit that a branch or tag named last
//                              /snapshots/COMMIT/path/file     relative link to the blob
//                              /trees/COMMIT.json              the list of files of a commit
//                              /.no_exist/COMMIT/path/file     known not to be there
//   HUB_CACHE/.locks/models--org--name/ETAG.lock               flock(2) while a blob is written
// A blob appears under its name only when it is whole: its length and its checksum are those that the Hub announced.
// What was cut off stays beside it as ETAG.automodel.incomplete and is taken up again by the next call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/error.h"

namespace automodel::net {

/// The Hub, the way to it or the cache said no: missing or gated repository, cut connection, wrong checksum.
/// `where` is the repository, file or URL (without its query); a token is never part of the text. Exit code 1.
struct HubError : Error {
  using Error::Error;
};

enum class RepoKind { Model, Dataset };

/// A repository at a revision.
struct Repo {
  std::string repo;                 ///< "org/name", or "name" alone for the Hub's oldest
  RepoKind kind = RepoKind::Model;  ///< models and data sets have name spaces of their own
  std::string revision = "main";    ///< branch, tag, "refs/pr/1", or a commit of 40 hexadecimal digits
};

struct RepoFile {
  std::string path;               ///< within the repository, with '/'
  uint64_t size = 0;              ///< bytes
  std::string etag;               ///< sha256 (64 digits, LFS) or git blob sha1 (40 digits) of the content
  std::string blob_id, xet_hash;  ///< what huggingface_hub wants to find in a list; not used here
};

struct Listing {
  std::string commit;           ///< what the revision stands for now, 40 digits
  std::vector<RepoFile> files;  ///< all of the repository's, in the Hub's order
};

/// How far a transfer is. Called about five times a second by one thread at a time, and once at the end.
struct TransferState {
  std::string repo;
  size_t files = 0, files_done = 0;  ///< those that had to be fetched
  uint64_t bytes = 0, bytes_done = 0, bytes_resumed = 0;
  double seconds = 0;
  bool finished = false;
};
using Progress = std::function<void(const TransferState&)>;

/// A bar with rate and time left on a terminal; elsewhere a plain line every ten seconds and one at the end. Silent for
/// what takes less than a second, and where HF_HUB_DISABLE_PROGRESS_BARS is set.
Progress show_progress();

/// Where and how; from_environment() reads what huggingface_hub reads.
struct HubSettings {
  std::string endpoint = "https://huggingface.co";  ///< HF_ENDPOINT
  std::filesystem::path cache;                      ///< HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
  std::string token;                                ///< HF_TOKEN, else the file HF_TOKEN_PATH or HF_HOME/token
  std::string ca_file;                              ///< SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE
  double answer_timeout_s = 10;                     ///< HF_HUB_ETAG_TIMEOUT: until connected, and for small answers
  double stall_timeout_s = 10;                      ///< HF_HUB_DOWNLOAD_TIMEOUT: so long without a byte is a cut
  int connections = 8;                              ///< at most so many at once
  uint64_t piece_bytes = uint64_t{32} << 20;        ///< larger files are fetched in ranges of this size
  int attempts = 6;                                 ///< in a row without a new byte
  double backoff_s = 1;                             ///< before the second attempt; doubles up to 16 times this
  double longest_wait_s = 300;                      ///< a Retry-After beyond this is an error instead

  /// The variables that say offline, HF_HUB_OFFLINE and the like; none: requests may be made.
  std::vector<std::string> offline_by;
  bool offline() const { return !offline_by.empty(); }
  std::string offline_reason() const;  ///< "HF_HUB_OFFLINE is set"
};
using Environment = std::function<std::optional<std::string>(const std::string&)>;
/// As huggingface_hub reads the environment; for data sets as datasets does: HF_DATASETS_OFFLINE says offline too.
HubSettings read_hub_settings(const Environment& environment, RepoKind kind = RepoKind::Model);

/// A client. Safe to share between threads and, through the locks, between processes.
class Hub {
 public:
  explicit Hub(HubSettings settings);
  static Hub from_environment(RepoKind kind = RepoKind::Model);
  const HubSettings& settings() const;

  /// Fetches the files that match one of `patterns` ('*' stands for any run of characters, also of '/'; "folder/" is
  /// "folder/*"; none: all files) and returns the snapshot's folder. What is there already is not fetched again; a
  /// revision that is a commit and whole in the cache needs no network. Offline, or when the Hub cannot be reached,
  /// the cached commit of the revision is used if it is whole (with a warning in the second case).
  /// Throws ConfigError for a name that cannot be one, HubError and SystemError (disk) otherwise. Never leaves a part
  /// of a file under its name.
  std::filesystem::path snapshot(const Repo& repo, const std::vector<std::string>& patterns = {},
                                 const Progress& progress = {}) const;

  /// One file. Throws HubError when the repository does not have it.
  std::filesystem::path file(const Repo& repo, const std::string& path, const Progress& progress = {}) const;

  /// The same, or nothing when the repository does not have it.
  std::optional<std::filesystem::path> find_file(const Repo& repo, const std::string& path,
                                                 const Progress& progress = {}) const;

  /// All files of the revision, with sizes; from the cache where it is known for the commit.
  Listing list(const Repo& repo) const;

  /// The snapshot folder in the cache, without network, however much of it is there. Nothing if there is none.
  std::optional<std::filesystem::path> find_cached(const Repo& repo) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace automodel::net
