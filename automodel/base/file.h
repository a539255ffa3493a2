// Files: read whole or mapped, written so that a reader sees the old content or the new, never a part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace automodel {

/// The whole file. Throws SystemError when it cannot be read or is larger than `limit_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t limit_bytes = uint64_t{1} << 32);

/// A file mapped read-only; the bytes live as long as the object. Empty files map to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  std::string_view text() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

/// A new file that is written piece by piece and flushed to disk by close(); every failure (full disk) throws
/// SystemError with the path. A file not closed is removed by the destructor.
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void close();  // fsync, then close

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

/// Appends whole lines to a file, each reaching the kernel before append() returns.
class LineWriter {
 public:
  explicit LineWriter(const std::filesystem::path& path);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  void append(std::string_view line);  // without its newline

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

/// Replaces `path` by `text` atomically: temporary file beside it, fsync, rename, fsync of the folder.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Makes what happened in the folder (new names, renames) durable.
void sync_folder(const std::filesystem::path& folder);

/// create_directories that throws SystemError with the reason.
void make_folders(const std::filesystem::path& folder);

}  // namespace automodel
