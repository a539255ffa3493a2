// libFuzzer's entry for what the Hub's client reads from outside: headers, addresses, JSON. The first byte picks the
// reader. Any outcome but a value that keeps its promise or a user's error is a fault.
//
// Build and run: tools/fuzz net/answers
// Sources: net/answers net/url net/environment net/http net/curl_library
// Links: -ldl
#include <cstdint>
#include <cstdlib>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/net/answers.h"
#include "automodel/net/url.h"

namespace {

using namespace automodel;
using namespace automodel::net;

void hold(bool promise) {
  if (!promise) std::abort();
}

void read_list(const std::vector<RepoFile>& files) {
  for (const auto& file : files) hold(is_safe_path(file.path) && is_safe_etag(file.etag));
}

void read_headers(std::string_view text) {
  Answer answer;
  answer.url = "http://h/a";
  for (const auto& line : split(text, '\n')) add_header_line(answer.headers, line);
  hold(answer.headers.size() <= 1000);
  if (const auto range = parse_content_range(answer.header("content-range")))
    hold(range->begin < range->end && (!range->total || range->end <= *range->total));
  if (const auto wait = parse_retry_after(answer.header("retry-after"), 1700000000)) hold(*wait >= 0);
  parse_length(answer.header("content-length"));
  if (answer.headers.contains("location")) parse_url(join_url(answer.url, answer.header("location")));
  if (const auto next = next_page(answer.header("link")); !next.empty()) parse_url(join_url("http://h/a", next));
  answer.status = text.size() % 2 ? 200 : 302;
  const auto head = parse_file_head(answer, "f");
  hold(is_commit(head.commit) && is_safe_etag(head.file.etag));
}

void read_address(std::string_view text) {
  hold(shown_url(text).find_first_of("?#") == std::string::npos);
  hold(quote(text, false).find_first_of("/?# \r\n") == std::string::npos);
  const auto url = parse_url(text);
  hold(!url.host.empty() && url.port >= 1 && url.port <= 65535 && url.path.starts_with('/') && same_origin(url, url));
}

void read_environment(std::string_view text) {
  const auto settings = read_hub_settings([&](const std::string& name) -> std::optional<std::string> {
    if (name == "HF_TOKEN_PATH" || name == "HF_HOME") return std::nullopt;  // no files of this machine
    if (name == "HOME") return "/nowhere";
    return std::string(text);
  });
  for (const char c : settings.token) hold(c > ' ' && c < 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    switch (data[0]) {
      case 'i':
        hold(is_commit(parse_repo_info(text, "fuzz").commit));
        break;
      case 't': {
        std::vector<RepoFile> files;
        parse_tree_page(text, "fuzz", files);
        read_list(files);
        break;
      }
      case 'c': {
        const auto files = parse_tree_file(text, "fuzz");
        read_list(files);
        hold(parse_tree_file(format_tree_file(files), "again").size() == files.size());
        break;
      }
      case 'a':
        read_address(text);
        break;
      case 'e':
        read_environment(text);
        break;
      default:
        read_headers(text);
    }
  } catch (const Error&) {
  }
  return 0;
}
