#include "automodel/data/rows.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/resource.h>

#include <filesystem>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/data/split_slice.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<int> all(Rows& rows) {
  std::vector<int> values;
  for (int64_t i = 0; rows.has(i); ++i) values.push_back(rows.at(i).value["n"].get<int>());
  return values;
}

std::string numbers(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += "{\"n\": " + std::to_string(i) + "}\n";
  return text;
}

TEST(LineFile, ReadsRowsInAnyOrderAndSaysTheirLine) {
  const TemporaryFolder folder;
  const auto path = folder.write("a.jsonl", "\xEF\xBB\xBF{\"n\":0}\r\n\n  \n{\"n\":1}\n{\"n\":2}");
  const auto rows = open_rows({.paths = {path}});
  EXPECT_EQ(rows->at(2).where, path + ":5");
  EXPECT_EQ(rows->at(2).value["n"], 2);
  EXPECT_EQ(rows->at(0).where, path + ":1");
  EXPECT_EQ(rows->at(1).where, path + ":4");
  EXPECT_FALSE(rows->has(3));
  EXPECT_EQ(rows->size(), 3);
}

TEST(LineFile, AnyLinesComeBackWhole) {
  const TemporaryFolder folder;
  rc::check("rows of any length, with blank lines between", [&] {
    const auto lengths = *rc::gen::container<std::vector<size_t>>(rc::gen::weightedOneOf<size_t>(
        {{20, rc::gen::inRange<size_t>(0, 300)}, {1, rc::gen::inRange<size_t>(100000, 700000)}}));
    std::string text;
    std::vector<std::string> expected;
    for (const size_t length : lengths) {
      if (length == 0) {
        text += " \n";
        continue;
      }
      expected.push_back(std::string(length, static_cast<char>('a' + length % 26)));
      text += expected.back() + "\n";
    }
    if (!text.empty() && *rc::gen::arbitrary<bool>()) text.pop_back();
    const auto rows = open_file(folder.write("a.txt", text));
    for (size_t i = expected.size(); i-- > 0;)
      RC_ASSERT(rows->at(static_cast<int64_t>(i)).value["text"] == expected[i]);
    RC_ASSERT(rows->size() == static_cast<int64_t>(expected.size()));
  });
}

TEST(LineFile, FirstRowOfAHugeFileNeedsNeitherTimeNorMemory) {
  const TemporaryFolder folder;
  const auto path = folder.write("big.jsonl", numbers(0, 100000));
  fs::resize_file(path, int64_t{1} << 40);  // a sparse terabyte
  const auto rows = open_file(path);
  EXPECT_EQ(rows->at(7).value["n"], 7);
}

TEST(LineFile, AMalformedLineIsNamedByFileLineAndColumn) {
  const TemporaryFolder folder;
  const auto path = folder.write("a.jsonl", "{\"n\":0}\n{\"n\":,}\n[1]\n\"text\n{\"n\":\"\xff\"}\n");
  const auto rows = open_file(path);
  EXPECT_EQ(rows->at(0).value["n"], 0);
  EXPECT_THAT(message_of([&] { rows->at(1); }), HasSubstr(path + ":2:6: not valid JSON"));
  EXPECT_THAT(message_of([&] { rows->at(2); }), HasSubstr(path + ":3: expected a JSON object, got array"));
  EXPECT_THAT(message_of([&] { rows->at(3); }), HasSubstr(path + ":4:"));
  EXPECT_THAT(message_of([&] { rows->at(4); }), HasSubstr(path + ":5:"));
}

TEST(ArrayFile, ReadsListsAndObjectsOneAfterAnother) {
  const TemporaryFolder folder;
  const auto list = open_file(folder.write("a.json", "[\n {\"n\": 0, \"s\": \"]},\\\"{\"},\n\n {\"n\": 1}\n]\n"));
  EXPECT_THAT(all(*list), testing::ElementsAre(0, 1));
  EXPECT_THAT(list->at(1).where, testing::EndsWith("a.json:4"));
  EXPECT_THAT(all(*open_file(folder.write("b.json", numbers(0, 20)))), testing::SizeIs(20));
  EXPECT_THAT(all(*open_file(folder.write("c.json", "{\n\"n\": 5\n}"))), testing::ElementsAre(5));
  EXPECT_EQ(open_file(folder.write("d.json", " [ ] "))->size(), 0);
  EXPECT_EQ(open_file(folder.write("e.json", ""))->size(), 0);
}

TEST(ArrayFile, WhatIsNoListIsAnErrorWithItsLine) {
  const TemporaryFolder folder;
  const auto fails = [&](const std::string& text) {
    return message_of([&] { all(*open_file(folder.write("a.json", text))); });
  };
  EXPECT_THAT(fails("[{\"n\":0}\n{\"n\":1}]"), HasSubstr("a.json:2: not valid JSON: expected ',' or ']'"));
  EXPECT_THAT(fails("[{\"n\":0},\n"), HasSubstr("expected a record"));
  EXPECT_THAT(fails("[{\"n\":0}\n"), HasSubstr("does not end with ']'"));
  EXPECT_THAT(fails("[{\"n\":0}]\n\n x"), HasSubstr("a.json:3: not valid JSON: something follows"));
  EXPECT_THAT(fails("[\n{\"n\":{\"a\":\"}\"}"),
              HasSubstr("a.json:2: not valid JSON: the record that starts here does not end"));
  EXPECT_THAT(fails("[\n{\"n\":0},\n\n{\"n\":\n+}]"), HasSubstr("a.json:5:1: not valid JSON"));
  EXPECT_THAT(fails("[1]"), HasSubstr("expected a JSON object, got number"));
}

TEST(Split, TakesTheSlicesOfHuggingFaceDatasets) {
  const auto range = [](const std::string& split, int64_t rows) { return parse_split(split).at(0).range(rows); };
  using Range = std::pair<int64_t, int64_t>;
  EXPECT_EQ(range("train[:1000]", 50), Range(0, 50));
  EXPECT_EQ(range("train[1_0:20]", 50), Range(10, 20));
  EXPECT_EQ(range("train[-10:]", 50), Range(40, 50));
  EXPECT_EQ(range("train[:-10]", 50), Range(0, 40));
  EXPECT_EQ(range("train[10%:20%]", 999), Range(100, 200));
  EXPECT_EQ(range("[50%:]", 5), Range(2, 5));       // 2.5 rounds to even
  EXPECT_EQ(range("train[:50%]", 7), Range(0, 4));  // 3.5 rounds to even
  EXPECT_EQ(range("train[30:20]", 50), Range(30, 30));
  for (const auto* wrong :
       {"train[5]", "train[", "train[:5", "train[a:]", "train[:200%]", "tr ain", "train+", "train[::2]"})
    EXPECT_THROW(parse_split(wrong), ConfigError) << wrong;
}

TEST(Rows, SlicesLimitsAndSumsOfSplitsAreTaken) {
  const TemporaryFolder folder;
  folder.write("data/train-00000-of-00002.jsonl", numbers(0, 10));
  folder.write("data/train-00001-of-00002.jsonl", numbers(10, 20));
  folder.write("dev.json", "[{\"n\": 100}, {\"n\": 101}]");
  folder.write("dataset_info.json", "{}");
  const auto read = [&](RowsOptions options) {
    options.paths = {folder.path().string()};
    const auto rows = open_rows(options);
    const auto values = all(*rows);
    EXPECT_EQ(rows->size(), static_cast<int64_t>(values.size()));
    return values;
  };
  EXPECT_THAT(read({}), testing::SizeIs(20));
  EXPECT_THAT(read({.split = "train[8:12]"}), testing::ElementsAre(8, 9, 10, 11));
  EXPECT_THAT(read({.split = "train[90%:]"}), testing::ElementsAre(18, 19));
  EXPECT_THAT(read({.split = "train[:2]+validation"}), testing::ElementsAre(0, 1, 100, 101));
  EXPECT_THAT(read({.split = "train[3:]", .limit = 2}), testing::ElementsAre(3, 4));
  EXPECT_THAT(read({.split = "train", .limit = 0}), testing::IsEmpty());
  auto first = read({.split = "train[:50%]", .shuffle_seed = 7}),
       second = read({.split = "train[50%:]", .shuffle_seed = 7});
  EXPECT_THAT(first, testing::Not(testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)));
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(std::set<int>(first.begin(), first.end()).size(), 20u);
  EXPECT_THAT(message_of([&] { read({.split = "test"}); }), HasSubstr("splits: train)"));
  EXPECT_THAT(message_of([&] { read({.split = "test"}); }),
              HasSubstr("holds no file of the split 'test' (data files there: data/train-00000"));
}

TEST(Rows, FilesNamedOneByOneAndPatternsAreReadInOrder) {
  const TemporaryFolder folder;
  const auto b = folder.write("b.jsonl", numbers(0, 2)), a = folder.write("a.jsonl", numbers(2, 4));
  EXPECT_THAT(all(*open_rows({.paths = {b, a}, .split = "train[1:3]"})), testing::ElementsAre(1, 2));
  EXPECT_THAT(all(*open_rows({.paths = {(folder.path() / "*.jsonl").string()}})), testing::ElementsAre(2, 3, 0, 1));
  EXPECT_EQ(open_rows({.paths = {b, a}})->at(3).index, 3);
}

// The answers of datasets 5.2 with data_files=..., but for the last three lines: it has no split validation there.
TEST(Rows, FilesNamedOneByOneHaveTheOneSplitTrain) {
  const TemporaryFolder folder;
  const auto a = folder.write("a.jsonl", numbers(0, 4)), validation = folder.write("validation.jsonl", numbers(4, 6));
  const auto pattern = (folder.path() / "*.jsonl").string();
  const auto fails = [](std::vector<std::string> paths, const std::string& split) {
    return message_of([&] { open_rows({.paths = std::move(paths), .split = split}); });
  };
  EXPECT_THAT(fails({"/dev/null"}, ""), HasSubstr("/dev/null: is no file"));
  EXPECT_THAT(all(*open_rows({.paths = {a}, .split = "train"})), testing::SizeIs(4));
  EXPECT_THAT(all(*open_rows({.paths = {a}, .split = "train[:25%]"})), testing::ElementsAre(0));
  EXPECT_THAT(all(*open_rows({.paths = {pattern}, .split = "all[3:5]"})), testing::ElementsAre(3, 4));
  EXPECT_THAT(all(*open_rows({.paths = {validation}, .split = "train"})), testing::SizeIs(2));
  for (const auto* split : {"test", "validation", "test[:2]", "foo", "train+test"}) {
    const auto error = fails({a}, split);
    EXPECT_THAT(error, HasSubstr("a.jsonl: is a single file and has no split '")) << split;
    EXPECT_THAT(error, HasSubstr("(splits: train)")) << split;
    EXPECT_THAT(fails({pattern}, split), HasSubstr("a.jsonl: is a single file and has no split '")) << split;
  }
  EXPECT_THAT(fails({validation, a}, "validation"), HasSubstr("a.jsonl: is a single file"));
  EXPECT_THAT(fails({validation}, "test"), HasSubstr("validation.jsonl: is a single file and has no split 'test'"));
  EXPECT_THAT(all(*open_rows({.paths = {validation}, .split = "validation"})), testing::ElementsAre(4, 5));
  EXPECT_THAT(all(*open_rows({.paths = {validation}, .split = "validation[1:]"})), testing::ElementsAre(5));
  EXPECT_THAT(all(*open_rows({.paths = {(folder.path() / "val*.jsonl").string()}, .split = "validation"})),
              testing::ElementsAre(4, 5));
}

// Which files a split is: by the card's configurations, else by the names of files and folders; other ones stay out.
TEST(Rows, SplitsAreTheFilesThatACardOrTheirNamesSay) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& place, const std::string& split, const std::string& name = "") {
    return all(*open_rows({.paths = {(folder.path() / place).string()}, .split = split, .name = name}));
  };
  for (int i = 0; i < 4; ++i) folder.write(fmt::format("card/part-{}.jsonl", i), numbers(10 * i, 10 * i + 2));
  folder.write("card/train.jsonl", numbers(90, 92));
  folder.write("card/README.md", R"(---
configs:
- config_name: pair
  default: true
  data_files:
  - split: train
    path: [part-2.jsonl, part-0.jsonl]
  - split: validation
    path: part-1.jsonl
- config_name: rest
  data_files: part-3.jsonl
---
)");
  EXPECT_THAT(read("card", "train"), testing::UnorderedElementsAre(20, 21, 0, 1));
  EXPECT_THAT(read("card", "validation"), testing::ElementsAre(10, 11));
  EXPECT_THAT(read("card", "train", "rest"), testing::ElementsAre(30, 31));
  EXPECT_THAT(read("card", "train+validation"), testing::SizeIs(6));
  EXPECT_THAT(message_of([&] { read("card", "validation", "rest"); }), HasSubstr("no file of the split 'validation'"));
  EXPECT_THAT(message_of([&] { read("card", "train", "none"); }), testing::AllOf(HasSubstr("pair"), HasSubstr("rest")));

  for (const char* name : {"train/a.jsonl", "train/b.jsonl", "dev/a.jsonl", "test-00000-of-00001.jsonl"})
    folder.write(std::string("names/") + name, numbers(0, 3));
  EXPECT_THAT(read("names", "train"), testing::SizeIs(6));
  EXPECT_THAT(read("names", "validation"), testing::SizeIs(3));
  EXPECT_THAT(read("names", "test[:1]"), testing::SizeIs(1));
}

// A split that will be read whole is asked for at once; a slice from the front may do with its first file.
TEST(Rows, WhatARepositoryCannotGiveIsAnErrorBeforeTheFirstRow) {
  struct Repo : DatasetRepo {
    FolderListing list() override { return {"org/set", {"train-0.jsonl", "train-1.jsonl", "test.jsonl"}, ""}; }
    std::string fetch(const std::string& file) override { throw DataError(file, "was fetched"); }
    void require(const std::vector<std::string>& files) override {
      throw DataError("org/set", fmt::format("{} files are not here", files.size()));
    }
  };
  const auto open = [&](const std::string& split, int64_t limit = -1) {
    open_rows({.paths = {"org/set"}, .split = split, .limit = limit, .hub = [](const std::string&, const std::string&) {
                 return std::make_shared<Repo>();
               }});
  };
  for (const char* whole : {"train", "train[50%:]"})
    EXPECT_THAT(message_of([&] { open(whole); }), HasSubstr("2 files are not here"));
  EXPECT_THAT(message_of([&] { open("test[:3]"); }), HasSubstr("1 files are not here"));
  EXPECT_NO_THROW(open("train[:3]"));
  EXPECT_NO_THROW(open("train", 3));
}

TEST(Rows, FilesOfAHubDataSetAreFetchedWhenTheyAreTouched) {
  const TemporaryFolder folder;
  struct Repo : DatasetRepo {
    fs::path root;
    std::vector<std::string> fetched;
    FolderListing list() override {
      return {"org/set", {"README.md", "data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"}, ""};
    }
    std::string fetch(const std::string& file) override {
      fetched.push_back(file);
      return (root / file).string();
    }
  };
  folder.write("data/train-00000-of-00002.jsonl", numbers(0, 3));
  folder.write("data/train-00001-of-00002.jsonl", numbers(3, 5));
  const auto repo = std::make_shared<Repo>();
  repo->root = folder.path();
  std::string asked;
  const auto hub = [&](const std::string& id, const std::string& revision) {
    asked = id + "@" + revision;
    return repo;
  };
  const auto rows = open_rows({.paths = {"org/set"}, .split = "train", .revision = "v2", .hub = hub});
  EXPECT_EQ(asked, "org/set@v2");
  EXPECT_EQ(rows->at(2).value["n"], 2);
  EXPECT_THAT(repo->fetched, testing::ElementsAre("data/train-00000-of-00002.jsonl"));
  EXPECT_THAT(all(*rows), testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(repo->fetched.size(), 2u);
}

TEST(Rows, WhatCannotBeReadIsRefusedByName) {
  const TemporaryFolder folder;
  EXPECT_THROW(open_rows({.paths = {folder.write("a.pdf", "x")}}), UnsupportedError);
  EXPECT_THROW(open_rows({.paths = {folder.write("a.jsonl.xz", "x")}}), UnsupportedError);
  const auto plain = folder.write("a.jsonl", numbers(0, 2));
  EXPECT_THAT(message_of([&] { open_rows({.paths = {plain}, .name = "main"}); }), HasSubstr("dataset.name: is 'main'"));
  EXPECT_THAT(message_of([&] { open_rows({.paths = {plain}, .revision = "v1"}); }),
              HasSubstr("dataset.revision: is 'v1'"));
  EXPECT_THAT(message_of([&] { open_rows({.paths = {folder.path().string()}, .name = "main"}); }),
              HasSubstr("has no configuration 'main'"));
  EXPECT_THAT(message_of([] { open_rows({.paths = {"rajpurkar/squad"}}); }),
              HasSubstr("a data set of the Hub cannot be fetched"));
  EXPECT_THAT(message_of([] { open_rows({.paths = {"/nowhere/train.jsonl"}}); }),
              HasSubstr("/nowhere/train.jsonl: there is no such file"));
  EXPECT_THROW(open_rows({.paths = {(folder.path() / "*.none").string()}}), DataError);
}

}  // namespace
}  // namespace automodel::data
