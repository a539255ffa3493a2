#include "automodel/data/token_cache.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/random.h"

namespace automodel::data {
namespace fs = std::filesystem;

static constexpr uint64_t kMagic = 0x31304b4f544d41;  // "AMTOK01"
static constexpr int64_t kSegmentTokens = 4 << 20;    // 32 MiB of ids and labels

namespace {
struct Header {
  uint64_t magic, count, table_check, bytes;
};
struct Entry {
  int64_t index;
  uint64_t offset;  // of the ids, then the labels, from the end of the table
  uint32_t tokens, check;
};
uint32_t check_of(const void* data, size_t bytes) {
  return static_cast<uint32_t>(::crc32_z(0, static_cast<const Bytef*>(data), bytes));
}
}  // namespace

struct TokenCache::Segment {
  fs::path path;
  MappedFile file;
  const Entry* entries = nullptr;
  size_t count = 0;
  const std::byte* data = nullptr;
  mutable std::atomic<bool> damaged = false;
  explicit Segment(const fs::path& where) : path(where), file(where) {}

  /// Whether header and table are whole; every place in the table then lies inside the file.
  bool open() {
    const auto bytes = file.bytes();
    Header header{};
    if (bytes.size() < sizeof header) return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kMagic || header.bytes != bytes.size() || header.count > bytes.size() / sizeof(Entry))
      return false;
    const size_t table = header.count * sizeof(Entry);
    if (sizeof header + table > bytes.size() || check_of(bytes.data() + sizeof header, table) != header.table_check)
      return false;
    entries = reinterpret_cast<const Entry*>(bytes.data() + sizeof header);
    count = header.count;
    data = bytes.data() + sizeof header + table;
    const uint64_t room = bytes.size() - sizeof header - table;
    return std::all_of(entries, entries + count, [&](const Entry& entry) {
      return entry.offset <= room && uint64_t{8} * entry.tokens <= room - entry.offset;
    });
  }
};

TokenCache::TokenCache(const fs::path& folder, const std::string& key) : folder_(folder / key) {
  make_folders(folder_);
  for (const auto& file : fs::directory_iterator(folder_))
    if (file.path().extension() == ".tokens") open_segment(file.path());
}

TokenCache::~TokenCache() {
  try {
    flush();
  } catch (const std::exception& error) {
    log_warning(fmt::format("the cache of tokens was not written: {}", error.what()));
  }
}

static void give_up(const fs::path& path) {
  log_warning(path.string() + " is damaged; it is deleted, and its rows are tokenized again");
  std::error_code ignored;
  fs::remove(path, ignored);
}

void TokenCache::open_segment(const fs::path& path) {
  try {
    auto segment = std::make_unique<Segment>(path);
    if (!segment->open()) return give_up(path);
    segments_.push_back(std::move(segment));
  } catch (const SystemError&) {
    if (fs::exists(path)) throw;  // else another run deleted it
  }
}

std::optional<Sample> TokenCache::find(int64_t index) const {
  for (const auto& segment : segments_) {
    const Entry* end = segment->entries + segment->count;
    const Entry* entry =
        std::lower_bound(segment->entries, end, index, [](const Entry& e, int64_t wanted) { return e.index < wanted; });
    if (entry == end || entry->index != index || segment->damaged) continue;
    const std::byte* from = segment->data + entry->offset;
    const size_t bytes = sizeof(int32_t) * entry->tokens;
    if (check_of(from, 2 * bytes) != entry->check) {
      if (!segment->damaged.exchange(true)) give_up(segment->path);
      continue;
    }
    Sample sample;
    sample.ids.resize(entry->tokens);
    sample.labels.resize(entry->tokens);
    std::memcpy(sample.ids.data(), from, bytes);
    std::memcpy(sample.labels.data(), from + bytes, bytes);
    return sample;
  }
  return std::nullopt;
}

void TokenCache::add(int64_t index, const Sample& sample) {
  std::map<int64_t, Sample> full;
  {
    std::lock_guard lock(mutex_);
    if (!writable_ || !added_.emplace(index, sample).second) return;
    added_tokens_ += sample.tokens();
    if (added_tokens_ < kSegmentTokens) return;
    full.swap(added_);
    added_tokens_ = 0;
  }
  write_segment(full);
}

void TokenCache::flush() {
  std::map<int64_t, Sample> rest;
  {
    std::lock_guard lock(mutex_);
    rest.swap(added_);
    added_tokens_ = 0;
  }
  if (!rest.empty()) write_segment(rest);
}

void TokenCache::write_segment(const std::map<int64_t, Sample>& samples) {
  std::string data, table;
  for (const auto& [index, sample] : samples) {
    const size_t begin = data.size(), bytes = sizeof(int32_t) * sample.ids.size();
    data.append(reinterpret_cast<const char*>(sample.ids.data()), bytes);
    data.append(reinterpret_cast<const char*>(sample.labels.data()), bytes);
    const Entry entry{index, begin, static_cast<uint32_t>(sample.ids.size()), check_of(data.data() + begin, 2 * bytes)};
    table.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  const Header header{kMagic, samples.size(), check_of(table.data(), table.size()),
                      sizeof(Header) + table.size() + data.size()};
  std::string content(reinterpret_cast<const char*>(&header), sizeof header);
  content += table;
  content += data;
  try {
    write_file_atomically(folder_ / (hash_text(content) + ".tokens"), content);
  } catch (const SystemError& error) {
    std::lock_guard lock(mutex_);
    writable_ = false;
    log_warning(fmt::format("no more samples are kept in the cache of tokens: {}", error.what()));
  }
}

std::string hash_text(std::string_view text) {
  uint64_t a = RandomKey{0x746f6b31, text.size()}.value(), b = RandomKey{0x746f6b32, text.size()}.value();
  for (size_t at = 0; at < text.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, std::min<size_t>(8, text.size() - at));
    a = RandomKey{a, word}.value();
    b = RandomKey{b ^ word, a}.value();
  }
  return fmt::format("{:016x}{:016x}", a, b);
}

std::string file_fingerprint(const fs::path& path) {
  constexpr size_t kEnd = 1 << 20;
  struct stat info {};
  std::ifstream file(path, std::ios::binary);
  if (!file || ::stat(path.c_str(), &info) != 0) throw SystemError(path.string(), "cannot be read");
  std::string ends(kEnd, '\0');
  file.read(ends.data(), kEnd);
  ends.resize(static_cast<size_t>(file.gcount()));
  if (info.st_size > static_cast<off_t>(kEnd)) {
    file.clear();
    file.seekg(-static_cast<std::streamoff>(kEnd), std::ios::end);
    std::string last(kEnd, '\0');
    file.read(last.data(), kEnd);
    ends.append(last, 0, static_cast<size_t>(file.gcount()));
  }
  return fmt::format("{}:{}.{}:{}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, hash_text(ends));
}

}  // namespace automodel::data
