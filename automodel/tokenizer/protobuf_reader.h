// ProtobufReader: walks over the fields of one protobuf message; every length is held against the bytes that are there.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "automodel/base/error.h"

namespace automodel::tokenizer {

/// The wire format of https://protobuf.dev/programming-guides/encoding: a tag (field number, wire type), then a value.
/// Throws DataError{"where: byte N"} for a message that ends inside a field or holds what no message can.
class ProtobufReader {
 public:
  ProtobufReader(std::string_view bytes, std::string where, size_t base = 0)
      : bytes_(bytes), where_(std::move(where)), base_(base) {}

  /// Steps to the next field; false at the end of the message. A value not asked for is skipped.
  bool next() {
    skip();
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<int>(tag & 7);
    if (tag >> 32 != 0 || field_ == 0) fail("a field without a number");
    pending_ = true;
    return true;
  }
  uint32_t field() const { return field_; }

  uint64_t integer() { return take(kVarint), varint(); }
  bool flag() { return integer() != 0; }
  int32_t signed_integer() { return static_cast<int32_t>(static_cast<uint32_t>(integer())); }
  float real() {
    take(kFixed32);
    uint32_t bits = 0;
    std::memcpy(&bits, chunk(4).data(), 4);
    return std::bit_cast<float>(bits);
  }
  std::string_view bytes() { return take(kBytes), chunk(varint()); }
  ProtobufReader message() {
    const std::string_view inner = bytes();
    return ProtobufReader(inner, where_, base_ + at_ - inner.size());
  }

  [[noreturn]] void fail(const std::string& text) const {
    throw DataError(fmt::format("{}: byte {}", where_, base_ + at_), text);
  }

 private:
  enum { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  void take(int type) {
    if (type_ != type) fail(fmt::format("field {} has the wire type {}, not {}", field_, type_, type));
    pending_ = false;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(chunk(1)[0]);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    fail("an integer of more than 10 bytes");
  }
  std::string_view chunk(uint64_t size) {
    if (size > bytes_.size() - at_) fail(fmt::format("{} bytes are wanted, {} are left", size, bytes_.size() - at_));
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  void skip() {
    if (!pending_) return;
    pending_ = false;
    if (type_ == kVarint)
      varint();
    else if (type_ == kFixed64)
      chunk(8);
    else if (type_ == kBytes)
      chunk(varint());
    else if (type_ == kFixed32)
      chunk(4);
    else
      fail(fmt::format("field {} has the unknown wire type {}", field_, type_));
  }

  std::string_view bytes_;
  std::string where_;
  size_t base_, at_ = 0;
  uint32_t field_ = 0;
  int type_ = 0;
  bool pending_ = false;
};

}  // namespace automodel::tokenizer
