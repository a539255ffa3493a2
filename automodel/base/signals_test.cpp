#include "automodel/base/signals.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

namespace automodel {
namespace {

ucontext_t before, inside;

long process = 0, thread = 0;

void raise_here() { ::syscall(SYS_tgkill, process, thread, SIGTERM); }

// What lies below the stack pointer stays as it is, for it may be a kernel's data and no stack.
void stop_while_the_stack_pointer_is_in_the_heap() {
  install_stop_signals();
  process = ::syscall(SYS_getpid), thread = ::syscall(SYS_gettid);  // the loader finds the function now, not later
  constexpr size_t kSize = 64 << 10, kOwn = 1 << 10;                // of it what raise_here() itself may use
  std::vector<unsigned char> heap(kSize, 0xA5);
  ::getcontext(&inside);
  inside.uc_stack.ss_sp = heap.data(), inside.uc_stack.ss_size = heap.size();
  inside.uc_link = &before;
  ::makecontext(&inside, raise_here, 0);
  ::swapcontext(&before, &inside);
  const bool whole = std::all_of(heap.begin(), heap.end() - kOwn, [](unsigned char byte) { return byte == 0xA5; });
  std::_Exit(stop_signal() != SIGTERM ? 2 : whole ? 0 : 1);
}

TEST(StopSignalsDeathTest, WriteNothingBelowTheStackPointer) {
  EXPECT_EXIT(stop_while_the_stack_pointer_is_in_the_heap(), testing::ExitedWithCode(0), "stopping after this step");
}

TEST(ParseSignal, TakesNamesAndNumbers) {
  EXPECT_EQ(parse_signal("SIGUSR1"), SIGUSR1);
  EXPECT_EQ(parse_signal("USR1"), SIGUSR1);
  EXPECT_EQ(parse_signal("10"), 10);
  EXPECT_FALSE(parse_signal("SIGNOTHING"));
}

}  // namespace
}  // namespace automodel
