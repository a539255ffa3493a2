// What the fast start puts on a GPU is what the file holds: read back, it has the file's checksum.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>

#include <cstdio>
#include <cstdlib>

#include "automodel/base/crc32c.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/load_weights.h"
#include "automodel/checkpoint/safetensors_writer.h"
#include "automodel/models/registry.h"
#include "automodel/tensor/testing.h"
#include "tests/gpu/twins.h"

namespace automodel::gpu {
namespace {

uint32_t checksum(const at::Tensor& contiguous) {
  return crc32c(0, contiguous.const_data_ptr(), static_cast<size_t>(contiguous.nbytes()));
}

// Of each slice of the parameters; counts the bytes compared.
uint64_t expect_bytes_of_file(std::span<const ParameterPtr> parameters, const checkpoint::WeightSource& source) {
  uint64_t bytes = 0;
  for (const auto& parameter : parameters)
    for (const auto& slice : parameter->slices()) {
      const auto found = source.at(slice.name);
      const auto stored = found.file->bytes(*found.entry);
      const auto back = parameter->view(slice).cpu().contiguous();
      EXPECT_EQ(back.nbytes(), stored.size()) << slice.name;
      if (back.nbytes() != stored.size()) continue;
      EXPECT_EQ(checksum(back), crc32c(0, stored.data(), stored.size())) << slice.name;
      bytes += stored.size();
    }
  return bytes;
}

ParameterPtr make_parameter(std::vector<ParameterSlice> slices, std::vector<int64_t> shape) {
  auto parameter = std::make_shared<Parameter>(std::move(slices), std::move(shape), at::kBFloat16, Init{});
  if (test_device().is_cuda()) parameter->allocate(test_device());
  return parameter;
}

// Sizes around the copy's buffers of 16 MiB, one parameter of three tensors, and starts that no page or vector is
// aligned to.
TEST(ReadBack, HasTheChecksumOfTheFile) {
  if (test_device().is_cuda()) require_gpu();
  const std::vector<ParameterPtr> parameters = {
      make_parameter({{"a", 0, 1}}, {1}),
      make_parameter({{"b", 0, 2049}}, {2049, 4097}),  // 16 MiB and a little
      make_parameter({{"c", 0, 4096}}, {4096, 2048}),  // 16 MiB
      make_parameter({{"q", 0, 700}, {"k", 700, 33}, {"v", 733, 1}}, {734, 5003}),
      make_parameter({{"d", 0, 12345}}, {12345, 1999}),  // 47 MiB
  };
  std::vector<checkpoint::NamedTensor> stored;
  int64_t seed = 0;
  for (const auto& parameter : parameters)
    for (const auto& slice : parameter->slices()) {
      const int64_t columns = parameter->shape().size() > 1 ? parameter->shape()[1] : 1;
      auto generator = at::globalContext().defaultGenerator(at::kCPU).clone();
      generator.set_current_seed(static_cast<uint64_t>(++seed));
      // Every bf16 but NaN and Inf: bits below 0x7f80, with either sign.
      auto bits = at::randint(0, 0x7f80, {slice.rows * columns}, generator, at::TensorOptions(at::kShort));
      auto sign = at::randint(0, 2, bits.sizes(), generator, at::TensorOptions(at::kShort));
      bits.add_(sign * static_cast<int>(-0x8000));
      std::vector<int64_t> shape = parameter->shape();
      shape[0] = slice.rows;
      stored.push_back({slice.name, bits.view(at::kBFloat16).view(shape), {}});
    }
  TemporaryFolder folder;
  checkpoint::write_safetensors(folder / "model.safetensors", stored);
  const auto source = checkpoint::open_weights(folder.path());
  checkpoint::load_weights(parameters, source);
  EXPECT_EQ(expect_bytes_of_file(parameters, source), source.bytes());
}

// The same for a whole checkpoint, 16 GB say: bench/gpu_start.py names the one it has just started from.
TEST(ReadBack, OfAWholeCheckpointHasTheChecksumsOfItsFiles) {
  const char* named = std::getenv("AUTOMODEL_TEST_CHECKPOINT");
  if (!named) GTEST_SKIP() << "AUTOMODEL_TEST_CHECKPOINT names no folder";
  if (test_device().is_cuda()) require_gpu();
  const std::filesystem::path folder = named;
  const auto where = (folder / "config.json").string();
  const Json config = load_json(where);
  const auto& family = models::find_family(config.at("model_type").get<std::string>(), where);
  const auto model = models::build(models::read_config(config, where), at::kBFloat16);
  const auto parameters = model->parameters();
  if (test_device().is_cuda())
    for (const auto& parameter : parameters) parameter->allocate(test_device());
  const auto source = checkpoint::open_weights(folder, family.optional_prefixes);
  checkpoint::load_weights(parameters, source, {.ignore = family.ignored_tensors});
  const auto bytes = expect_bytes_of_file(parameters, source);
  EXPECT_EQ(bytes, source.bytes());
  std::printf("  %.2f GB read back\n", static_cast<double>(bytes) / 1e9);
}

}  // namespace
}  // namespace automodel::gpu
