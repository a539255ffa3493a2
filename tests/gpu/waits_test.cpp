// The profiler's count of the host's waits: of made-up spans, and on a GPU of calls that are known to wait or not to.
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "automodel/recipes/profile.h"
#include "automodel/tensor/testing.h"

namespace automodel::gpu {
namespace {

using recipes::HostWaits;
using recipes::kLaunchScope;
using recipes::kReadScope;
using recipes::ProfiledSpan;
using recipes::Profiler;

// name -> calls
std::map<std::string, int64_t> calls(const std::vector<recipes::ProfileRow>& rows) {
  std::map<std::string, int64_t> out;
  for (const auto& row : rows) out[row.name] = row.launches;
  return out;
}

constexpr uint64_t kMs = 1'000'000;
ProfiledSpan span(const std::string& name, uint64_t begin_ms, uint64_t end_ms) {
  return {name, 1, begin_ms * kMs, end_ms * kMs};
}

TEST(HostWaits, AreCountedByNameWithinLaunchesAndReadingsAlone) {
  const std::vector<ProfiledSpan> host = {span("cudaDeviceSynchronize", 0, 5),
                                          span(kLaunchScope, 10, 100),
                                          span("aten::mm", 11, 12),
                                          span("cudaLaunchKernel", 11, 12),
                                          span("cudaStreamSynchronize", 20, 30),
                                          span("cudaMemcpyAsync", 31, 32),
                                          span("cudaEventSynchronize_ptsz", 40, 41),
                                          span(kReadScope, 100, 120),
                                          span("cudaEventSynchronize", 105, 115),
                                          span(kLaunchScope, 120, 200),
                                          span("cudaStreamWaitEvent", 121, 122),
                                          span("cudaStreamSynchronize", 130, 133),
                                          span("cudaDeviceSynchronize", 300, 310)};
  const std::vector<ProfiledSpan> device = {span("Memcpy DtoH (Device -> Pageable)", 15, 16),
                                            span("Memcpy DtoH (Device -> Pinned)", 17, 18),
                                            span("Memcpy HtoD (Pageable -> Device)", 19, 20), span("gemm", 20, 90)};
  const auto waits = recipes::find_waits(host, device);
  using Calls = std::map<std::string, int64_t>;
  EXPECT_EQ(
      calls(waits.launching),
      (Calls{{"cudaStreamSynchronize", 2}, {"cudaEventSynchronize", 1}, {"Memcpy DtoH (Device -> Pageable)", 1}}));
  EXPECT_EQ(calls(waits.reading), (Calls{{"cudaEventSynchronize", 1}}));
  EXPECT_EQ(waits.launching.front().name, "cudaStreamSynchronize");
  EXPECT_DOUBLE_EQ(waits.launching.front().ms, 13);
  EXPECT_DOUBLE_EQ(waits.reading.front().ms, 10);
  EXPECT_TRUE(recipes::find_waits({}, device).launching.empty());
}

TEST(HostWaits, AreCallsThatReturnWhenTheDeviceIsThere) {
  for (const char* waits : {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy",
                            "cudaMemcpy_ptds", "cuStreamSynchronize", "cuCtxSynchronize_v13000", "cuMemcpyDtoH_v2",
                            "cudaFree", "Memcpy DtoH (Device -> Pageable)"})
    EXPECT_TRUE(recipes::waits_for_device(waits)) << waits;
  for (const char* goes_on : {"cudaMemcpyAsync", "cudaMemcpyAsync_v3020", "cudaLaunchKernel", "cudaEventQuery",
                              "cudaStreamWaitEvent", "cudaMemsetAsync", "cuMemcpyDtoHAsync_v2", "aten::copy_",
                              "Memcpy DtoH (Device -> Pinned)", "Memcpy HtoD (Pageable -> Device)", "__syncthreads"})
    EXPECT_FALSE(recipes::waits_for_device(goes_on)) << goes_on;
}

TEST(HostWaits, StandInTheTableAndInTheJson) {
  auto summary = recipes::summarize({span("gemm", 0, 6)}, 2);
  EXPECT_TRUE(summary.json().at("host_waits").is_null());
  EXPECT_THAT(summary.text(), testing::Not(testing::HasSubstr("waited for the device, a step")));
  summary.waits = HostWaits{.launching = {}, .reading = {{"cudaEventSynchronize", 1, 3}}};
  EXPECT_THAT(summary.text(), testing::HasSubstr("  while it launched the step: never\n"));
  EXPECT_THAT(summary.text(), testing::HasSubstr(": cudaEventSynchronize 0.5 times, 1.500 ms\n"));
  const auto waits = summary.json().at("host_waits");
  EXPECT_TRUE(waits.at("launching").is_array() && waits.at("launching").empty());
  EXPECT_EQ(waits.at("reading").at(0).at("name"), "cudaEventSynchronize");
  EXPECT_DOUBLE_EQ(waits.at("reading").at(0).at("calls_a_step"), 0.5);
}

// On the CPU: nothing waits, and the scopes are no operators.
TEST(HostWaits, AreSeenByTheProfiler) {
  const auto device = test_device();
  const auto x = random_tensor({256, 256}, 1);
  const auto launch = [&] { return (x * 2).matmul(x) + 1; };
  launch().sum().item<float>();
  const auto of = [&](const std::function<void()>& step, const std::function<void()>& reading) {
    Profiler profiler(device);
    Profiler::launch(step);
    Profiler::read(reading);
    return profiler.finish(1, {});
  };
  const auto quiet = of([&] { launch(); }, [] {});
  for (const auto& row : quiet.kernels) EXPECT_NE(row.name, kLaunchScope);
  EXPECT_FALSE(quiet.kernels.empty());
  if (device.is_cpu()) {
    EXPECT_FALSE(quiet.waits.has_value());
    return;
  }
  EXPECT_THAT(calls(quiet.waits->launching), testing::IsEmpty());
  EXPECT_THAT(calls(quiet.waits->reading), testing::IsEmpty());
  const auto asks = of([&] { launch().sum().item<float>(); }, [] {});
  EXPECT_EQ(calls(asks.waits->launching)["cudaStreamSynchronize"], 1);
  EXPECT_THAT(calls(asks.waits->reading), testing::IsEmpty());

  // As a step's numbers are read: a copy to pinned memory, an event, and a wait for the event.
  auto host = at::empty({256, 256}, at::TensorOptions(at::kFloat).pinned_memory(true));
  c10::Event ready(device.type());
  const auto as_it_should = of(
      [&] {
        host.copy_(launch(), true);
        ready.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
      },
      [&] { ready.synchronize(); });
  EXPECT_THAT(calls(as_it_should.waits->launching), testing::IsEmpty());
  EXPECT_EQ(calls(as_it_should.waits->reading), (std::map<std::string, int64_t>{{"cudaEventSynchronize", 1}}));
}

}  // namespace
}  // namespace automodel::gpu
