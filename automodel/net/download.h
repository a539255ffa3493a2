// The bytes of one file, range by range, against servers that cut off, refuse, ignore ranges or lie about lengths.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>

#include "automodel/net/http.h"
#include "automodel/net/hub.h"
#include "automodel/net/partial_file.h"
#include "automodel/net/retry.h"

namespace automodel::net {

/// What a download tells while it goes on. Each may throw to end it.
struct DownloadEvents {
  std::function<void(int64_t)> bytes;  ///< so many came; negative: so many were thrown away
  std::function<void()> ranges_work;   ///< the server has answered a range with that range
  std::function<void()> sends_whole;   ///< it sends the whole file instead: this call fetches all of it
};

class Download {
 public:
  /// `url` is the Hub's address of the file; it may lead to a signed one elsewhere, which is kept until it expires.
  Download(const HubSettings& settings, const Repo& repo, const RepoFile& file, std::string url,
           const std::filesystem::path& blob);

  PartialFile& partial() { return partial_; }

  /// Fetches the range and writes it. Until `ranges_work` was told, only one call at a time. Throws HubError when the
  /// server says no, contradicts the Hub's list, or brings nothing new in settings.attempts attempts.
  void fetch(HttpClient& http, ByteRange piece, const DownloadEvents& events);

 private:
  struct Position;
  Answer attempt(HttpClient& http, Position& position, const DownloadEvents& events);
  void check_answer(const Answer& answer, Position& position, const DownloadEvents& events);
  void refuse(const Answer& answer, bool at_location, Position& position, Retry& retry);
  std::string location() const;
  void set_location(const std::string& url);
  [[noreturn]] void contradict(uint64_t announced, const std::string& url) const;

  const HubSettings& settings_;
  const Repo& repo_;
  const RepoFile file_;
  const std::string url_;
  PartialFile partial_;
  mutable std::mutex mutex_;
  std::string location_;
};

}  // namespace automodel::net
