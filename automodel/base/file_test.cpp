#include "automodel/base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/testing.h"

namespace automodel {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() : folder_(fs::temp_directory_path() / ("automodel_file_test_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Files() override { fs::remove_all(folder_); }
  fs::path folder_;
};

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST_F(Files, AreReadWholeAndBounded) {
  const auto path = folder_ / "a";
  write_file_atomically(path, std::string("x\0y\n", 4));
  EXPECT_EQ(read_file(path), std::string("x\0y\n", 4));
  EXPECT_EQ(MappedFile(path).text(), std::string("x\0y\n", 4));
  EXPECT_NO_THROW(read_file(path, 4));
  EXPECT_THROW(read_file(path, 3), SystemError);
  EXPECT_NE(read_file("/proc/self/status"), "");            // says size 0
  EXPECT_THROW(read_file("/dev/zero", 1000), SystemError);  // never ends
  write_file_atomically(path, "");
  EXPECT_EQ(read_file(path), "");
  EXPECT_EQ(MappedFile(path).bytes().size(), 0u);
}

TEST_F(Files, ThatAreNotThereOrAreFoldersAreNamed) {
  const auto missing = message_of([&] { read_file(folder_ / "none"); });
  EXPECT_NE(missing.find((folder_ / "none").string()), std::string::npos) << missing;
  EXPECT_NE(missing.find("No such file"), std::string::npos) << missing;
  EXPECT_NE(message_of([&] { read_file(folder_); }).find("is a folder"), std::string::npos);
  EXPECT_NE(message_of([&] { MappedFile{folder_}; }).find("is a folder"), std::string::npos);
}

TEST_F(Files, AreReplacedAtomicallyAndLeaveNothingBehind) {
  const auto path = folder_ / "a";
  write_file_atomically(path, "old");
  const std::ifstream reader(path);  // one who opened it before
  write_file_atomically(path, "new and longer");
  std::string seen(std::istreambuf_iterator<char>(reader.rdbuf()), {});
  EXPECT_EQ(seen, "old");
  EXPECT_EQ(read_file(path), "new and longer");
  EXPECT_EQ(files_in(folder_), 1u);
  fs::create_directories(folder_ / "taken" / "full");
  EXPECT_THROW(write_file_atomically(folder_ / "taken", "x"),
               SystemError);  // a folder that is not empty cannot be replaced
  EXPECT_EQ(files_in(folder_), 2u);
}

TEST_F(Files, ThatWereNotClosedAreRemoved) {
  {
    FileWriter writer(folder_ / "half");
    writer.write("half");
  }
  EXPECT_FALSE(fs::exists(folder_ / "half"));
  FileWriter writer(folder_ / "whole");
  writer.write("who"), writer.write("le");
  writer.close();
  EXPECT_EQ(read_file(folder_ / "whole"), "whole");
}

TEST_F(Files, OnAFullDiskSaySo) {
  const auto said = message_of([] { LineWriter("/dev/full").append("line"); });
  EXPECT_NE(said.find("/dev/full"), std::string::npos) << said;
  EXPECT_NE(said.find("No space left"), std::string::npos) << said;
  EXPECT_NE(said.find("hint: free some space"), std::string::npos) << said;
  EXPECT_THROW(FileWriter("/dev/full").write("x"), SystemError);
  EXPECT_TRUE(fs::exists("/dev/full"));  // a device is not removed with its writer
}

TEST_F(Files, LinesAreAppendedWhole) {
  const auto path = folder_ / "lines";
  LineWriter writer(path);
  writer.append("one");
  EXPECT_EQ(read_file(path), "one\n");  // before the writer is closed
  LineWriter(path).append("two");
  writer.append("three");
  EXPECT_EQ(read_file(path), "one\ntwo\nthree\n");
}

// The limit on the size of a file stands for the full disk: the kernel takes the part that fits.
TEST_F(Files, ALineThatDoesNotFitLeavesNoPartBehind) {
  const auto path = folder_ / "lines";
  LineWriter writer(path);
  writer.append("one");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto said = message_of([&] { writer.append("more than the disk holds"); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(said.find("cannot be written"), std::string::npos) << said;
  EXPECT_EQ(read_file(path), "one\n");
  writer.append("two");
  EXPECT_EQ(read_file(path), "one\ntwo\n");
}

TEST_F(Files, FoldersAreMadeOrTheReasonIsSaid) {
  make_folders(folder_ / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
  EXPECT_NO_THROW(make_folders(folder_ / "a" / "b"));
  EXPECT_NO_THROW(sync_folder(folder_));
  EXPECT_THROW(sync_folder(folder_ / "none"), SystemError);
  write_file_atomically(folder_ / "file", "x");
  const auto said = message_of([&] { make_folders(folder_ / "file" / "below"); });
  EXPECT_NE(said.find((folder_ / "file" / "below").string()), std::string::npos) << said;
}

TEST(Json, NamesLineAndColumnOfWhatIsWrong) {
  EXPECT_EQ(message_of([] { parse_json("{\n \"a\": tru }", "f.json"); }).substr(0, 9), "f.json:2:");
  EXPECT_EQ(message_of([] { parse_json("[1,\n2", "rows.jsonl", 7); }).substr(0, 13), "rows.jsonl:8:");
  EXPECT_NE(message_of([] { parse_json("", "f.json"); }), "");
  EXPECT_NE(message_of([] { parse_json("1 2", "f.json"); }), "");
  EXPECT_NE(message_of([] { parse_json("\"\xFF\"", "f.json"); }), "");
}

TEST(Json, BoundsItsDepth) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(512), "f.json"));
  EXPECT_THROW(parse_json(nested(513), "f.json"), DataError);
  EXPECT_THROW(parse_json(std::string(10'000'000, '['), "f.json"), DataError);
  EXPECT_NO_THROW(parse_json("\"" + std::string(1000, '[') + "\"", "f.json"));        // within a string
  EXPECT_NO_THROW(parse_json("[\"\\\"" + std::string(1000, '[') + "\"]", "f.json"));  // behind an escaped quote
}

TEST(Json, KeepsTheOrderOfKeys) { EXPECT_EQ(parse_json(R"({"b": 1, "a": 2})", "f.json").dump(), R"({"b":1,"a":2})"); }

TEST(Errors, SayWhereWhatAndWhatToDo) {
  const ConfigError error("a.yaml:3: lr", "expected a number, got 'x'", "write 1e-4");
  EXPECT_STREQ(error.what(), "a.yaml:3: lr: expected a number, got 'x'\n  hint: write 1e-4");
  EXPECT_EQ(error.exit_code(), 2);
  EXPECT_EQ(error.message(), "a.yaml:3: lr: expected a number, got 'x'");
  EXPECT_EQ(error.hint(), "write 1e-4");
  const DataError quoting("f:1", "the template says\n  hint: none");  // no hint of the error's own
  EXPECT_EQ(quoting.message(), quoting.what());
  EXPECT_EQ(quoting.hint(), "");
  EXPECT_EQ(UnsupportedError("", "x").exit_code(), 3);
  EXPECT_EQ(DataError("f:1", "x").exit_code(), 1);
  EXPECT_STREQ(SystemError("", "plain").what(), "plain");
  EXPECT_THROW(AM_CHECK(1 > 2, "{} things", 3), CheckError);
  EXPECT_NO_THROW(AM_CHECK(2 > 1, "{} things", 3));
}

}  // namespace
}  // namespace automodel
