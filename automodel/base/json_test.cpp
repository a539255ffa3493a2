// JSON read from outside: each fault is a DataError with its place.
#include "automodel/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"

namespace automodel {
namespace {

std::string fault_of(const std::string& text) {
  try {
    parse_json(text, "f");
  } catch (const DataError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Json, ANumberThatIsTooLargeIsNamedWithItsPlace) {
  EXPECT_EQ(fault_of("{\"a\": 1,\n \"b\": 1e999}"), "f:2:7: the number 1e999 is too large");
  EXPECT_EQ(fault_of("400157447e28276654"), "f:1:1: the number 400157447e28276654 is too large");
  EXPECT_EQ(parse_json("1e308", "f"), 1e308);
}

TEST(Json, FaultsOfFormHaveTheirPlace) {
  EXPECT_THAT(fault_of("{\"a\": }"), testing::StartsWith("f:1:7: not valid JSON"));
  EXPECT_THAT(fault_of(std::string(600, '[')), testing::HasSubstr("nested deeper than 512"));
}

}  // namespace
}  // namespace automodel
