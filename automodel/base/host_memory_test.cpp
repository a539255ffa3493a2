#include "automodel/base/host_memory.h"

#include <gtest/gtest.h>

#include "automodel/base/testing.h"

namespace automodel {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class HostMemory : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const { folder_.write(path, text); }
  void write_machine(int available_kib) const {
    write("proc/meminfo", fmt::format("MemTotal: 9000000 kB\nMemFree: 1 kB\nMemAvailable: {} kB\n", available_kib));
  }
  std::optional<uint64_t> free() const { return free_host_memory(folder_.path()); }
  TemporaryFolder folder_;
};

TEST_F(HostMemory, IsUnknownWithoutProc) { EXPECT_EQ(free(), std::nullopt); }

TEST_F(HostMemory, IsWhatTheMachineHasWithoutALimit) {
  write_machine(8192);
  write("sys/fs/cgroup/memory.max", "max\n");
  write("sys/fs/cgroup/memory.current", "100\n");
  EXPECT_EQ(free(), 8 * kMiB);
}

TEST_F(HostMemory, IsTheTightestOfTheGroupsAndFilesCountAsFree) {
  write_machine(1 << 20);
  write("proc/self/cgroup", "1:name=systemd:/x\n0::/job/step\n");
  write("sys/fs/cgroup/job/memory.max", fmt::format("{}\n", 64 * kMiB));
  write("sys/fs/cgroup/job/memory.current", fmt::format("{}\n", 40 * kMiB));
  write("sys/fs/cgroup/job/memory.stat", fmt::format("anon 5\ninactive_file {}\n", 10 * kMiB));
  write("sys/fs/cgroup/job/step/memory.max", "max\n");
  write("sys/fs/cgroup/job/step/memory.current", "1\n");
  EXPECT_EQ(free(), 34 * kMiB);
}

TEST_F(HostMemory, IsNothingInAGroupThatIsOverItsLimit) {
  write_machine(1 << 20);
  write("sys/fs/cgroup/memory.max", "1000\n");
  write("sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(free(), 0u);
}

TEST(HostMemoryHere, IsKnownOnLinux) { EXPECT_GT(free_host_memory().value(), 0u); }

}  // namespace
}  // namespace automodel
