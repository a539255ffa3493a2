#include "automodel/metrics/event_file.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/testing.h"
#include "automodel/metrics/event_reader_test.h"

namespace automodel::metrics {
namespace {

const char* const kGoldenFolder = AUTOMODEL_SOURCE_DIR "/automodel/metrics/testdata/tensorboard";

Json by_tag(const std::filesystem::path& folder) {
  Json tags = Json::object();
  for (const auto& scalar : load_scalars(folder))
    tags[scalar.tag].push_back({scalar.step, static_cast<double>(scalar.value)});
  return tags;
}

std::filesystem::path write_run(const std::filesystem::path& folder) {
  {
    EventFile events(folder, 0, 1.7e9);
    for (int step = 0; step < 12; ++step)
      events.add(step, 1.7e9 + step, {{"train/loss", 2.5 / (step + 1)}, {"train/lr", 1e-5 * step}});
  }
  EventFile resumed(folder, 8, 1.7e9);  // in the same second, from step 8
  for (int step = 8; step < 300; ++step) resumed.add(step, 1.7e9 + step, {{"train/loss", 1.0 / (step + 1)}});
  return resumed.path();
}

TEST(EventFile, WhatTensorBoardWroteIsReadAsTensorBoardReadsIt) {
  EXPECT_EQ(by_tag(kGoldenFolder), load_json(std::string(kGoldenFolder) + "/scalars.json"));
}

TEST(EventFile, AResumedRunContinuesInAFurtherFileThatSortsLater) {
  const TemporaryFolder folder;
  const auto last = write_run(folder);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) EXPECT_LE(entry.path().string(), last.string());
  const Json tags = by_tag(folder);
  ASSERT_EQ(tags["train/loss"].size(), 300u);
  for (int step = 0; step < 300; ++step) {
    EXPECT_EQ(tags["train/loss"][step][0], step);
    EXPECT_FLOAT_EQ(tags["train/loss"][step][1].get<float>(),
                    step < 8 ? 2.5f / static_cast<float>(step + 1) : 1.0f / static_cast<float>(step + 1));
  }
  EXPECT_EQ(tags["train/lr"].size(), 8u);  // what was made again holds no lr
}

TEST(EventFile, TensorBoardReadsWhatWeWriteAsWeDo) {
  const char* python = std::getenv("AUTOMODEL_ORACLES");
  if (!python) GTEST_SKIP() << "AUTOMODEL_ORACLES (a python with tensorboard) is not set";
  const TemporaryFolder folder, output;
  write_run(folder);
  const std::string command = std::string(python) + " " AUTOMODEL_SOURCE_DIR "/tools/make_metrics_goldens.py --read " +
                              std::filesystem::path(folder).string() + " >" + (output / "read.json").string() + " 2>" +
                              (output / "errors").string();
  ASSERT_EQ(std::system(command.c_str()), 0) << read_file(output / "errors");
  EXPECT_EQ(by_tag(folder), load_json(output / "read.json"));
}

TEST(EventFile, DamageIsFoundAndATornEndIsNone) {
  const TemporaryFolder folder;
  const auto file = write_run(folder);
  const std::string whole = read_file(file);
  const size_t count = load_scalars(folder).size();
  write_file_atomically(file, whole.substr(0, whole.size() - 5));
  EXPECT_EQ(load_scalars(folder).size(), count - 1);
  for (const size_t at : {size_t{0}, size_t{9}, size_t{20}, whole.size() / 2, whole.size() - 1}) {
    std::string bad = whole;
    bad[at] ^= 1;
    write_file_atomically(file, bad);
    EXPECT_THROW(load_scalars(folder), DataError) << at;
  }
}

TEST(EventFile, AFolderThatCannotBeMadeIsAnError) {
  const TemporaryFolder folder;
  folder.write("file", "");
  EXPECT_THROW(EventFile(folder / "file", 0, 1), SystemError);
}

}  // namespace
}  // namespace automodel::metrics
