// doctor: what this machine has, and on one without a GPU what it could have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::string notes_of(const Json& report) { return join(report.at("notes").get<std::vector<std::string>>(), "\n"); }

TEST(Doctor, TellsTheSameAsTextAndAsJson) {
  const auto text = text_of({"doctor"}, {"libtorch", "threads", "device", "kernels", "cuda_runtime   13.0"});
  const auto report = json_of({"doctor", "--json"});
  EXPECT_EQ(report.at("threads"), 1);
  for (const auto& [key, value] : report.items())
    if (key != "notes") EXPECT_THAT("\n" + text, HasSubstr("\n" + key)) << value;
  for (const auto& note : report.at("notes")) EXPECT_THAT(text, HasSubstr("note: " + note.get<std::string>() + "\n"));
  EXPECT_TRUE(report.at("notes").empty() == (text.find("nothing is missing") != text.npos));
}

// With or without a driver: what kernels and libraries there are, and how those come that are not.
TEST(Doctor, KnowsKernelsAndLibrariesWithoutADriver) {
  const auto report = json_of({"doctor", "--json"});
  const auto library = fs::path(binary()).parent_path().parent_path() / "lib/libautomodel_cuda.so";
  if (fs::exists(library)) {
    EXPECT_THAT(report.at("kernels").get<std::string>(), testing::MatchesRegex(library.string() + " for [0-9a ]+"));
    const auto built_with = report.at("built_with").get<std::string>();
    EXPECT_THAT(built_with, HasSubstr("nvcc 13."));
    EXPECT_EQ(built_with.find("cuDNN") == built_with.npos,
              notes_of(report).find("built without cuDNN") != std::string::npos);
  }
  for (const char* name : {"cuda_runtime", "cublas_lt", "cudnn", "nccl"}) {
    const auto version = report.at(name).get<std::string>();
    if (version == "none")
      EXPECT_THAT(notes_of(report), AllOf(HasSubstr(std::string(name) + " ("), HasSubstr("tools/setup --cuda")));
    else
      EXPECT_THAT(version, testing::MatchesRegex("[0-9]+\\.[0-9.]+ \\(/.*\\)"));
  }
  if (report.at("gpu_driver") == "none") EXPECT_THAT(notes_of(report), HasSubstr("no NVIDIA driver is installed"));
}

// A folder of LD_LIBRARY_PATH goes before the wheels.
TEST(Doctor, SaysWhyALibraryCannotBeLoaded) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "libcudnn.so.9", "no library");
  const auto report = json_of({"doctor", "--json"}, {.environment = {{"LD_LIBRARY_PATH", folder.path().string()}}});
  EXPECT_EQ(report.at("device"), "cpu");
  if (report.at("cudnn") == "none") EXPECT_THAT(notes_of(report), HasSubstr("needed on a GPU: cudnn ("));
  EXPECT_THAT(notes_of(report), AllOf(HasSubstr("libcudnn.so.9: file too short"), HasSubstr("tools/setup --cuda")));
}

TEST(Doctor, SaysHowKernelsAreBuiltWhereThereAreNone) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "bin");
  const auto alone = folder / "bin/automodel";
  fs::copy_file(binary(), alone);
  const auto finished = run({"doctor", "--json"}, {}, alone.string());
  expect_success(finished);
  const auto report = parse_json(finished.out, "report");
  EXPECT_EQ(report.at("kernels"), "none");
  EXPECT_THAT(notes_of(report), AllOf(HasSubstr((folder / "lib/libautomodel_cuda.so").string()),
                                      HasSubstr("run `tools/setup --cuda`, then `cmake --preset cuda")));
}

}  // namespace
}  // namespace automodel::program
