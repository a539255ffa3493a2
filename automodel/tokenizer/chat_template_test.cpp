// Renders against what jinja2 3.1.6, configured as transformers does, renders: testdata/templates.json (our own
// templates and the syntax suite) and, where the assets and the oracle are at hand, every template of the assets in the
// nine contexts.
#include "automodel/tokenizer/chat_template.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/tokenizer/continued_chat.h"

namespace automodel::tokenizer {

namespace {

RenderOptions golden_options() {
  RenderOptions options;
  std::tm now{};
  now.tm_year = 124, now.tm_mon = 6, now.tm_mday = 26, now.tm_hour = 12, now.tm_min = 34, now.tm_sec = 56;
  now.tm_wday = 5, now.tm_yday = 207, now.tm_isdst = -1;
  options.now = now;
  return options;
}

struct Outcome {
  Rendered rendered;
  std::string error;
};

// `field`: of the last message, which is left open; empty: none is.
Outcome render(const std::string& source, const Json& variables, const std::string& field) {
  try {
    const auto parsed = ChatTemplate::parse(source, "t");
    if (!field.empty()) return {render_continued(parsed, variables, field, golden_options()), ""};
    return {parsed.render(variables, golden_options()), ""};
  } catch (const DataError& error) {
    return {{}, error.what()};
  }
}

struct Counts {
  int same = 0, both_fail = 0, differ = 0, only_we_fail = 0, only_jinja_fails = 0;
  int all() const { return same + both_fail + differ + only_we_fail + only_jinja_fails; }
  std::string text() const {
    return fmt::format("{} cases: {} equal, {} fail in both, {} differ, {} fail only here, {} fail only in jinja2",
                       all(), same, both_fail, differ, only_we_fail, only_jinja_fails);
  }
};

// Compares every case whose name starts with `prefix`; `report` sees (name, what is wrong).
template <class Report>
Counts compare(const Json& data, const std::string& prefix, Report report) {
  Counts counts;
  for (const auto& one : data["cases"]) {
    const auto name = one["name"].get<std::string>();
    if (!name.starts_with(prefix)) continue;
    const auto source = data["sources"][one["source"].get<size_t>()].get<std::string>();
    const Outcome ours = render(source, data["contexts"][one["context"].get<size_t>()], one.value("continue", ""));
    if (one.contains("error")) {
      if (!ours.error.empty()) {
        ++counts.both_fail;
      } else {
        ++counts.only_jinja_fails;
        report(name, source,
               "jinja2 fails with " + one["error"].get<std::string>() + "\nwe render: " + ours.rendered.text);
      }
      continue;
    }
    const auto expected = one["text"].get<std::string>();
    std::vector<std::pair<size_t, size_t>> spans;
    for (const auto& span : one.value("generation", Json::array()))
      spans.emplace_back(span[0].get<size_t>(), span[1].get<size_t>());
    if (!ours.error.empty()) {
      ++counts.only_we_fail;
      report(name, source, "we fail with " + ours.error + "\njinja2 renders: " + expected);
    } else if (ours.rendered.text != expected || (one.contains("generation") && !ours.rendered.generation_misplaced &&
                                                  ours.rendered.generation != spans)) {
      ++counts.differ;
      report(name, source, "jinja2: " + expected + "\nours:   " + ours.rendered.text);
    } else {
      ++counts.same;
    }
  }
  return counts;
}

}  // namespace

TEST(ChatTemplate, EqualsJinja2OnOurTemplatesAndTheSyntaxSuite) {
  const Json data = load_json(AUTOMODEL_SOURCE_DIR "/automodel/tokenizer/testdata/templates.json");
  const Counts counts = compare(data, "", [](const auto& name, const auto& source, const auto& what) {
    ADD_FAILURE() << name << "\ntemplate: " << source << "\n" << what;
  });
  fmt::print("{}\n", counts.text());
  EXPECT_GT(counts.same, 250);
  EXPECT_GT(counts.both_fail, 150);
  EXPECT_GT(compare(data, "continued ", [](const auto&...) {}).same, 70);
}

TEST(ChatTemplate, EqualsJinja2OnEveryTemplateOfTheAssets) {
  const char *assets = std::getenv("AUTOMODEL_ASSETS"), *oracle = std::getenv("AUTOMODEL_ORACLES");
  if (!assets || !oracle) {
    GTEST_SKIP()
        << "skipped: the templates of the assets in nine contexts need AUTOMODEL_ASSETS (folder) and AUTOMODEL_ORACLES "
           "(a python with jinja2 and transformers)";
  }
  const char* cached = std::getenv("AUTOMODEL_TEMPLATE_RENDERS");  // what the tool wrote earlier
  const std::string path = cached ? cached : testing::TempDir() + "template_renders.json";
  if (!cached) {
    const auto command = fmt::format("'{}' '{}/tools/make_template_goldens.py' live '{}' '{}' >&2", oracle,
                                     AUTOMODEL_SOURCE_DIR, assets, path);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  const Json data = load_json(path);
  const auto report = [](const auto& name, const auto&, const auto& what) { ADD_FAILURE() << name << "\n" << what; };
  const Counts templates = compare(data, "template ", report);
  fmt::print("templates of the assets in nine contexts: {}\n", templates.text());
  const Counts continued = compare(data, "continued ", report);
  fmt::print("the same, continue_final_message: {}\n", continued.text());
  EXPECT_GT(continued.same, 0);
  std::string refused;
  const Counts suites = compare(data, "suite ", [&](const auto& name, const auto& source, const std::string& what) {
    if (what.starts_with("we fail"))
      refused += name + ": " + what.substr(0, what.find('\n')) + "\n";
    else
      ADD_FAILURE() << name << "\ntemplate: " << source << "\n" << what;
  });
  fmt::print("syntax suites of the assets: {}\n{}", suites.text(), refused);
  EXPECT_GT(templates.same, 0);
}

}  // namespace automodel::tokenizer
