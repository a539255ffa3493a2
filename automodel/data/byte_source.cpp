#include "automodel/data/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "automodel/base/error.h"

namespace automodel::data {
namespace {

constexpr size_t kBlock = 1 << 18;

size_t pread_all(int fd, const std::string& path, int64_t offset, char* to, size_t bytes) {
  size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::pread(fd, to + got, bytes - got, offset + static_cast<int64_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw SystemError(path, fmt::format("cannot be read: {}", std::strerror(errno)));
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

class File {  // a descriptor and its name
 public:
  explicit File(std::string path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw SystemError(path_, fmt::format("cannot be opened: {}", std::strerror(errno)));
  }
  File(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  size_t read_at(int64_t offset, char* to, size_t bytes) const { return pread_all(fd_, path_, offset, to, bytes); }
  void write_at(int64_t offset, const char* from, size_t bytes) const {
    for (size_t done = 0; done < bytes;) {
      const ssize_t n = ::pwrite(fd_, from + done, bytes - done, offset + static_cast<int64_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        throw SystemError(path_, fmt::format("cannot be unpacked: {}", std::strerror(errno)),
                          "TMPDIR may name a folder on a disk with more room");
      done += static_cast<size_t>(n);
    }
  }
  const std::string& path() const { return path_; }
  int descriptor() const { return fd_; }

 private:
  std::string path_;
  int fd_;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(const std::string& path) : file_(path) {}
  size_t read_at(int64_t offset, char* to, size_t bytes) override { return file_.read_at(offset, to, bytes); }
  std::string plain_path() override { return file_.path(); }

 private:
  File file_;
};

/// Turns packed bytes into plain ones, block by block.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  /// Takes from [in, in + in_bytes), gives up to out_bytes; both are set to what was used. Throws DataError.
  virtual void run(const char* in, size_t& in_bytes, char* out, size_t& out_bytes) = 0;
  /// Whether the packed data may end here.
  virtual bool whole() const = 0;
};

class Gunzip : public Unpacker {
 public:
  explicit Gunzip(std::string path) : path_(std::move(path)) {
    if (::inflateInit2(&stream_, 15 + 16) != Z_OK) throw SystemError(path_, "cannot be unpacked: zlib does not start");
  }
  ~Gunzip() override { ::inflateEnd(&stream_); }
  void run(const char* in, size_t& in_bytes, char* out, size_t& out_bytes) override {
    if (whole_ && in_bytes > 0) {  // another member follows
      ::inflateReset(&stream_);
      whole_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in));
    stream_.avail_in = static_cast<uInt>(in_bytes);
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(out_bytes);
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
      throw DataError(path_, fmt::format("is no whole gzip file: {}", stream_.msg ? stream_.msg : "damaged"));
    whole_ = status == Z_STREAM_END;
    in_bytes -= stream_.avail_in;
    out_bytes -= stream_.avail_out;
  }
  bool whole() const override { return whole_; }

 private:
  std::string path_;
  z_stream stream_{};
  bool whole_ = false;
};

class Unzstd : public Unpacker {
 public:
  explicit Unzstd(std::string path) : path_(std::move(path)), stream_(::ZSTD_createDStream()) {
    if (!stream_) throw SystemError(path_, "cannot be unpacked: zstd does not start");
  }
  ~Unzstd() override { ::ZSTD_freeDStream(stream_); }
  void run(const char* in, size_t& in_bytes, char* out, size_t& out_bytes) override {
    ZSTD_inBuffer from{in, in_bytes, 0};
    ZSTD_outBuffer to{out, out_bytes, 0};
    const size_t status = ::ZSTD_decompressStream(stream_, &to, &from);
    if (::ZSTD_isError(status))
      throw DataError(path_, fmt::format("is no whole zstd file: {}", ::ZSTD_getErrorName(status)));
    whole_ = status == 0;
    in_bytes = from.pos;
    out_bytes = to.pos;
  }
  bool whole() const override { return whole_; }

 private:
  std::string path_;
  ZSTD_DStream* stream_;
  bool whole_ = false;
};

/// The plain bytes of a packed file from front to back.
class PackedStream {
 public:
  PackedStream(const std::string& path, std::unique_ptr<Unpacker> unpacker)
      : file_(path), unpacker_(std::move(unpacker)), in_(kBlock) {}

  /// The next bytes, at most so many; 0 at the end. Throws DataError for a file that ends too early.
  size_t read(char* to, size_t bytes) {
    while (true) {
      if (in_used_ == in_got_) {
        in_used_ = 0;
        in_got_ = file_.read_at(taken_, in_.data(), in_.size());
        taken_ += static_cast<int64_t>(in_got_);
      }
      size_t in = in_got_ - in_used_, out = bytes;
      const bool at_end = in == 0;
      if (at_end && (unpacker_->whole() || taken_ == 0)) return 0;
      unpacker_->run(in_.data() + in_used_, in, to, out);
      if (at_end && out == 0 && !unpacker_->whole())
        throw DataError(file_.path(), "ends in the middle of its packed data", "the file was not copied whole");
      in_used_ += in;
      if (out > 0) return out;
    }
  }

 private:
  File file_;
  std::unique_ptr<Unpacker> unpacker_;
  std::vector<char> in_;
  size_t in_used_ = 0, in_got_ = 0;
  int64_t taken_ = 0;
};

class ForwardSource : public ByteSource {
 public:
  ForwardSource(const std::string& path, std::unique_ptr<Unpacker> unpacker) : stream_(path, std::move(unpacker)) {}
  size_t read_at(int64_t offset, char* to, size_t bytes) override {
    std::lock_guard lock(mutex_);
    AM_CHECK(offset >= at_, "byte {} of a packed file was passed: it is at {}", offset, at_);
    std::vector<char> skipped(offset > at_ ? kBlock : 0);
    while (at_ < offset) {
      const size_t got = stream_.read(skipped.data(), std::min(skipped.size(), static_cast<size_t>(offset - at_)));
      if (got == 0) return 0;
      at_ += static_cast<int64_t>(got);
    }
    size_t done = 0;
    while (done < bytes) {
      const size_t got = stream_.read(to + done, bytes - done);
      if (got == 0) break;
      done += got;
    }
    at_ += static_cast<int64_t>(done);
    return done;
  }
  std::string plain_path() override {
    AM_CHECK(false, "a packed file that is read from front to back has no plain path");
    return {};
  }

 private:
  std::mutex mutex_;
  PackedStream stream_;
  int64_t at_ = 0;
};

class PackedSource : public ByteSource {
 public:
  PackedSource(const std::string& path, std::unique_ptr<Unpacker> unpacker)
      : stream_(std::in_place, path, std::move(unpacker)), plain_(path, open_nameless_file()) {}

  size_t read_at(int64_t offset, char* to, size_t bytes) override {
    int64_t end = 0;
    {
      std::lock_guard lock(mutex_);
      unpack_until(offset + static_cast<int64_t>(bytes));
      end = unpacked_;
    }
    if (offset >= end) return 0;
    return plain_.read_at(offset, to, std::min(bytes, static_cast<size_t>(end - offset)));
  }
  std::string plain_path() override {
    std::lock_guard lock(mutex_);
    unpack_until(INT64_MAX);
    return fmt::format("/proc/self/fd/{}", plain_.descriptor());
  }

 private:
  void unpack_until(int64_t offset) {
    if (stream_) out_.resize(kBlock);
    while (stream_ && unpacked_ < offset) {
      const size_t out = stream_->read(out_.data(), out_.size());
      if (out == 0) stream_.reset();
      plain_.write_at(unpacked_, out_.data(), out);
      unpacked_ += static_cast<int64_t>(out);
    }
    if (!stream_) std::vector<char>().swap(out_);
  }

  std::optional<PackedStream> stream_;  // gone when all is unpacked
  File plain_;
  std::mutex mutex_;
  std::vector<char> out_;
  int64_t unpacked_ = 0;
};

}  // namespace

int open_nameless_file() {
  const char* chosen = std::getenv("TMPDIR");
  std::string name = std::string(chosen && *chosen ? chosen : "/var/tmp") + "/automodel-XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0)
    throw SystemError(name, fmt::format("cannot be made: {}", std::strerror(errno)),
                      "TMPDIR names the folder where packed data sets are unpacked");
  ::unlink(name.c_str());
  return fd;
}

static std::unique_ptr<Unpacker> make_unpacker(const std::string& path) {
  if (path.ends_with(".gz")) return std::make_unique<Gunzip>(path);
  if (path.ends_with(".zst")) return std::make_unique<Unzstd>(path);
  if (path.ends_with(".bz2") || path.ends_with(".xz"))
    throw UnsupportedError(path, "files packed by bzip2 or xz cannot be read by this build",
                           "unpack it, or pack it by gzip or zstd");
  return nullptr;
}

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  if (auto unpacker = make_unpacker(path)) return std::make_unique<PackedSource>(path, std::move(unpacker));
  return std::make_unique<PlainSource>(path);
}

std::unique_ptr<ByteSource> open_bytes_forward(const std::string& path) {
  if (auto unpacker = make_unpacker(path)) return std::make_unique<ForwardSource>(path, std::move(unpacker));
  return std::make_unique<PlainSource>(path);
}

}  // namespace automodel::data
