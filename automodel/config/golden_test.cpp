// The YAML loader held to PyYAML's safe_load, Python's ast.literal_eval and the YAML test suite.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/config/python_literal.h"
#include "automodel/config/yaml_scalar.h"
#include "automodel/config/yaml_tree.h"

namespace automodel::config {
namespace {

Json goldens() { return load_json(std::string(AUTOMODEL_SOURCE_DIR) + "/automodel/config/testdata/yaml_goldens.json"); }

// Our value in the goldens' form: [kind, content].
Json typed(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return {"null"};
    case Value::Kind::kBool:
      return {"bool", value.boolean};
    case Value::Kind::kInt:
      return {"int", fmt::to_string(value.integer)};
    case Value::Kind::kFloat:
      return {"float", value.number};
    case Value::Kind::kString:
      return {"str", value.text};
    case Value::Kind::kList: {
      Json items = Json::array();
      for (const Value& item : value.items) items.push_back(typed(item));
      return {"list", items};
    }
    case Value::Kind::kMap: {
      Json items = Json::array();
      for (const Entry& entry : value.entries) items.push_back({entry.key, typed(entry.value)});
      return {"dict", items};
    }
  }
  return nullptr;
}

double parse_hex(const std::string& text) { return text == "nan" ? NAN : std::strtod(text.c_str(), nullptr); }

// Equal, with floats bit for bit and dicts in any order (PyYAML puts merged keys first).
bool same(const Json& ours, const Json& golden) {
  if (golden[0] == "other") return ours[0] == "str";  // a date, or more than 64 bits
  if (ours[0] != golden[0]) return false;
  if (ours[0] == "float") {
    double a = ours[1], b = parse_hex(golden[1].get<std::string>());
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  }
  if (ours[0] == "list") {
    bool equal = ours[1].size() == golden[1].size();
    for (size_t k = 0; equal && k < ours[1].size(); ++k) equal = same(ours[1][k], golden[1][k]);
    return equal;
  }
  if (ours[0] == "dict") {
    bool equal = ours[1].size() == golden[1].size();
    for (const Json& item : golden[1]) {
      bool found = false;
      for (const Json& mine : ours[1]) found = found || (mine[0] == item[0] && same(mine[1], item[1]));
      equal = equal && found;
    }
    return equal;
  }
  return ours == golden;
}

TEST(YamlGoldens, PlainScalarsAreReadAsPyYaml) {
  int compared = 0;
  const Json all = goldens();
  for (const Json& item : all["scalars"]) {
    std::string text = item[0];
    if (item[1][0] == "error" || item[1][0] == "dict" || item[1][0] == "list") continue;
    Value value = resolve_plain_scalar(text);
    ++compared;
    // Dates and integers of more than 64 bits stay strings.
    bool equal = item[1][0] == "other" ? value.is_string() && value.text == text : same(typed(value), item[1]);
    EXPECT_TRUE(equal) << text << ": ours " << typed(value) << ", PyYAML " << item[1];
  }
  EXPECT_GT(compared, 120);
}

TEST(YamlGoldens, StringsAreTranslatedAsNemoDoes) {
  int compared = 0;
  const Json all = goldens();
  for (const Json& item : all["literals"]) {
    std::string text = item[0];
    Value value = translate_value(text);
    ++compared;
    if (item[1][0] == "other") {  // sets become lists; complex numbers and bytes stay text
      EXPECT_TRUE(value.is_list() || value.text == text) << text;
      continue;
    }
    EXPECT_TRUE(same(typed(value), item[1])) << text << ": ours " << typed(value) << ", Python " << item[1];
  }
  EXPECT_GT(compared, 150);
}

TEST(YamlGoldens, DocumentsAreReadAsPyYaml) {
  const Json all = goldens();
  EXPECT_GT(all["trees"].size(), 10u);
  for (const Json& item : all["trees"]) {
    Value value = parse_plain_yaml(item[0].get<std::string>(), "test");
    EXPECT_TRUE(same(typed(value), item[1])) << item[0] << ": ours " << typed(value) << ", PyYAML " << item[1];
  }
}

TEST(YamlGoldens, PrintedValuesAreReadBack) {
  Environment none = [](const std::string&) { return std::nullopt; };
  const Json all = goldens();
  int compared = 0;
  for (const char* part : {"scalars", "literals"}) {
    for (const Json& item : all[part]) {
      std::string text = item[0];
      for (Value value : {resolve_plain_scalar(text), translate_value(text), Value::of(text)}) {
        // A number that Python holds in more than 64 bits is text here, which cannot be written so that Python reads
        // text.
        if (value.is_string() && value.text.find('$') != std::string::npos) continue;
        std::string yaml = "k: " + to_yaml(value) + "\n";
        Value back = parse_yaml(yaml, "test", none);
        ASSERT_EQ(back.entries.size(), 1u) << yaml;
        EXPECT_EQ(typed(back.entries[0].value).dump(), typed(value).dump()) << yaml;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 500);
}

// Every case of the YAML test suite ends in a value or a ConfigError; so does each with its end cut off.
TEST(YamlTestSuite, NeverCrashes) {
  const char* assets = std::getenv("AUTOMODEL_ASSETS");
  if (!assets) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: formats/yaml-test-suite";
  int files = 0, read = 0, refused = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::string(assets) + "/formats/yaml-test-suite")) {
    std::string text = read_file(file.path());
    ++files;
    for (size_t size = text.size(); size > 0; size = size * 2 / 3) {
      for (const std::string& document : {text.substr(0, size), text.substr(text.size() - size)}) {
        try {
          parse_yaml(document, "case", [](const std::string&) { return std::nullopt; });
          ++read;
        } catch (const ConfigError& fault) {
          ++refused;
          EXPECT_NE(std::string(fault.what()).find("case"), std::string::npos) << fault.what();
        }
      }
    }
  }
  EXPECT_GT(files, 300);
  RecordProperty("read", read);
  RecordProperty("refused", refused);
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace automodel::config
