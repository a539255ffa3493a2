// Snapshots, files and lists from a server that behaves; what lies in the cache; what goes over the wire.
#include "automodel/net/hub.h"

#include "automodel/net/test_hub.h"

namespace automodel::net {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HubTest : public TestHub {
 protected:
  Hub hub() const { return Hub(settings_); }
  const Repo tiny_{"org/tiny"};
};

TEST_F(HubTest, SnapshotHasTheFilesAndTheLayout) {
  std::vector<TransferState> states;
  const auto folder = hub().snapshot(tiny_, {"*.json", "*.safetensors"}, [&](const auto& s) { states.push_back(s); });
  for (const char* file : {"config.json", "tokenizer.json", "tokenizer_config.json", "onnx/config.json",
                           "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"})
    expect_same(folder, "models/org/tiny", file);
  EXPECT_FALSE(fs::exists(folder / "pytorch_model.bin"));
  const auto base = settings_.cache / "models--org--tiny";
  EXPECT_EQ(folder.parent_path(), base / "snapshots");
  EXPECT_EQ(read_file(base / "refs" / "main"), folder.filename());
  EXPECT_TRUE(fs::is_symlink(folder / "onnx/config.json"));
  EXPECT_THAT(fs::read_symlink(folder / "config.json").string(), testing::StartsWith("../../blobs/"));
  EXPECT_THAT(fs::read_symlink(folder / "onnx/config.json").string(), testing::StartsWith("../../../blobs/"));
  EXPECT_THAT(cached("incomplete"), IsEmpty());
  EXPECT_THAT(cached(".ranges"), IsEmpty());
  ASSERT_FALSE(states.empty());
  EXPECT_TRUE(states.back().finished);
  EXPECT_EQ(states.back().files_done, states.back().files);
  EXPECT_EQ(states.back().bytes_done, states.back().bytes);
}

TEST_F(HubTest, LargeFilesComeInRangesFromTheSignedAddress) {
  hub().snapshot(tiny_, {"model-00001*"});
  int ranges = 0;
  for (const auto& entry : log())
    if (entry.at("port") == cdn_port_) ranges += entry.at("range").is_string();
  EXPECT_EQ(ranges, 12);  // 3 MiB in pieces of 256 KiB
}

TEST_F(HubTest, NothingIsFetchedTwice) {
  hub().snapshot(tiny_, {"*.json"});
  control("clear");
  const auto folder = hub().snapshot(tiny_, {"*.json"});
  EXPECT_EQ(log().size(), 1u);  // which commit main is now
  control("clear");
  hub().snapshot({"org/tiny", RepoKind::Model, folder.filename()}, {"*.json"});
  hub().file({"org/tiny", RepoKind::Model, folder.filename()}, "config.json");
  EXPECT_EQ(log().size(), 0u);  // a commit never changes
}

TEST_F(HubTest, APushIsSeenAndSharesBlobs) {
  const auto before = hub().snapshot(tiny_, {"*.json"});
  put("models/org/tiny/config.json", R"({"model_type": "qwen3"})");
  control("clear");
  const auto after = hub().snapshot(tiny_, {"*.json"});
  EXPECT_NE(before, after);
  expect_same(after, "models/org/tiny", "config.json");
  EXPECT_EQ(requests("/resolve/"), 1);
  EXPECT_EQ(fs::canonical(before / "tokenizer.json"), fs::canonical(after / "tokenizer.json"));
}

TEST_F(HubTest, OtherKindsAndRevisions) {
  put("datasets/org/chats/data/train-00000.parquet", noise(1000, 7));
  put("datasets/org/chats/README.md", "---\nconfigs: []\n---");
  put("models/org/tiny@dev/config.json", "{}");
  const Repo chats{"org/chats", RepoKind::Dataset, "main"};
  const auto folder = hub().snapshot(chats, {"data/"});
  expect_same(folder, "datasets/org/chats", "data/train-00000.parquet");
  EXPECT_EQ(folder.parent_path().parent_path().filename(), "datasets--org--chats");
  const auto listing = hub().list(chats);
  ASSERT_EQ(listing.files.size(), 2u);
  EXPECT_EQ(listing.files[1].path, "data/train-00000.parquet");
  EXPECT_EQ(listing.files[1].size, 1000u);
  EXPECT_EQ(listing.commit, folder.filename());
  expect_same(hub().snapshot({"org/tiny", RepoKind::Model, "dev"}), "models/org/tiny@dev", "config.json");
  EXPECT_TRUE(fs::exists(settings_.cache / "models--org--tiny/refs/dev"));
}

TEST_F(HubTest, OneFileNeedsNoList) {
  expect_same(hub().file(tiny_, "onnx/config.json").parent_path().parent_path(), "models/org/tiny", "onnx/config.json");
  EXPECT_EQ(requests("/tree/"), 0);
  hub().file(tiny_, "model-00002-of-00002.safetensors");
  EXPECT_FALSE(hub().find_file(tiny_, "nothing.json"));
  EXPECT_EQ(cached(".no_exist").size(), 1u);
  EXPECT_THAT(message_of<HubError>([&] { hub().file(tiny_, "nothing.json"); }),
              HasSubstr("org/tiny: has no file 'nothing.json' at revision 'main'"));
}

TEST_F(HubTest, OfflineUsesWhatIsThere) {
  const auto folder = hub().snapshot(tiny_, {"*.json"});
  control("clear");
  settings_.offline_by = {"HF_HUB_OFFLINE"};
  EXPECT_EQ(hub().snapshot(tiny_, {"*.json"}), folder);
  EXPECT_EQ(hub().file(tiny_, "config.json"), folder / "config.json");
  EXPECT_EQ(hub().list(tiny_).files.size(), 10u);
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot(tiny_, {"*.safetensors"}); }),
              testing::AllOf(HasSubstr("3 of its files"), HasSubstr("HF_HUB_OFFLINE is set"),
                             HasSubstr("automodel download org/tiny")));
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot({"org/other"}); }), HasSubstr("revision 'main' is not in"));
  EXPECT_THAT(message_of<HubError>([&] {
                hub().snapshot({"org/other", RepoKind::Dataset, "refs/pr/1"});
              }),
              testing::EndsWith("automodel download org/other --dataset --revision refs/pr/1"));
  EXPECT_EQ(log().size(), 0u);
}

TEST_F(HubTest, AnUnreachableHubLeavesTheCache) {
  const auto folder = hub().snapshot(tiny_, {"*.json"});
  settings_.endpoint = "http://127.0.0.1:1";
  settings_.attempts = 2;
  EXPECT_EQ(hub().snapshot(tiny_, {"*.json"}), folder);
  EXPECT_EQ(hub().file(tiny_, "config.json"), folder / "config.json");
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot(tiny_, {"*.safetensors"}); }), HasSubstr("cannot be asked"));
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot({"org/other"}); }), HasSubstr("cannot be reached"));
  EXPECT_EQ(Hub(settings_).find_cached(tiny_), folder);
}

TEST_F(HubTest, TheTokenGoesToTheHubAlone) {
  settings_.token = "hf_good";
  hub().snapshot({"org/gated"}, {"*.safetensors", "*.json"});
  int with = 0, to_cdn = 0;
  for (const auto& entry : log()) {
    if (entry.at("path").get<std::string>().starts_with("/control")) continue;
    const bool cdn = entry.at("port") == cdn_port_;
    to_cdn += cdn;
    with += entry.at("authorization").is_string();
    EXPECT_EQ(entry.at("authorization").is_string(), !cdn) << entry;
  }
  EXPECT_EQ(to_cdn, 3);
  EXPECT_GT(with, 3);
}

TEST_F(HubTest, ARenamedRepositoryIsFollowed) {
  settings_.token = "hf_good";
  const auto folder = hub().snapshot({"org/old"}, {"*.json"});
  expect_same(folder, "models/org/tiny", "config.json");
  EXPECT_EQ(folder.parent_path().parent_path().filename(), "models--org--old");
}

TEST_F(HubTest, AListOfManyPagesIsWhole) {
  for (int i = 0; i < 30; ++i) put(fmt::format("datasets/org/many/f{:02}.txt", i), std::to_string(i));
  EXPECT_EQ(hub().list({"org/many", RepoKind::Dataset}).files.size(), 30u);
  const auto folder = hub().snapshot({"org/many", RepoKind::Dataset});
  for (int i = 0; i < 30; ++i) EXPECT_EQ(read_file(folder / fmt::format("f{:02}.txt", i)), std::to_string(i));
}

TEST_F(HubTest, OddNamesAndEmptyFilesAndTwins) {
  put("datasets/org/odd/a b/ü%20#?.txt", "odd");
  put("datasets/org/odd/empty.txt", "");
  put("datasets/org/odd/twin1.parquet", noise(600000, 5));
  put("datasets/org/odd/twin2.parquet", noise(600000, 5));
  const auto folder = hub().snapshot({"org/odd", RepoKind::Dataset});
  for (const char* file : {"a b/ü%20#?.txt", "empty.txt", "twin1.parquet", "twin2.parquet"})
    expect_same(folder, "datasets/org/odd", file);
}

TEST_F(HubTest, NamesThatCannotBeAreRefusedBeforeTheNetwork) {
  for (const char* name : {"", "a/b/c", "../x", "org/..", "-a/b", "org/na me", "org/a--b", "org/x.git"})
    EXPECT_THROW(hub().snapshot({name}), ConfigError) << name;
  for (const char* revision : {"", "../../x", "/main", "a//b"})
    EXPECT_THROW(hub().snapshot({"org/tiny", RepoKind::Model, revision}), ConfigError) << revision;
  EXPECT_THROW(hub().file(tiny_, "../../etc/passwd"), ConfigError);
  EXPECT_EQ(log().size(), 0u);
}

TEST_F(HubTest, ACommitWithoutAListStandsInWhenTheHubIsAway) {
  const auto folder = hub().snapshot(tiny_, {"*.json"});
  fs::remove_all(settings_.cache / "models--org--tiny/trees");
  settings_.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(hub().snapshot({"org/tiny", RepoKind::Model, folder.filename()}, {"*.json"}), folder);
  EXPECT_EQ(hub().snapshot(tiny_, {"*.json"}), folder);
}

TEST_F(HubTest, ADamagedBlobOrListIsFetchedAgain) {
  const auto folder = hub().snapshot(tiny_, {"config.json", "model-00002*"});
  std::ofstream(fs::canonical(folder / "model-00002-of-00002.safetensors")) << "cut short";
  std::ofstream(settings_.cache / "models--org--tiny/trees" / (folder.filename().string() + ".json")) << "{";
  expect_same(hub().snapshot(tiny_, {"config.json", "model-00002*"}), "models/org/tiny",
              "model-00002-of-00002.safetensors");
}

TEST_F(HubTest, APatternThatMatchesNothingIsAnError) {
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot(tiny_, {"*.gguf"}); }), HasSubstr("matches *.gguf"));
}

}  // namespace
}  // namespace automodel::net
