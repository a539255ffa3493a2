#include "automodel/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace automodel {
namespace {

uint32_t sum(const std::string& data) { return crc32c(0, data.data(), data.size()); }

TEST(Crc32c, IsThatOfRfc3720) {
  // RFC 3720, appendix B.4
  EXPECT_EQ(sum("123456789"), 0xe3069283u);
  EXPECT_EQ(sum(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(sum(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32c, GoesOnWhereItStopped) {
  const std::string text = "a text longer than one word of eight bytes";
  for (size_t cut = 0; cut <= text.size(); ++cut)
    EXPECT_EQ(crc32c(sum(text.substr(0, cut)), text.data() + cut, text.size() - cut), sum(text)) << cut;
}

}  // namespace
}  // namespace automodel
