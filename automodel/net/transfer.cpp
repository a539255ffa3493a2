#include "automodel/net/transfer.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <thread>

#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/net/download.h"
#include "automodel/net/file_lock.h"
#include "automodel/net/retry.h"
#include "automodel/net/url.h"

namespace automodel::net {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// One file while its lock is held.
struct Job {
  Job(const HubSettings& settings, const Repo& repo, const RepoFile& wanted, const std::string& url,
      const fs::path& blob, FileLock taken)
      : file(wanted), lock(std::move(taken)), download(settings, repo, wanted, url, blob) {}
  const RepoFile file;
  FileLock lock;
  Download download;
  std::deque<ByteRange> todo;
  int under_way = 0;
  bool ranges_work = false;  // until the first answer has shown it, one piece at a time
  bool finishing = false;
};

struct Stopped {};  // ends the other threads' pieces after the first failure

class Transfer {
 public:
  Transfer(const HubSettings& settings, const Repo& repo, const RepoCache& cache, const std::string& commit)
      : settings_(settings), repo_(repo), cache_(cache), commit_(commit) {}

  void run(const std::vector<RepoFile>& files, const Progress& progress);

 private:
  void check_room(const std::vector<RepoFile>& files) const;
  bool open(const RepoFile& file);
  void add_pieces(Job& job);
  Job* take(ByteRange& piece);
  void fetch(HttpClient& http, Job& job, ByteRange piece);
  void complete(Job& job);
  void work();
  void work_together(const Progress& progress);
  void await_lock(const RepoFile& file);
  void report(const Progress& progress, bool finished);

  const HubSettings& settings_;
  const Repo& repo_;
  const RepoCache& cache_;
  const std::string& commit_;

  std::mutex mutex_;
  std::condition_variable changed_, left_;
  std::deque<RepoFile> queue_, busy_;  // not begun; held by others
  std::list<Job> open_;
  std::exception_ptr failure_;
  std::atomic<bool> failed_{false};
  int workers_ = 0;
  std::atomic<int64_t> bytes_done_{0};
  TransferState state_;
  Clock::time_point began_ = Clock::now();
};

void Transfer::check_room(const std::vector<RepoFile>& files) const {
  uint64_t need = 0;
  std::error_code ignored;
  for (const auto& file : files)
    if (!fs::exists(cache_.blob(file.etag), ignored)) need += file.size;
  for (const auto& file : files) {
    struct stat status;
    if (::stat((cache_.blob(file.etag).string() + ".automodel.incomplete").c_str(), &status) == 0)
      need -= std::min(need, static_cast<uint64_t>(status.st_blocks) * 512);
  }
  const auto space = fs::space(cache_.folder(), ignored);
  if (!ignored && space.available < need)
    throw SystemError(cache_.folder().string(),
                      fmt::format("{} are to be fetched, {} are free on this disk", format_bytes(need),
                                  format_bytes(space.available)),
                      "make room, or set HF_HUB_CACHE to a folder on a larger disk");
}

void Transfer::add_pieces(Job& job) {
  for (const auto& range : job.download.partial().missing())
    for (uint64_t at = range.begin; at < range.end; at += settings_.piece_bytes)
      job.todo.push_back({at, std::min(range.end, at + settings_.piece_bytes)});
}

// Opens the file for fetching, or finds its blob there: then only the snapshot's link is missing. False if somebody
// else holds its lock.
bool Transfer::open(const RepoFile& file) {
  auto lock = FileLock::try_take(cache_.lock(file.etag));
  if (!lock) return false;
  std::error_code ignored;
  const fs::path blob = cache_.blob(file.etag);
  if (fs::is_regular_file(blob, ignored)) {
    const uint64_t size = fs::file_size(blob, ignored);
    if (size == file.size) {
      bytes_done_ += static_cast<int64_t>(size);
      cache_.link(commit_, file);
      ++state_.files_done;
      return true;
    }
    log_warning(
        fmt::format("{}: has {} bytes, the Hub's list says {}: it is fetched again", blob.string(), size, file.size));
  }
  Job& job = open_.emplace_back(settings_, repo_, file, file_url(settings_, repo_, commit_, file.path), blob,
                                std::move(*lock));
  const uint64_t resumed = job.download.partial().resumed_bytes();
  bytes_done_ += static_cast<int64_t>(resumed);
  state_.bytes_resumed += resumed;
  add_pieces(job);
  return true;
}

// The next piece to fetch; nothing when there is none any more. A job that is whole already gives an empty piece.
Job* Transfer::take(ByteRange& piece) {
  std::unique_lock lock(mutex_);
  while (!failure_) {
    for (auto& job : open_) {
      if (job.finishing || (job.under_way > 0 && (job.todo.empty() || !job.ranges_work))) continue;
      piece = {};
      if (!job.todo.empty()) {
        piece = job.todo.front();
        job.todo.pop_front();
      }
      ++job.under_way;
      return &job;
    }
    if (!queue_.empty()) {
      const RepoFile file = std::move(queue_.front());
      queue_.pop_front();
      if (!open(file)) busy_.push_back(file);
      continue;
    }
    if (open_.empty()) return nullptr;
    changed_.wait(lock);
  }
  return nullptr;
}

void Transfer::fetch(HttpClient& http, Job& job, ByteRange piece) {
  DownloadEvents events;
  events.bytes = [&](int64_t count) {
    bytes_done_ += count;
    if (failed_) throw Stopped{};
  };
  events.ranges_work = [&] {
    std::lock_guard lock(mutex_);
    if (!job.ranges_work) changed_.notify_all();
    job.ranges_work = true;
  };
  events.sends_whole = [&] {
    std::lock_guard lock(mutex_);
    if (job.ranges_work && job.under_way + static_cast<int>(job.todo.size()) > 1)
      throw ConnectionFault(repo_.repo + ": " + job.file.path, "the server no longer answers ranges", "", true);
    job.todo.clear();
  };
  job.download.fetch(http, piece, events);
}

// After a piece; the last one checks the file and gives it its name.
void Transfer::complete(Job& job) {
  {
    std::lock_guard lock(mutex_);
    if (--job.under_way > 0 || !job.todo.empty()) return;
    job.finishing = true;
  }
  const bool resumed = job.download.partial().resumed_bytes() > 0;
  std::string came;
  const bool whole = job.download.partial().finish(job.file.etag, came);
  std::lock_guard lock(mutex_);
  if (whole) {
    cache_.link(commit_, job.file);
    ++state_.files_done;
    const auto is_this = [&](const Job& other) { return &other == &job; };
    open_.remove_if(is_this);  // which releases the lock
  } else if (resumed) {
    log_warning(fmt::format("{}: {}: what an earlier download left does not fit and is fetched again", repo_.repo,
                            job.file.path));
    bytes_done_ -= static_cast<int64_t>(job.file.size);
    add_pieces(job);
    job.finishing = false;
  } else {
    throw HubError(fmt::format("{}: {}", repo_.repo, job.file.path),
                   fmt::format("the checksum of what came is {}, the Hub's list says {}", came, job.file.etag),
                   "it was thrown away; try again, and if it stays so a proxy or mirror on the way alters the file");
  }
  changed_.notify_all();
}

void Transfer::work() {
  try {
    HttpClient http(settings_);
    ByteRange piece;
    while (Job* job = take(piece)) {
      fetch(http, *job, piece);
      complete(*job);
    }
  } catch (const Stopped&) {
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    failed_ = true;
    changed_.notify_all();
  }
  std::lock_guard lock(mutex_);
  --workers_;
  left_.notify_all();
}

void Transfer::report(const Progress& progress, bool finished) {
  if (!progress) return;
  TransferState state = state_;
  state.bytes_done = static_cast<uint64_t>(std::max<int64_t>(0, bytes_done_));
  state.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  state.finished = finished;
  progress(state);
}

// All threads on what is queued and open; this one shows the progress.
void Transfer::work_together(const Progress& progress) {
  uint64_t pieces = 0;
  for (const auto& file : queue_) pieces += 1 + file.size / settings_.piece_bytes;
  for (const auto& job : open_) pieces += 1 + job.todo.size();
  workers_ = static_cast<int>(std::min<uint64_t>(pieces, static_cast<uint64_t>(std::max(1, settings_.connections))));
  std::vector<std::jthread> threads;
  for (int i = workers_; i > 0; --i) threads.emplace_back([this] { work(); });
  {
    std::unique_lock lock(mutex_);
    while (!left_.wait_for(lock, std::chrono::milliseconds(200), [this] { return workers_ == 0; }))
      report(progress, false);
  }
  threads.clear();
  if (failure_) std::rethrow_exception(failure_);
}

// Waiting for a lock while holding others could wait for ever, so it is done when none is held.
void Transfer::await_lock(const RepoFile& file) {
  for (int tries = 0; !open(file); ++tries) {
    if (tries == 20) log_info(fmt::format("{}: {}: another process is fetching it; waiting", repo_.repo, file.path));
    sleep_unless_stopped(0.1, repo_.repo + ": " + file.path);
  }
}

void Transfer::run(const std::vector<RepoFile>& files, const Progress& progress) {
  state_.repo = repo_.repo;
  state_.files = files.size();
  for (const auto& file : files) state_.bytes += file.size;
  cache_.make();
  check_room(files);
  queue_.assign(files.begin(), files.end());
  try {
    work_together(progress);
    while (!busy_.empty()) {
      const RepoFile file = std::move(busy_.front());
      busy_.pop_front();
      await_lock(file);
      work_together(progress);
    }
  } catch (...) {
    finish_status();
    throw;
  }
  report(progress, true);
}

}  // namespace

std::string file_url(const HubSettings& settings, const Repo& repo, const std::string& revision,
                     const std::string& path) {
  return fmt::format("{}/{}{}/resolve/{}/{}", settings.endpoint, repo.kind == RepoKind::Dataset ? "datasets/" : "",
                     repo.repo, quote(revision, false), quote(path, true));
}

void fetch_files(const HubSettings& settings, const Repo& repo, const RepoCache& cache, const std::string& commit,
                 const std::vector<RepoFile>& files, const Progress& progress) {
  if (!files.empty()) Transfer(settings, repo, cache, commit).run(files, progress);
}

}  // namespace automodel::net
