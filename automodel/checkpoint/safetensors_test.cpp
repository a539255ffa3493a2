#include "automodel/checkpoint/safetensors.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "automodel/base/crc32c.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/random.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/safetensors_writer.h"

namespace automodel::checkpoint {
namespace {

using testing::HasSubstr;

std::string file_bytes(const std::string& header, size_t data_bytes, std::optional<uint64_t> length = {}) {
  std::string text(8, '\0');
  const uint64_t size = length.value_or(header.size());
  std::memcpy(text.data(), &size, 8);
  return text + header + std::string(data_bytes, 'x');
}

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), "w.safetensors");
}

std::string fault(const std::string& header, size_t data_bytes = 8) {
  return message_of<CheckpointError>([&] { parse(file_bytes(header, data_bytes)); });
}

const std::pair<const char*, at::ScalarType> kGoldenDtypes[] = {
    {"f64", at::kDouble},         {"f32", at::kFloat},        {"f16", at::kHalf}, {"bf16", at::kBFloat16},
    {"e4m3", at::kFloat8_e4m3fn}, {"e5m2", at::kFloat8_e5m2}, {"i64", at::kLong}, {"i32", at::kInt},
    {"i16", at::kShort},          {"i8", at::kChar},          {"u8", at::kByte},  {"u16", at::kUInt16},
    {"u32", at::kUInt32},         {"u64", at::kUInt64}};

std::vector<NamedTensor> golden_tensors() {
  std::vector<NamedTensor> tensors;
  for (const auto& [word, dtype] : kGoldenDtypes)
    tensors.push_back({fmt::format("block.{}.weight", word), at::arange(6).view({2, 3}).to(dtype), {}});
  tensors.push_back({"flags", at::tensor({1, 0, 1}).to(at::kBool), {}});
  tensors.push_back({"scalar", at::tensor({2.5f}).reshape(at::IntArrayRef{}), {}});
  tensors.push_back({"empty", at::empty({0, 4}), {}});
  tensors.push_back({"odd \"name\" \xC3\xA9", at::tensor({1.0f}), {}});
  return tensors;
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.numel() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

TEST(Safetensors, ReadsAFileOfTheLibraryTheSame) {
  const SafetensorsFile file(AUTOMODEL_SOURCE_DIR "/automodel/checkpoint/testdata/library.safetensors");
  const auto expected = golden_tensors();
  EXPECT_EQ(file.tensors().size(), expected.size());
  for (const auto& named : expected) EXPECT_TRUE(same_bytes(file.view(named.name), named.tensor)) << named.name;
  EXPECT_EQ(file.metadata().at("note"), "made by safetensors");
}

TEST(Safetensors, WritesTheBytesThatTheLibraryWrites) {
  TemporaryFolder folder;
  const auto record = write_safetensors(folder / "a.safetensors", golden_tensors(), {{"note", "made by safetensors"}});
  const SafetensorsFile ours(folder / "a.safetensors");
  const SafetensorsFile theirs(AUTOMODEL_SOURCE_DIR "/automodel/checkpoint/testdata/library.safetensors");
  EXPECT_EQ(ours.metadata(), theirs.metadata());
  EXPECT_EQ(ours.data_begin() % 64, 0u);
  for (const auto& entry : theirs.tensors())
    EXPECT_TRUE(same_bytes(ours.view(entry.name), theirs.view(entry))) << entry.name;
  const std::string bytes = read_file(folder / "a.safetensors");
  EXPECT_EQ(record.bytes, bytes.size());
  EXPECT_EQ(record.crc32c, crc32c(0, bytes.data(), bytes.size()));
  EXPECT_EQ(record.path, "a.safetensors");
}

TEST(Safetensors, TheLibraryReadsOurFiles) {
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES (a python with torch and safetensors) is not set";
  TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors", golden_tensors(), {{"note", "x"}});
  std::ofstream(folder / "check.py") << R"(
import sys, torch
from safetensors import safe_open
from safetensors.torch import load_file
ours, theirs = load_file(sys.argv[1]), load_file(sys.argv[2])
assert ours.keys() == theirs.keys(), (ours.keys(), theirs.keys())
for name, tensor in theirs.items():
    mine = ours[name]
    assert mine.dtype == tensor.dtype and mine.shape == tensor.shape, name
    assert mine.contiguous().view(-1).view(torch.uint8).tolist() == tensor.contiguous().view(-1).view(torch.uint8).tolist(), name
assert safe_open(sys.argv[1], 'pt').metadata() == {'format': 'pt', 'note': 'x'}
)";
  const std::string command =
      fmt::format("{} {} {} {}", python, (folder / "check.py").string(), (folder / "a.safetensors").string(),
                  AUTOMODEL_SOURCE_DIR "/automodel/checkpoint/testdata/library.safetensors");
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(Safetensors, AViewOutlivesItsFile) {
  TemporaryFolder folder;
  const at::Tensor weight = at::randn({64, 32});
  write_safetensors(folder / "a.safetensors", std::vector<NamedTensor>{{"w", weight, {}}});
  at::Tensor view;
  {
    const SafetensorsFile file(folder / "a.safetensors");
    view = file.view("w");
    EXPECT_EQ(view.data_ptr(), const_cast<std::byte*>(file.bytes(file.at("w")).data())) << "a view copies nothing";
  }
  EXPECT_TRUE(at::equal(view, weight));
}

TEST(Safetensors, UnalignedDataAreRead) {
  const at::Tensor weight = at::randn({3});
  std::string bytes = file_bytes(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}} )", 0);  // 56 + 8 + 1
  if (bytes.size() % 4 == 0) bytes = file_bytes(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}  )", 0);
  bytes.append(static_cast<const char*>(weight.const_data_ptr()), 12);
  TemporaryFolder folder;
  std::ofstream(folder / "a.safetensors") << bytes;
  EXPECT_TRUE(at::equal(SafetensorsFile(folder / "a.safetensors").view("w"), weight));
}

TEST(Safetensors, StridedAndConvertedTensorsAreWrittenAsTheyRead) {
  TemporaryFolder folder;
  const at::Tensor weight = at::randn({700, 4097});
  write_safetensors(folder / "a.safetensors", std::vector<NamedTensor>{{"t", weight.t(), {}}, {"i", at::arange(5), {}}},
                    {}, at::kBFloat16);
  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_TRUE(at::equal(file.view("t"), weight.t().to(at::kBFloat16).contiguous()));
  EXPECT_EQ(file.view("i").scalar_type(), at::kLong) << "only floating tensors are converted";
}

TEST(SafetensorsHeader, FilesThatAreNone) {
  const auto message = [](const std::string& file) { return message_of<CheckpointError>([&] { parse(file); }); };
  EXPECT_THAT(message(""), HasSubstr("w.safetensors: is no safetensors file: it has 0 bytes"));
  EXPECT_THAT(message("1234567"), HasSubstr("7 bytes"));
  EXPECT_THAT(message(file_bytes("{}", 0, ~uint64_t{0})), HasSubstr("expected at most 100000000"));
  EXPECT_THAT(message(file_bytes("{}", 0, uint64_t{1} << 63)), HasSubstr("expected at most"));
  EXPECT_THAT(message(file_bytes("{}", 0, 3)), HasSubstr("cut short"));
  EXPECT_THAT(message(file_bytes("", 0)), HasSubstr("no JSON object"));
  EXPECT_THAT(message(file_bytes("[]", 0)), HasSubstr("no JSON object"));
  EXPECT_THAT(message(file_bytes("{\"a\":", 0)), HasSubstr("not valid JSON"));
  EXPECT_THAT(message(file_bytes("{} {}", 0)), HasSubstr("not valid JSON"));
}

TEST(SafetensorsHeader, LiesAboutATensorAreRefusedByName) {
  EXPECT_THAT(fault(R"({"a.b":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})"), HasSubstr("w.safetensors: a.b"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})"), HasSubstr("expected none below 0"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"), HasSubstr("expected a whole one"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"), HasSubstr("do not hold"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
              HasSubstr("do not hold [3] of F32, which has 12"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"), HasSubstr("cut short"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})"),
              HasSubstr("beyond 64-bit"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})"),
              HasSubstr("too large"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,8]}})"),
              HasSubstr("too large"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})"),
              HasSubstr("dtype 'F31' is not known"));
  EXPECT_THAT(
      fault(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
      HasSubstr("overlapping byte 4"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"), HasSubstr("with a gap after byte 0"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("4 bytes follow the last tensor"));
}

TEST(SafetensorsHeader, OddStructureIsRefused) {
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_THAT(fault("{" + a + "," + a + "}", 4), HasSubstr("a: damaged header: the name comes twice"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1]}})"), HasSubstr("expected the fields"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("'dtype' comes twice"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,2,4]}})"), HasSubstr("3 numbers, expected 2"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})"), HasSubstr("is a list"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":{},"data_offsets":[0,4]}})"), HasSubstr("is an object"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","scale":1,"shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("'scale' is a number"));
  EXPECT_THAT(fault(R"({"a":4})"), HasSubstr("is a number"));
  EXPECT_THAT(fault(R"({"a":[]})"), HasSubstr("is a list"));
  EXPECT_THAT(fault(R"({"__metadata__":{"k":1}})"), HasSubstr("is a number"));
  EXPECT_THAT(fault(R"({"__metadata__":{"k":"1","k":"2"}})"), HasSubstr("'k' comes twice"));
  EXPECT_THAT(fault("{\"a" + std::string(1, '\xff') + "\":{}}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(fault(std::string(100000, '{')), HasSubstr("not valid JSON"));
  std::string dims = "1";
  for (int i = 0; i < 40; ++i) dims += ",1";
  EXPECT_THAT(fault("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + dims + "],\"data_offsets\":[0,4]}}"),
              HasSubstr("more than 32"));
}

// A small generator: random tables of tensors, from a seed that the message names.
std::vector<NamedTensor> random_tensors(RandomKey key) {
  uint64_t draw = 0;
  const auto below = [&](uint64_t bound) { return static_cast<int64_t>(uniform(key, draw++) * bound); };
  std::vector<NamedTensor> tensors;
  for (int64_t i = below(12); i > 0; --i) {
    std::vector<int64_t> shape;
    for (int64_t d = below(4); d > 0; --d) shape.push_back(below(6));
    std::string name = fmt::format("t{}.", i);
    for (int64_t c = below(8); c > 0; --c) name += static_cast<char>(32 + below(95));
    const auto dtype = kGoldenDtypes[below(std::size(kGoldenDtypes))].second;
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    for (size_t b = 0; b < tensor.nbytes(); ++b) static_cast<uint8_t*>(tensor.data_ptr())[b] = below(256);
    tensors.push_back({name, tensor, {}});
  }
  return tensors;
}

TEST(SafetensorsProperty, RandomTablesComeBackBitForBit) {
  TemporaryFolder folder;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const auto tensors = random_tensors(RandomKey{seed, 1});
    write_safetensors(folder / "r.safetensors", tensors, {{"seed", std::to_string(seed)}});
    const SafetensorsFile file(folder / "r.safetensors");
    ASSERT_EQ(file.tensors().size(), tensors.size()) << "seed " << seed;
    for (const auto& named : tensors) ASSERT_TRUE(same_bytes(file.view(named.name), named.tensor)) << "seed " << seed;
  }
}

TEST(SafetensorsProperty, DamagedHeadersNeverReachBeyondTheFile) {
  const std::string whole = read_file(AUTOMODEL_SOURCE_DIR "/automodel/checkpoint/testdata/library.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  int refused = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const RandomKey key{seed, 2};
    std::string bytes = whole;
    for (int hit = 0; hit <= static_cast<int>(seed % 3); ++hit)
      bytes[static_cast<size_t>(uniform(key, 2 * hit) * (8 + length))] =
          static_cast<char>(uniform(key, 2 * hit + 1) * 256);
    if (seed % 5 == 0) bytes.resize(static_cast<size_t>(uniform(key, 99) * bytes.size()));
    try {
      const auto header = parse(bytes);
      for (const auto& entry : header.tensors)
        ASSERT_LE(header.data_begin + entry.end, bytes.size()) << "seed " << seed;
    } catch (const CheckpointError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 3000);
}

TEST(Safetensors, AFullDiskIsAnErrorAndLeavesNothing) {
  TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "a.safetensors");
  const std::vector<NamedTensor> tensors{{"w", at::randn({1000}), {}}};
  EXPECT_THAT(message_of<SystemError>([&] { write_safetensors(folder / "a.safetensors", tensors); }),
              HasSubstr("No space left"));
  EXPECT_THAT(message_of<SystemError>([&] { write_safetensors(folder / "none/a.safetensors", tensors); }),
              HasSubstr("cannot be created"));
}

TEST(Safetensors, WhatTheFormatCannotHoldIsRefused) {
  TemporaryFolder folder;
  const auto write = [&](std::vector<NamedTensor> tensors) {
    return message_of<CheckpointError>([&] { write_safetensors(folder / "a.safetensors", tensors); });
  };
  EXPECT_THAT(write({{"w", at::randn({2}).to(at::kComplexDouble), {}}}), HasSubstr("cannot be stored"));
  EXPECT_THAT(write({{"w", at::randn({2}), {}}, {"w", at::randn({2}), {}}}), HasSubstr("comes twice"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.safetensors"));
}

TEST(Crc32c, EqualsThePublishedValues) {
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xE3069283u);
  const std::string zeros(32, '\0');
  EXPECT_EQ(crc32c(0, zeros.data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

}  // namespace
}  // namespace automodel::checkpoint
