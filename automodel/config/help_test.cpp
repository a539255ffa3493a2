#include "automodel/config/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"

namespace automodel::config {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Help, ListsEveryKnob) {
  std::string text = config_help();
  EXPECT_THAT(text, AllOf(HasSubstr("global_batch_size"), HasSubstr("default 32"), HasSubstr("lr_wsd_decay_style")));
  EXPECT_THAT(config_help("optimizer"), AllOf(HasSubstr("master_weights"), Not(HasSubstr("global_batch_size"))));
  EXPECT_THROW(config_help("optimiser"), ConfigError);
  std::string page = config_markdown();
  EXPECT_THAT(page, AllOf(HasSubstr("## `optimizer`"), HasSubstr("| `rng` |"), HasSubstr("MaskedCrossEntropy")));
}

}  // namespace
}  // namespace automodel::config
