#define OPENSSL_SUPPRESS_DEPRECATED  // the plain functions: OpenSSL 3's way around them needs its provider machinery
#include "automodel/net/digest.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "automodel/base/error.h"

namespace automodel::net {

struct Digest::State {
  SHA_CTX sha1;
  SHA256_CTX sha256;
};

Digest::Digest(Kind kind, uint64_t size) : state_(std::make_unique<State>()), kind_(kind) {
  if (kind == Kind::Sha256) {
    SHA256_Init(&state_->sha256);
  } else {
    SHA1_Init(&state_->sha1);
    const std::string head = fmt::format("blob {}", size);
    update(head.c_str(), head.size() + 1);
  }
}

Digest::~Digest() = default;

void Digest::update(const void* data, size_t size) {
  if (kind_ == Kind::Sha256)
    SHA256_Update(&state_->sha256, data, size);
  else
    SHA1_Update(&state_->sha1, data, size);
}

std::string Digest::hex() {
  unsigned char bytes[SHA256_DIGEST_LENGTH];
  size_t size = SHA256_DIGEST_LENGTH;
  if (kind_ == Kind::Sha256) {
    SHA256_Final(bytes, &state_->sha256);
  } else {
    SHA1_Final(bytes, &state_->sha1);
    size = SHA_DIGEST_LENGTH;
  }
  std::string out;
  for (size_t i = 0; i < size; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

bool is_checksum(std::string_view etag) {
  return (etag.size() == 40 || etag.size() == 64) && etag.find_first_not_of("0123456789abcdef") == etag.npos;
}

std::string file_checksum(const std::filesystem::path& file, std::string_view etag) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw SystemError(file.string(), fmt::format("cannot be read: {}", std::strerror(errno)));
  const off_t end = ::lseek(fd, 0, SEEK_END);
  Digest digest(etag.size() == 64 ? Digest::Kind::Sha256 : Digest::Kind::GitBlob, static_cast<uint64_t>(end));
  std::vector<char> buffer(size_t{1} << 20);
  for (off_t at = 0; at < end;) {
    const ssize_t read = ::pread(fd, buffer.data(), buffer.size(), at);
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) {
      const std::string why = read < 0 ? std::strerror(errno) : "it became shorter";
      ::close(fd);
      throw SystemError(file.string(), fmt::format("cannot be read: {}", why));
    }
    digest.update(buffer.data(), static_cast<size_t>(read));
    at += read;
  }
  ::close(fd);
  return digest.hex();
}

}  // namespace automodel::net
