#include "automodel/base/counted.h"

#include <gtest/gtest.h>

namespace automodel {
namespace {

TEST(Counted, OneIsNotMany) {
  EXPECT_EQ(counted(0, "step"), "0 steps");
  EXPECT_EQ(counted(1, "step"), "1 step");
  EXPECT_EQ(counted(-1, "step"), "-1 steps");
  EXPECT_EQ(counted(12, "step"), "12 steps");
  EXPECT_EQ(counted(1, "microbatch", "microbatches"), "1 microbatch");
  EXPECT_EQ(noun_for(1, "belongs", "belong"), "belongs");
  EXPECT_EQ(noun_for(1500, "row"), "rows");
  EXPECT_EQ(counted(3, "microbatch", "microbatches"), "3 microbatches");
}

}  // namespace
}  // namespace automodel
