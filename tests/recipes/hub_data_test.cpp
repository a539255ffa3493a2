// Data sets by their Hub id, from the command line to the losses, against a small Hub on this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/net/test_hub_server.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {
namespace fs = std::filesystem;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

constexpr auto kCard = R"(---
license: apache-2.0
configs:
- config_name: short
  default: true
  data_files:
  - split: train
    path: short/part-*.jsonl
  - split: validation
    path: [short/held-out.jsonl]
- config_name: long
  data_files: long/*.jsonl
- config_name: gone
  data_files: gone/*.jsonl
---
# Chats
)";

class HubData : public testing::Test {
 protected:
  HubData() : repo_(server_.folder / "repos/datasets/org/chats") {
    for (const char* part : {"short", "long"}) fs::create_directories(repo_ / part);
    write_file_atomically(repo_ / "README.md", kCard);
    write_file_atomically(server_.folder / "repos/repos.json", R"({"datasets/org/closed": {"gated": true}})");
    write_chats(repo_ / "short/part-0.jsonl", 7);
    write_chats(repo_ / "short/part-1.jsonl", 13, 7);
    write_chats(repo_ / "short/held-out.jsonl", 4, 30);
    write_chats(repo_ / "long/all.jsonl", 50);
    config_ = write_run(folder_.path());
  }

  Setting setting(bool offline = false) const {
    Setting setting;
    setting.environment = {{"HF_ENDPOINT", "http://127.0.0.1:" + std::to_string(offline ? 1 : server_.hub_port)},
                           {"HF_HOME", (folder_ / "home").string()},
                           {"HF_HUB_OFFLINE", offline ? "1" : "0"},
                           {"HF_TOKEN", ""}};
    return setting;
  }
  Arguments from_hub(const std::string& id, const Arguments& more = {}) const {
    Arguments all = {config_.string(), "--dataset.path_or_dataset_id", id};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // Where the first rows come from, and how many there are.
  Json look(const Arguments& of_run, bool offline = false) const {
    Arguments all = {"data"};
    all.insert(all.end(), of_run.begin(), of_run.end());
    all.insert(all.end(), {"--json", "--n", "100"});
    return json_of(all, setting(offline));
  }
  std::vector<std::string> fetched() const {
    std::vector<std::string> names;
    const fs::path snapshots = folder_ / "home/hub/datasets--org--chats/snapshots";
    if (fs::exists(snapshots))
      for (const auto& entry : fs::recursive_directory_iterator(snapshots))
        if (!entry.is_directory()) names.push_back(entry.path().filename().string());
    return names;
  }

  net::HubServer server_;
  TemporaryFolder folder_;
  fs::path repo_, config_;
};

TEST_F(HubData, TrainsAsTheSameRowsOnTheDiskAndAgainWithoutTheNetwork) {
  write_chats(folder_ / "same.jsonl", 12);
  write_chats(folder_ / "same_validation.jsonl", 3, 30);
  const std::string chat = "nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset";
  const auto train = [&](const std::string& data, const std::string& split, const std::string& validation,
                         const std::string& validation_split, const std::string& out, bool offline) {
    Arguments all = from_hub(
        data, {"--dataset.split", split, "--validation_dataset._target_", chat,
               "--validation_dataset.path_or_dataset_id", validation, "--validation_dataset.split", validation_split,
               "--validation_dataset.seq_length", "96", "--step_scheduler.val_every_steps", "3",
               "--step_scheduler.num_epochs", "2", "--checkpoint.checkpoint_dir", (folder_ / out).string()});
    return run(all, setting(offline));
  };
  expect_success(train((folder_ / "same.jsonl").string(), "train", (folder_ / "same_validation.jsonl").string(),
                       "validation", "local", true));
  expect_success(train("org/chats", "train[:12]", "org/chats", "validation[:75%]", "hub", false));
  EXPECT_EQ(steps_of(folder_ / "local").size(), 4u);
  EXPECT_EQ(steps_of(folder_ / "hub"), steps_of(folder_ / "local"));
  const auto validation = [&](const char* out) {
    return read_lines(folder_ / out / "validation.jsonl").at(0)["val_loss"];
  };
  EXPECT_EQ(validation("hub"), validation("local"));
  EXPECT_THAT(fetched(), testing::UnorderedElementsAre("README.md", "part-0.jsonl", "part-1.jsonl", "held-out.jsonl"));

  expect_success(train("org/chats", "train[:12]", "org/chats", "validation[:75%]", "offline", true));
  EXPECT_EQ(steps_of(folder_ / "offline"), steps_of(folder_ / "local"));
}

TEST_F(HubData, OfAConfigurationASliceARevisionAndAPrefixedId) {
  EXPECT_EQ(look(from_hub("org/chats"))["statistics"]["rows"], 20);
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.name", "long"}))["statistics"]["rows"], 50);
  const Json slice = look(from_hub("hf://datasets/org/chats", {"--dataset.split", "train[30%:50%]"}));
  EXPECT_EQ(slice["statistics"]["rows"], 4);
  EXPECT_THAT(slice["samples"][0]["where"].get<std::string>(), HasSubstr("part-0.jsonl:7"));
  EXPECT_THAT(slice["samples"][1]["where"].get<std::string>(), HasSubstr("part-1.jsonl:1"));
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.split", "train+validation"}))["statistics"]["rows"], 24);
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.split", "train+validation"}), true)["statistics"]["rows"], 24);

  fs::create_directories(repo_.string() + "@older");
  write_chats(repo_.string() + "@older/train.jsonl", 5);
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.revision", "older"}))["statistics"]["rows"], 5);
  EXPECT_EQ(look(from_hub("org/chats@older"))["statistics"]["rows"], 5);
  // As in NeMo AutoModel an unquoted none is no value; a revision of that name is quoted.
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.revision", "none"}))["statistics"]["rows"], 20);
  fs::create_directories(repo_.string() + "@none");
  write_chats(repo_.string() + "@none/train.jsonl", 6);
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.revision", "'none'"}))["statistics"]["rows"], 6);
}

TEST_F(HubData, WhatIsNotThereIsNamed) {
  const auto refused = [&](const std::string& id, const Arguments& more, const std::vector<std::string>& words,
                           bool offline = false) {
    const auto finished = run(from_hub(id, more), setting(offline));
    EXPECT_NE(finished.exit_code, 0);
    expect_error(finished, finished.exit_code, words);
    EXPECT_TRUE(read_lines(folder_ / "out/training.jsonl").empty());
  };
  refused("org/chats", {}, {"org/chats", "HF_HUB_OFFLINE"}, true);  // nothing is in the cache yet
  refused("org/chats", {"--dataset.name", "middling"}, {"org/chats", "middling", "short", "long"});
  refused("org/chats", {"--dataset.split", "test"}, {"org/chats", "test", "train", "validation"});
  refused("org/chats", {"--dataset.name", "gone"}, {"org/chats", "no file of the split 'train'", "README.md"});
  refused("org/nothing", {}, {"org/nothing"});
  refused("org/chats", {"--dataset.revision", "v9"}, {"org/chats", "v9"});
  fs::create_directories(server_.folder / "repos/datasets/org/closed");
  write_chats(server_.folder / "repos/datasets/org/closed/train.jsonl", 3);
  refused("org/closed", {}, {"org/closed", "token"});
  // What the card and the list promise, but the cache lacks without the network.
  look(from_hub("org/chats", {"--dataset.name", "long"}));
  refused("org/chats", {}, {"2 of the 2 files", "part-0.jsonl, short/part-1.jsonl", "HF_HUB_OFFLINE"}, true);
  look(from_hub("org/chats", {"--dataset.split", "train[:5]"}));  // fetches the first part alone
  refused("org/chats", {}, {"1 of the 2 files", "part-1.jsonl", "HF_HUB_OFFLINE"}, true);
  EXPECT_EQ(look(from_hub("org/chats", {"--dataset.split", "train[:5]"}), true)["statistics"]["rows"], 5);
  auto by_datasets = setting(true);  // the variable that Python's datasets reads is named as the cause
  by_datasets.environment["HF_HUB_OFFLINE"] = "";
  by_datasets.environment["HF_DATASETS_OFFLINE"] = "1";
  expect_error(run(from_hub("org/chats"), by_datasets), 1, {"1 of the 2 files", "HF_DATASETS_OFFLINE is set"});
}

TEST_F(HubData, APushBetweenTwoRunsIsSeenAndFetchesOnlyWhatChanged) {
  EXPECT_EQ(look(from_hub("org/chats"))["statistics"]["rows"], 20);
  write_chats(repo_ / "short/part-2.jsonl", 2, 40);
  EXPECT_EQ(look(from_hub("org/chats"), true)["statistics"]["rows"], 20);
  EXPECT_EQ(look(from_hub("org/chats"))["statistics"]["rows"], 22);
  std::vector<std::string> blobs;
  for (const auto& entry : fs::directory_iterator(folder_ / "home/hub/datasets--org--chats/blobs"))
    blobs.push_back(entry.path().filename().string());
  EXPECT_EQ(blobs.size(), 4u);  // README.md and three parts, each once
}

}  // namespace
}  // namespace automodel::program
