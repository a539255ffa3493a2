#include "automodel/config/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/config/overrides.h"

namespace automodel::config {
namespace {

using testing::HasSubstr;

std::optional<std::string> test_variable(const std::string& name) {
  if (name == "TOKEN") return "hunter2";
  if (name == "NUMBER") return "8";
  if (name == "DIR") return "/tmp/x";
  return std::nullopt;
}

Value parse(const std::string& text) { return parse_yaml(text, "f.yaml", test_variable); }

std::string fault_of(const std::string& text) {
  try {
    parse(text);
  } catch (const ConfigError& fault) {
    return fault.what();
  }
  return "no error";
}

TEST(YamlTree, KeepsLineAndColumnOfKeysAndValues) {
  Value root = parse("a:\n  b: 1\n  c:\n    - x\n    - y: 2\nd: [3,\n  4]\n");
  EXPECT_EQ(root.entries[0].place.line, 1);
  const Value& a = root.entries[0].value;
  EXPECT_EQ(a.entries[0].place.line, 2);
  EXPECT_EQ(a.entries[0].place.column, 3);
  EXPECT_EQ(a.entries[0].value.place.column, 6);
  EXPECT_EQ(root.at_path("a.c[1].y")->place.line, 5);
  EXPECT_EQ(root.at_path("d")->items[1].place.line, 7);
}

TEST(YamlTree, RefusesWhatIsNoRecipe) {
  EXPECT_THAT(fault_of("a: 1\nb: 2\na: 3\n"), AllOf(HasSubstr("f.yaml:3:1"), HasSubstr("a stands twice")));
  EXPECT_THAT(fault_of("a: [1, 2\n"), HasSubstr("f.yaml:"));
  EXPECT_THAT(fault_of("- a\n"), HasSubstr("expected a mapping of sections"));
  EXPECT_THAT(fault_of("a: 1\n---\nb: 2\n"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(fault_of("a: !!python/object/apply:os.system ['true']\n"), HasSubstr("unknown tag"));
  EXPECT_THAT(fault_of("a: !mine x\n"), HasSubstr("tag"));
  EXPECT_THAT(fault_of("a: *nowhere\n"), HasSubstr("f.yaml:1"));
  EXPECT_THAT(fault_of("a: &x [*x]\n"), HasSubstr("f.yaml:1"));
  EXPECT_THAT(fault_of("? [a, b]\n: c\n"), HasSubstr("a key must be a word"));
  EXPECT_THAT(fault_of("a: {<<: 3}\n"), HasSubstr("<<: takes"));
  EXPECT_THAT(fault_of("a: \xff\n"), HasSubstr("not UTF-8"));
}

TEST(YamlTree, BoundsDepthAndSize) {
  EXPECT_THAT(fault_of("a: " + std::string(200, '[') + std::string(200, ']')), HasSubstr("nested deeper"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int k = 1; k < 9; ++k) {
    std::string before = "*a" + std::to_string(k - 1);
    laughs += "a" + std::to_string(k) + ": &a" + std::to_string(k) + " [" + before;
    for (int n = 1; n < 10; ++n) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_THAT(fault_of(laughs), HasSubstr("more than 100000 values"));
  EXPECT_THAT(fault_of("a: " + std::string(kMaxFileBytes, 'x')), HasSubstr("larger than"));
}

TEST(YamlTree, EmptyFileIsAnEmptyRecipe) {
  EXPECT_TRUE(parse("").is_map());
  EXPECT_TRUE(parse("# nothing\n").entries.empty());
}

TEST(Interpolation, ReadsTheEnvironmentAndKeepsWhatWasWritten) {
  Value root = parse(
      "a: ${NUMBER}\nb: ${oc.env:DIR}/logs\nc: ${NOT_SET,7}\nd: ${oc.env:NOT_SET,/tmp}\ne: $TOKEN\nf: ${NOT_SET}\n"
      "g: costs 5$ or $ 3\nh: '${TOKEN}'\n");
  EXPECT_EQ(root.find("a")->integer, 8);
  EXPECT_EQ(root.find("b")->text, "/tmp/x/logs");
  EXPECT_EQ(root.find("c")->integer, 7);
  EXPECT_EQ(root.find("d")->text, "/tmp");
  EXPECT_EQ(root.find("e")->text, "hunter2");
  EXPECT_EQ(root.find("f")->missing, "NOT_SET");
  EXPECT_EQ(root.find("g")->text, "costs 5$ or $ 3");
  EXPECT_EQ(to_yaml(*root.find("e")), "\"$TOKEN\"");
  EXPECT_EQ(to_yaml(*root.find("h")), "\"${TOKEN}\"");
  EXPECT_EQ(to_yaml(root).find("hunter2"), std::string::npos);
}

TEST(Redaction, HidesSecretsButNotTokenizers) {
  for (const char* key :
       {"hf_token", "token", "api_key", "apikey", "password", "client_secret", "auth", "wandb_key", "a.hf_token"}) {
    EXPECT_TRUE(is_secret_key(key)) << key;
    EXPECT_EQ(to_printable(key, Value::of(std::string("hunter2"))), "'***'") << key;
  }
  for (const char* key : {"tokenizer", "tokenizer_name", "bos_token_id", "mask_token_id", "max_new_tokens",
                          "add_bos_token", "num_tokens", "author", "bos_token"}) {
    EXPECT_FALSE(is_secret_key(key)) << key;
  }
  EXPECT_EQ(to_printable("hf_token", Value::null()), "null");
}

TEST(Overrides, AreReadInEveryForm) {
  auto found = parse_overrides({"--a.b=1=2", "--c", "-1", "--d", "--e.f", "x y"});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].path, "a.b");
  EXPECT_EQ(found[0].text, "1=2");
  EXPECT_EQ(found[1].text, "-1");
  EXPECT_TRUE(found[2].bare);
  EXPECT_EQ(found[3].text, "x y");
  EXPECT_THROW(parse_overrides({"stray"}), ConfigError);
  EXPECT_THROW(parse_overrides({"--a..b", "1"}), ConfigError);
}

TEST(Overrides, AreTypedAsNemoDoes) {
  Value root = parse("a: {b: 1}\nlist: [1, 2]\n");
  apply_overrides(root,
                  parse_overrides({"--a.b=None", "--a.c", "null", "--x.y.z", "1e-5", "--flag", "--l", "[1,'a']",
                                   "--m={'k': True}", "--a.c2=true", "--a.c2=False", "--p._target_", "None"}),
                  test_variable);
  EXPECT_TRUE(root.at_path("a.b")->is_null());
  EXPECT_EQ(root.at_path("a.c")->text, "null");
  EXPECT_TRUE(root.at_path("a.c")->is_string());
  EXPECT_EQ(root.at_path("x.y.z")->number, 1e-5);
  EXPECT_TRUE(root.at_path("flag")->boolean);
  EXPECT_EQ(root.at_path("l")->items[1].text, "a");
  EXPECT_TRUE(root.at_path("m.k")->boolean);
  EXPECT_FALSE(root.at_path("a.c2")->boolean);
  EXPECT_TRUE(root.at_path("p._target_")->is_string());
  EXPECT_EQ(root.at_path("a.b")->place.line, 0);
  EXPECT_THROW(apply_overrides(root, parse_overrides({"--list.0=1"}), test_variable), ConfigError);
}

}  // namespace
}  // namespace automodel::config
