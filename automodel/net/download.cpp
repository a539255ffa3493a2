#include "automodel/net/download.h"

#include <ctime>

#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/url.h"

namespace automodel::net {

constexpr uint64_t kMarkBytes = 4 << 20;  // so much at most is fetched twice after a crash

// Where a fetch is: [piece.begin, marked) is recorded, [marked, at) is written.
struct Download::Position {
  ByteRange piece;
  uint64_t at = 0, marked = 0, furthest = 0;
  int expired = 0;

  void move_to(ByteRange range) {
    piece = range;
    at = marked = range.begin;
  }
};

Download::Download(const HubSettings& settings, const Repo& repo, const RepoFile& file, std::string url,
                   const std::filesystem::path& blob)
    : settings_(settings), repo_(repo), file_(file), url_(std::move(url)), partial_(blob, file.size) {}

std::string Download::location() const {
  std::lock_guard lock(mutex_);
  return location_;
}

void Download::set_location(const std::string& url) {
  std::lock_guard lock(mutex_);
  location_ = url;
}

void Download::contradict(uint64_t announced, const std::string& url) const {
  throw HubError(fmt::format("{}: {}", repo_.repo, file_.path),
                 fmt::format("{} announces {} bytes, the Hub's list says {}", shown_url(url), announced, file_.size),
                 "a proxy or mirror on the way is at fault; the file is not kept");
}

void Download::check_answer(const Answer& answer, Position& position, const DownloadEvents& events) {
  if (!same_origin(parse_url(answer.url), parse_url(settings_.endpoint))) set_location(answer.url);
  if (const auto coding = answer.header("content-encoding"); !coding.empty() && coding != "identity")
    throw HubError(shown_url(answer.url), fmt::format("sends the file packed ({}), which was not asked for", coding),
                   "a proxy on the way does this; set no_proxy for the Hub");
  if (answer.status == 206) {
    const auto range = parse_content_range(answer.header("content-range"));
    if (!range || range->begin != position.at || range->end > position.piece.end)
      throw HubError(fmt::format("{}: {}", repo_.repo, file_.path),
                     fmt::format("{} was asked for bytes {} to {} and sends others ('{}')", shown_url(answer.url),
                                 position.at, position.piece.end - 1, answer.header("content-range").substr(0, 60)),
                     "a proxy or mirror on the way is at fault");
    if (range->total && *range->total != file_.size) contradict(*range->total, answer.url);
    events.ranges_work();
    return;
  }
  if (const auto length = parse_length(answer.header("content-length")); length && *length != file_.size)
    contradict(*length, answer.url);
  events.sends_whole();
  if (position.at > 0 || partial_.resumed_bytes() > 0) {  // what is there cannot be added to
    events.bytes(-static_cast<int64_t>(partial_.resumed_bytes()) -
                 static_cast<int64_t>(position.at - position.piece.begin));
    partial_.restart();
  }
  position.move_to({0, file_.size});
}

Answer Download::attempt(HttpClient& http, Position& position, const DownloadEvents& events) {
  Request request;
  const std::string cached = location();
  request.url = cached.empty() ? url_ : cached;
  request.token = settings_.token;
  request.token_origin = settings_.endpoint;
  const bool all = position.at == 0 && position.piece.end == file_.size;
  if (!all) request.range = fmt::format("{}-{}", position.at, position.piece.end - 1);
  request.on_answer = [&](const Answer& answer) { check_answer(answer, position, events); };
  request.sink = [&](const char* data, size_t size) {
    if (position.at + size > position.piece.end)
      throw HubError(
          fmt::format("{}: {}", repo_.repo, file_.path),
          fmt::format("{} sends more than the {} bytes that were announced", shown_url(request.url), file_.size),
          "a proxy or mirror on the way is at fault; the file is not kept");
    partial_.write(position.at, data, size);
    position.at += size;
    events.bytes(static_cast<int64_t>(size));
    if (position.at - position.marked >= kMarkBytes) {
      partial_.mark({position.marked, position.at});
      position.marked = position.at;
    }
  };
  Answer answer = http.send(request);
  if (!answer.ok()) return answer;
  if (position.at < position.piece.end)
    throw ConnectionFault(shown_url(answer.url),
                          fmt::format("the answer ended {} bytes early", position.piece.end - position.at), "", true);
  return answer;
}

// A signed address that has expired is asked for anew; what may pass is waited for; the rest is final.
void Download::refuse(const Answer& answer, bool at_location, Position& position, Retry& retry) {
  const int status = answer.status;
  if (at_location && (status == 401 || status == 403 || status == 404 || status == 410) && position.expired++ < 2) {
    set_location("");
    return;
  }
  try {
    throw_for_status(settings_, repo_, file_.path, answer);
  } catch (const HubError& fault) {
    if (!is_transient(status)) throw;
    retry.wait(fault, parse_retry_after(answer.header("retry-after"), std::time(nullptr)));
  }
}

void Download::fetch(HttpClient& http, ByteRange piece, const DownloadEvents& events) {
  Position position;
  position.move_to(piece);
  Retry retry(settings_);
  while (position.at < position.piece.end) {
    const bool at_location = !location().empty();
    const auto record = [&] {
      partial_.mark({position.marked, position.at});
      position.marked = position.at;
      if (position.at > position.furthest) retry.progressed();
      position.furthest = std::max(position.furthest, position.at);
    };
    try {
      const Answer answer = attempt(http, position, events);
      record();
      if (!answer.ok()) refuse(answer, at_location, position, retry);
    } catch (const ConnectionFault& fault) {
      record();
      if (!fault.is_transient) throw;
      retry.wait(fault);
    } catch (...) {
      try {
        record();
      } catch (const SystemError&) {  // the first fault is the one to tell
      }
      throw;
    }
  }
}

}  // namespace automodel::net
