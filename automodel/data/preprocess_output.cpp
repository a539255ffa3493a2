#include "automodel/data/preprocess_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel::data {
namespace fs = std::filesystem;

static constexpr size_t kBufferBytes = 1 << 20;

[[noreturn]] static void fail(const std::string& path, const std::string& what) {
  const int error = errno;
  throw SystemError(path, fmt::format("{}: {}", what, std::strerror(error)),
                    error == ENOSPC || error == EDQUOT ? "free some space: what is done already is kept" : "");
}

AppendFile::AppendFile(const std::string& path, int64_t size) : path_(path), size_(size) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(path, "cannot be opened");
  struct stat info {};
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  const bool known = ::fstat(fd_, &info) == 0;
  std::string fault;
  if (!locked) fault = "is being written by another process";
  if (locked && known && info.st_size < size)
    fault = fmt::format("has {} bytes, but {} were there before", info.st_size, size);
  if (!fault.empty()) {
    ::close(fd_);
    throw DataError(path, fault,
                    locked ? "begin again with --restart" : "wait for it, or choose another output prefix");
  }
  if (!known || ::ftruncate(fd_, size) != 0 || ::lseek(fd_, size, SEEK_SET) < 0) {
    ::close(fd_);
    fail(path, "cannot be cut");
  }
}
AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::append(const void* data, size_t bytes) {
  buffer_.append(static_cast<const char*>(data), bytes);
  size_ += static_cast<int64_t>(bytes);
  if (buffer_.size() >= kBufferBytes) write_out();
}

void AppendFile::write_out() {
  size_t at = 0;
  while (at < buffer_.size()) {
    const ssize_t wrote = ::write(fd_, buffer_.data() + at, buffer_.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail(path_, "cannot be written");
    at += static_cast<size_t>(wrote);
  }
  buffer_.clear();
}

void AppendFile::flush() {
  write_out();
  if (::fdatasync(fd_) != 0) fail(path_, "cannot be flushed to disk");
}

Json PreprocessOutput::Mark::to_json() const {
  return {{"bytes", bytes}, {"sequences", sequences}, {"documents", documents}};
}

PreprocessOutput::Mark PreprocessOutput::Mark::from_json(const Json& json) {
  Mark mark;
  for (const auto& [name, field] : {std::pair("bytes", &mark.bytes), std::pair("sequences", &mark.sequences),
                                    std::pair("documents", &mark.documents)}) {
    if (!json.is_object() || !json.contains(name) || !json[name].is_number_integer() || json[name].get<int64_t>() < 0)
      throw DataError("journal", fmt::format("has no count of {}", name), "begin again with --restart");
    *field = json[name].get<int64_t>();
  }
  return mark;
}

static std::string part_of(const std::string& prefix, const char* what) { return prefix + "." + what + ".part"; }

PreprocessOutput::PreprocessOutput(std::string prefix, MegatronType type, const Mark& from)
    : prefix_(std::move(prefix)),
      type_(type),
      tokens_(part_of(prefix_, "bin"), from.bytes),
      lengths_(part_of(prefix_, "lengths"), 4 * from.sequences),
      documents_(part_of(prefix_, "documents"), 8 * from.documents),
      sequences_(from.sequences) {}

void PreprocessOutput::append(const EncodedDocuments& documents) {
  tokens_.append(documents.tokens.data(), documents.tokens.size());
  lengths_.append(documents.lengths.data(), 4 * documents.lengths.size());
  for (const int32_t sequences : documents.sequences) {
    sequences_ += sequences;
    documents_.append(&sequences_, sizeof sequences_);
  }
}

PreprocessOutput::Mark PreprocessOutput::mark() {
  tokens_.flush(), lengths_.flush(), documents_.flush();
  return {tokens_.size(), sequences_, documents_.size() / 8};
}

void PreprocessOutput::finish() {
  const Mark all = mark();
  AppendFile index(part_of(prefix_, "idx"), 0);
  const std::string header =
      MegatronHeader{.type = type_, .sequences = all.sequences, .borders = all.documents + 1}.bytes();
  index.append(header.data(), header.size());
  const MappedFile lengths(part_of(prefix_, "lengths")), documents(part_of(prefix_, "documents"));
  const auto in_pieces = [&](const MappedFile& file) {  // so that a large file does not pass through memory whole
    const auto text = file.text();
    for (size_t at = 0; at < text.size(); at += kBufferBytes)
      index.append(text.data() + at, std::min(kBufferBytes, text.size() - at));
  };
  in_pieces(lengths);
  int64_t begin = 0;
  for (int64_t i = 0; i < all.sequences; ++i) {
    index.append(&begin, sizeof begin);
    int32_t length;
    std::memcpy(&length, lengths.text().data() + 4 * i, 4);
    begin += length * size_of(type_);
  }
  AM_CHECK(begin == all.bytes, "{} bytes of tokens, lengths say {}", all.bytes, begin);
  const int64_t first = 0;
  index.append(&first, sizeof first);
  in_pieces(documents);
  index.flush();
}

void PreprocessOutput::publish(const std::string& prefix) {
  for (const char* what : {"bin", "idx"}) {  // the index last: without it nothing is taken for a data set
    const std::string part = part_of(prefix, what), whole = prefix + "." + what;
    if (fs::exists(part) && ::rename(part.c_str(), whole.c_str()) != 0) fail(whole, "cannot be replaced");
  }
  const fs::path folder = fs::path(prefix).parent_path();
  sync_folder(folder.empty() ? "." : folder);
  for (const char* what : {"lengths", "documents"}) ::unlink(part_of(prefix, what).c_str());
}

void PreprocessOutput::discard(const std::string& prefix) {
  for (const char* what : {"bin", "idx", "lengths", "documents"}) ::unlink(part_of(prefix, what).c_str());
}

}  // namespace automodel::data
