// Real recipe files: each goes through the check, and each mistyped key is found with its line.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/config/load_config.h"

namespace automodel::config {
namespace {

namespace fs = std::filesystem;

Environment no_environment() {
  return [](const std::string&) { return std::nullopt; };
}

std::vector<fs::path> yaml_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().extension() == ".yaml") files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

fs::path own_recipes() { return fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/config/testdata/recipes"; }

fs::path nemo_recipes() {
  const char* assets = std::getenv("AUTOMODEL_ASSETS");
  return assets ? fs::path(assets) / "automodel_yaml" : fs::path();
}

void collect(Value& value, std::vector<Entry*>& entries) {
  for (Entry& entry : value.entries) {
    entries.push_back(&entry);
    collect(entry.value, entries);
  }
  for (Value& item : value.items) collect(item, entries);
}

// One letter dropped, two swapped, one doubled.
std::vector<std::string> mistypings(const std::string& key, size_t seed) {
  size_t at = 1 + seed % std::max<size_t>(1, key.size() - 1);
  at = std::min(at, key.size() - 1);
  std::string dropped = key, swapped = key, doubled = key;
  dropped.erase(at, 1);
  std::swap(swapped[at], swapped[at - (at > 0)]);
  doubled.insert(at, 1, key[at]);
  std::vector<std::string> all = {dropped, swapped, doubled};
  std::erase(all, key);
  return all;
}

struct Tally {
  int files = 0, keys = 0, mistyped = 0, free_names = 0;
  std::map<int, int> exits;
  std::map<std::string, std::map<int, int>> exits_of_recipe;
  int classes[4] = {};
};

bool has_fault_in_line(const std::vector<Fault>& faults, int line) {
  return std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) { return fault.place.line == line; });
}

void mistype_every_key(const fs::path& file, Tally& tally) {
  Value root = load_yaml(file, no_environment());
  std::vector<Entry*> entries;
  collect(root, entries);
  for (size_t k = 0; k < entries.size(); ++k) {
    Entry& entry = *entries[k];
    ++tally.keys;
    if (entry.value.anchor_used && entry.key.starts_with('_')) {  // the name of an anchor's holder is the user's own
      ++tally.free_names;
      continue;
    }
    std::string key = entry.key;
    for (const std::string& wrong : mistypings(key, k)) {
      entry.key = wrong;
      Value copy = root;
      std::vector<Fault> faults;
      expand_short_forms(copy, faults);
      Findings findings = check_tree(copy);
      EXPECT_TRUE(has_fault_in_line(findings.faults, entry.place.line))
          << file.string() << ":" << entry.place.line << ": " << key << " mistyped as " << wrong << " was taken";
      ++tally.mistyped;
    }
    entry.key = key;
  }
}

void check_file(const fs::path& file, Tally& tally) {
  Capabilities can;
  can.hub = true;  // as the program has it: a model's Hub id is fine, and no network is used to see it
  Report report = check_config(file, {}, can, no_environment());
  ++tally.files;
  ++tally.exits[report.exit_code()];
  ++tally.exits_of_recipe[report.config.recipe.empty() ? "(none)" : report.config.recipe][report.exit_code()];
  for (const KeyNote& key : report.findings.keys) tally.classes[static_cast<int>(key.key_class)] += !key.is_section;
  bool has_recipe = report.root.find("recipe") != nullptr;
  if (has_recipe) {
    EXPECT_TRUE(report.exit_code() == 0 || report.exit_code() == 3) << report.text();
  } else {
    ASSERT_EQ(report.findings.faults.size(), 1u) << report.text();
    EXPECT_EQ(report.findings.faults[0].path, "recipe");
  }
  EXPECT_FALSE(report.text().empty());
  EXPECT_EQ(report.json()["exit_code"], report.exit_code());
  if (report.findings.faults.empty() && !report.config.model.path.empty()) {
    std::string yaml = effective_yaml(report.config);
    Report again = check_config(parse_yaml(yaml, "again", no_environment()), "again", Capabilities{});
    EXPECT_TRUE(again.findings.faults.empty()) << file << "\n" << again.text() << yaml;
    EXPECT_EQ(effective_yaml(again.config), yaml) << file;
  }
}

void print(const Tally& tally, const char* name) {
  std::cout << fmt::format("{}: {} files, exit 0: {}, 3: {}, 2: {}; keys: {} obeyed, {} mapped, {} inert, {} lacking\n",
                           name, tally.files, tally.exits.count(0) ? tally.exits.at(0) : 0,
                           tally.exits.count(3) ? tally.exits.at(3) : 0, tally.exits.count(2) ? tally.exits.at(2) : 0,
                           tally.classes[0], tally.classes[1], tally.classes[2], tally.classes[3]);
  for (const auto& [recipe, exits] : tally.exits_of_recipe) {
    for (auto [code, count] : exits) std::cout << fmt::format("  {:<16} exit {}: {}\n", recipe, code, count);
  }
}

TEST(OwnRecipes, AreCheckedAndMistypedKeysFound) {
  Tally tally;
  for (const fs::path& file : yaml_files(own_recipes())) {
    check_file(file, tally);
    mistype_every_key(file, tally);
  }
  print(tally, "own recipes");
  EXPECT_GE(tally.files, 5);
  EXPECT_GT(tally.mistyped, 300);
}

// Bytes changed at random: a report or a ConfigError, never anything else; and what is valid is printed so that it is
// valid.
TEST(OwnRecipes, SurviveRandomChanges) {
  std::mt19937 random(17);
  const std::string bytes = " \n:-[]{}'\"&*!|>#,$~0x1e\t%@<";
  int valid = 0, wrong = 0, refused = 0;
  for (const fs::path& file : yaml_files(own_recipes())) {
    const std::string text = read_file(file);
    for (int round = 0; round < 400; ++round) {
      std::string changed = text;
      for (uint32_t k = 0; k <= random() % 3; ++k) {
        size_t at = random() % changed.size();
        if (random() % 4 == 0) {
          changed.erase(at, random() % 9);
        } else {
          changed[at] = bytes[random() % bytes.size()];
        }
      }
      try {
        Report report = check_config(parse_yaml(changed, "f", no_environment()), "f", Capabilities{});
        EXPECT_FALSE(report.text().empty());
        (report.findings.faults.empty() ? valid : wrong) += 1;
        if (!report.findings.faults.empty() || report.config.model.path.empty()) continue;
        std::string yaml = effective_yaml(report.config);
        Report again = check_config(parse_yaml(yaml, "again", no_environment()), "again", Capabilities{});
        EXPECT_TRUE(again.findings.faults.empty()) << changed << "\n" << again.text() << yaml;
        EXPECT_EQ(effective_yaml(again.config), yaml);
      } catch (const ConfigError&) {
        ++refused;
      }
    }
  }
  std::cout << fmt::format("{} still valid, {} with mistakes, {} no YAML\n", valid, wrong, refused);
  EXPECT_GT(valid, 20);
  EXPECT_GT(wrong, 100);
  EXPECT_GT(refused, 100);
}

TEST(NemoRecipes, AllAreValidOrLacking) {
  if (nemo_recipes().empty()) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: automodel_yaml";
  Tally tally;
  for (const fs::path& file : yaml_files(nemo_recipes())) check_file(file, tally);
  print(tally, "NeMo AutoModel's recipes");
  EXPECT_EQ(tally.files, 315);
  EXPECT_EQ(tally.exits[2], 8);
  EXPECT_EQ(tally.exits[0] + tally.exits[3], 307);
}

TEST(NemoRecipes, EveryMistypedKeyIsAnErrorWithItsLine) {
  if (nemo_recipes().empty()) GTEST_SKIP() << "AUTOMODEL_ASSETS is not set: automodel_yaml";
  Tally tally;
  for (const fs::path& file : yaml_files(nemo_recipes())) mistype_every_key(file, tally);
  std::cout << fmt::format("{} keys, {} mistypings, all found; {} names of anchors' holders are free\n", tally.keys,
                           tally.mistyped, tally.free_names);
  EXPECT_GT(tally.keys, 10000);
  EXPECT_LE(tally.free_names, 1);
}

}  // namespace
}  // namespace automodel::config
