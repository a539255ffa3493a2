#include "automodel/net/answers.h"

#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/net/url.h"

namespace automodel::net {

constexpr size_t kMaxFiles = 5'000'000;
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 50;

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 4000) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f || c == '\\') return false;
  for (const auto& part : split(path, '/'))
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
  return true;
}

static bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_commit(std::string_view text) { return is_hex(text, 40); }

bool is_safe_etag(std::string_view etag) {
  if (etag.empty() || etag.size() > 200 || etag[0] == '.') return false;
  for (const char c : etag)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return false;
  return true;
}

[[noreturn]] static void refuse(const std::string& where, const std::string& what) {
  throw HubError(where, fmt::format("the answer is not the Hub's: {}", what),
                 "check HF_ENDPOINT, and whether a proxy answers in the Hub's place");
}

static Json parse(std::string_view body, const std::string& where) {
  try {
    return parse_json(body, where);
  } catch (const DataError& error) {
    refuse(where, error.what());
  }
}

static std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

static std::optional<uint64_t> size_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto size = found->get<uint64_t>();
  return size <= kMaxFileBytes ? std::optional(size) : std::nullopt;
}

RepoInfo parse_repo_info(std::string_view body, const std::string& where) {
  const Json json = parse(body, where);
  if (!json.is_object()) refuse(where, "expected an object");
  RepoInfo info{text_of(json, "sha"), text_of(json, "id")};
  if (!is_commit(info.commit)) refuse(where, "'sha' is no commit of 40 digits");
  return info;
}

static void add_file(std::vector<RepoFile>& files, RepoFile file, const std::string& where) {
  if (!is_safe_path(file.path)) refuse(where, fmt::format("file {} has a path that leads out of it", files.size()));
  if (!is_hex(file.etag, 40) && !is_hex(file.etag, 64)) refuse(where, file.path + " has no checksum");
  if (!is_hex(file.blob_id, 40)) refuse(where, file.path + " has no git id");
  if (!is_hex(file.xet_hash, 64)) file.xet_hash.clear();
  if (files.size() >= kMaxFiles) refuse(where, fmt::format("more than {} files", kMaxFiles));
  files.push_back(std::move(file));
}

void parse_tree_page(std::string_view body, const std::string& where, std::vector<RepoFile>& files) {
  const Json json = parse(body, where);
  if (!json.is_array()) refuse(where, "expected a list of files");
  for (const auto& entry : json) {
    if (!entry.is_object()) refuse(where, "expected a list of objects");
    if (text_of(entry, "type") != "file") continue;  // folders
    const std::string id = text_of(entry, "oid");
    RepoFile file{text_of(entry, "path"), 0, id, id, text_of(entry, "xetHash")};
    auto size = size_of(entry, "size");
    if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
      file.etag = text_of(*lfs, "oid");
      if (file.etag.empty()) file.etag = text_of(*lfs, "sha256");
      if (const auto lfs_size = size_of(*lfs, "size")) size = lfs_size;
      if (!is_hex(file.etag, 64)) refuse(where, "an LFS file has no sha256");
    }
    if (!size) refuse(where, "a file has no size");
    file.size = *size;
    add_file(files, std::move(file), where);
  }
}

std::vector<RepoFile> parse_tree_file(std::string_view body, const std::string& where) {
  const Json json = parse(body, where);
  if (!json.is_object() || json.value("format_version", Json()) != Json(1)) refuse(where, "expected format_version 1");
  const auto list = json.find("files");
  if (list == json.end() || !list->is_object()) refuse(where, "expected files");
  std::vector<RepoFile> files;
  for (const auto& [path, entry] : list->items()) {
    if (!entry.is_object()) refuse(where, "expected an object for each file");
    RepoFile file{path, 0, text_of(entry, "lfs_sha256"), text_of(entry, "blob_id"), text_of(entry, "xet_hash")};
    const auto size = size_of(entry, file.etag.empty() ? "size" : "lfs_size");
    if (file.etag.empty()) file.etag = file.blob_id;
    if (!size) refuse(where, "a file has no size");
    file.size = *size;
    add_file(files, std::move(file), where);
  }
  return files;
}

std::string format_tree_file(const std::vector<RepoFile>& files) {
  Json list = Json::object();
  for (const auto& file : files) {
    Json entry{{"size", file.size}, {"blob_id", file.blob_id}};
    if (file.etag.size() == 64) {
      entry["lfs_sha256"] = file.etag;
      entry["lfs_size"] = file.size;
    }
    if (!file.xet_hash.empty()) entry["xet_hash"] = file.xet_hash;
    list[file.path] = std::move(entry);
  }
  return Json{{"format_version", 1}, {"files", std::move(list)}}.dump(1);
}

std::string next_page(std::string_view link) {
  while (!link.empty()) {
    const size_t open = link.find('<'), close = link.find('>', open == link.npos ? 0 : open);
    if (open == link.npos || close == link.npos) return "";
    const size_t end = std::min(link.find('<', close), link.size());
    const std::string_view parameters = link.substr(close, end - close);
    if (parameters.find("rel=\"next\"") != parameters.npos || parameters.find("rel=next") != parameters.npos)
      return std::string(link.substr(open + 1, close - open - 1));
    link.remove_prefix(end);
  }
  return "";
}

std::string plain_etag(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  while (header.starts_with('"')) header.remove_prefix(1);
  while (header.ends_with('"')) header.remove_suffix(1);
  return std::string(header);
}

FileHead parse_file_head(const Answer& answer, const std::string& path) {
  const std::string where = shown_url(answer.url), linked = answer.header("x-linked-etag");
  FileHead head{answer.header("x-repo-commit"), {}};
  if (!is_commit(head.commit)) refuse(where, "it has no X-Repo-Commit");
  head.file.path = path;
  head.file.etag = plain_etag(linked.empty() ? answer.header("etag") : linked);
  if (!is_safe_etag(head.file.etag)) refuse(where, "it has no ETag");
  // The length of an answer that leads elsewhere is its own, not the file's.
  auto size = parse_length(answer.header("x-linked-size"));
  if (!size && answer.ok()) size = parse_length(answer.header("content-length"));
  if (!size || *size > kMaxFileBytes) refuse(where, "it does not say how long the file is");
  head.file.size = *size;
  return head;
}

std::optional<uint64_t> parse_length(std::string_view header) {
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), length);
  if (header.empty() || error != std::errc() || end != header.data() + header.size()) return std::nullopt;
  return length;
}

std::optional<ContentRange> parse_content_range(std::string_view header) {
  if (!header.starts_with("bytes ")) return std::nullopt;
  header.remove_prefix(6);
  const size_t dash = header.find('-'), slash = header.find('/');
  if (dash == header.npos || slash == header.npos || dash > slash) return std::nullopt;
  const auto begin = parse_length(header.substr(0, dash)),
             last = parse_length(header.substr(dash + 1, slash - dash - 1));
  if (!begin || !last || *last < *begin || *last >= kMaxFileBytes) return std::nullopt;
  ContentRange range{*begin, *last + 1, parse_length(header.substr(slash + 1))};
  if (!range.total && header.substr(slash + 1) != "*") return std::nullopt;
  if (range.total && *range.total < range.end) return std::nullopt;
  return range;
}

std::optional<double> parse_retry_after(std::string_view header, int64_t now) {
  if (const auto seconds = parse_length(header)) return static_cast<double>(std::min<uint64_t>(*seconds, 1 << 30));
  std::tm time{};
  const std::string text(header.substr(0, 64));
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
  if (!end || *end != '\0') return std::nullopt;
  return std::max(0.0, static_cast<double>(::timegm(&time) - now));
}

bool is_transient(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

}  // namespace automodel::net
