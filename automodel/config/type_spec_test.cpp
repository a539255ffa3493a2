#include "automodel/config/type_spec.h"

#include <gtest/gtest.h>

#include "automodel/config/python_literal.h"
#include "automodel/config/schema.h"

namespace automodel::config {
namespace {

bool fits(const char* spec, const char* text) { return match_type(spec, translate_value(text)).has_value(); }

TEST(TypeSpec, HoldsRangesAndWords) {
  EXPECT_TRUE(fits("int[1,]", "1"));
  EXPECT_FALSE(fits("int[1,]", "0"));
  EXPECT_FALSE(fits("int", "1.0"));
  EXPECT_FALSE(fits("int", "True"));
  EXPECT_TRUE(fits("float(0,1]", "1"));
  EXPECT_FALSE(fits("float(0,1]", "0"));
  EXPECT_FALSE(fits("float[0,1)", "1"));
  EXPECT_FALSE(fits("float", "bf16"));
  EXPECT_TRUE(fits("int|null", "none"));
  EXPECT_TRUE(fits("=-100", "-100"));
  EXPECT_TRUE(fits("bool|=full", "full"));
  EXPECT_FALSE(fits("bool|=full", "ful"));
  EXPECT_FALSE(fits("=true", "1"));
  EXPECT_TRUE(fits("list<string|int[1,64]>", "['SIGTERM', 10]"));
  EXPECT_FALSE(fits("list<string>", "[1]"));
  EXPECT_FALSE(fits("string", "12"));
  EXPECT_TRUE(fits("text", "12"));
}

TEST(TypeSpec, GivesValuesAsTheirOwnerTakesThem) {
  EXPECT_EQ(match_type("float", translate_value("3"))->number, 3.0);
  EXPECT_EQ(match_type("dtype", translate_value("torch.bfloat16"))->text, "bfloat16");
  EXPECT_EQ(match_type("dtype", translate_value("fp32"))->text, "float32");
  EXPECT_FALSE(match_type("dtype", translate_value("int8")));
  EXPECT_EQ(match_type("dtype<float32|bfloat16>|=auto", translate_value("bf16"))->text, "bfloat16");
  EXPECT_TRUE(fits("dtype<float32|bfloat16>|=auto", "auto"));
  EXPECT_FALSE(fits("dtype<float32|bfloat16>", "float16"));
  EXPECT_FALSE(fits("dtype<float32|bfloat16>", "int8"));
  EXPECT_EQ(match_type("text", translate_value("007")).value().text, "007");
}

TEST(TypeSpec, SaysWhatIsExpected) {
  EXPECT_EQ(type_in_words("int[1,]|null"), "an integer of at least 1, or None");
  EXPECT_EQ(type_in_words("float(0,1]"), "a number above 0 and at most 1");
  EXPECT_EQ(type_in_words("=a|=b"), "one of a, b");
  EXPECT_EQ(type_in_words("bool|=full"), "full, or true or false");
  EXPECT_EQ(type_in_words("dtype"), "a dtype (float32, bfloat16, float16 or float64)");
  EXPECT_EQ(type_in_words("dtype<float32|bfloat16>|null"), "a dtype (float32 or bfloat16), or None");
}

// Every spec of the tables can be parsed, and every knob's default fits its own type.
TEST(Schema, TypesAndDefaultsFit) {
  int knobs = 0;
  for (const auto& [path, spec] : Schema::get().all()) {
    if (spec.type.empty()) continue;
    EXPECT_NO_THROW(type_in_words(spec.type)) << path;
    EXPECT_NO_THROW(match_type(spec.type, Value::of(int64_t{1}))) << path;
    if (!spec.is_knob) continue;
    ++knobs;
    bool unset = spec.default_text == "null" || spec.default_text == "[]";
    EXPECT_TRUE(unset || match_type(spec.type, translate_value(spec.default_text)))
        << path << ": " << spec.default_text;
    EXPECT_TRUE(!spec.meaning.empty() || !spec.alias_of.empty()) << path;
  }
  EXPECT_GT(knobs, 100);
}

}  // namespace
}  // namespace automodel::config
