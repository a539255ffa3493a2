// A model's name into a folder: which files are fetched, and which never.
#include "automodel/net/resolve.h"

#include "automodel/net/test_hub.h"

namespace automodel::net {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ResolveTest : public TestHub {
 protected:
  ResolveTest() {
    ::setenv("HF_ENDPOINT", settings_.endpoint.c_str(), 1);
    ::setenv("HF_HUB_CACHE", settings_.cache.c_str(), 1);
  }
  ~ResolveTest() override {
    for (const char* name : {"HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  }
  std::vector<std::string> fetched(const fs::path& folder) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (!entry.is_directory()) files.push_back(entry.path().lexically_relative(folder).string());
    std::sort(files.begin(), files.end());
    return files;
  }
};

TEST_F(ResolveTest, AFolderIsItselfAndNeedsNoSettings) {
  ::setenv("HF_ENDPOINT", "no address", 1);
  EXPECT_EQ(resolve_model(folder_.string()), folder_);
  EXPECT_EQ(resolve_model((folder_ / "repos" / "repos.json").string()), folder_ / "repos" / "repos.json");
}

TEST_F(ResolveTest, WhatIsNoFolderAndNoNameIsAnError) {
  for (const char* name : {"/no/such/folder", "./here", "a/b/c", "../x", "runs/mine/LATEST/"})
    EXPECT_THAT(message_of<CheckpointError>([&] { resolve_model(name); }), HasSubstr("does not exist")) << name;
  EXPECT_EQ(log().size(), 0u);
  EXPECT_THAT(message_of<HubError>([&] { resolve_model("org/nothing"); }), HasSubstr("no folder here has this name"));
}

TEST_F(ResolveTest, OnlyWhatIsNeededIsFetched) {
  EXPECT_THAT(fetched(resolve_model("org/tiny", "", ModelFiles::Config)), ElementsAre("config.json"));
  const std::vector<std::string> small = {"additional_chat_templates/rag.jinja", "config.json",
                                          "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"};
  EXPECT_EQ(fetched(resolve_model("org/tiny", "", ModelFiles::Tokenizer)), small);
  auto all = small;
  all.insert(all.begin() + 2, {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
  EXPECT_EQ(fetched(resolve_model("org/tiny")), all);
  EXPECT_EQ(requests("pytorch_model.bin"), 0);
  EXPECT_EQ(requests("consolidated"), 0);
}

TEST_F(ResolveTest, TheCacheSaysWhichModelsItHolds) {
  EXPECT_THAT(cached_models(), testing::IsEmpty());
  resolve_model("org/tiny", "", ModelFiles::Config);
  fs::create_directories(settings_.cache / "models--org--other" / "snapshots");
  fs::create_directories(settings_.cache / "datasets--org--rows");
  EXPECT_THAT(cached_models(), ElementsAre("org/tiny"));
  EXPECT_THAT(cached_models(folder_ / "none"), testing::IsEmpty());
}

TEST_F(ResolveTest, OneWeightFileOrAnAdapter) {
  put("models/org/one/config.json", "{}");
  put("models/org/one/model.safetensors", noise(1000, 3));
  put("models/org/one/model.fp16.safetensors", noise(1000, 4));
  EXPECT_THAT(fetched(resolve_model("org/one")), ElementsAre("config.json", "model.safetensors"));
  put("models/org/lora/adapter_config.json", "{}");
  put("models/org/lora/adapter_model.safetensors", noise(1000, 3));
  put("models/org/lora/adapter_model.bin", "pickle");
  EXPECT_THAT(fetched(resolve_model("org/lora")), ElementsAre("adapter_config.json", "adapter_model.safetensors"));
}

TEST_F(ResolveTest, MistralsTokenizersAreFetchedByTheirOwnNames) {
  put("models/org/mistral/config.json", "{}");
  put("models/org/mistral/tokenizer.model.v3", noise(1000, 3));
  put("models/org/mistral/tekken.json", "{}");
  put("models/org/mistral/old/tokenizer.model", noise(1000, 4));
  EXPECT_THAT(fetched(resolve_model("org/mistral", "", ModelFiles::Tokenizer)),
              ElementsAre("config.json", "tekken.json", "tokenizer.model.v3"));
}

TEST_F(ResolveTest, WithoutSafetensorsNothingIsFetched) {
  put("models/org/pickled/config.json", "{}");
  put("models/org/pickled/pytorch_model.bin", "pickle");
  EXPECT_THAT(message_of<HubError>([] { resolve_model("org/pickled"); }),
              AllOf(HasSubstr("as pickle (pytorch_model.bin)"), HasSubstr("never fetched")));
  put("models/org/cut/config.json", "{}");
  put("models/org/cut/model.safetensors.index.json", R"({"weight_map": {"a": "model-1.safetensors"}})");
  EXPECT_THAT(message_of<HubError>([] { resolve_model("org/cut"); }),
              HasSubstr("has no model-1.safetensors, which its model.safetensors.index.json names"));
  put("models/org/none/README.md", "");
  EXPECT_THAT(message_of<HubError>([] { resolve_model("org/none"); }), HasSubstr("is no model in Hugging Face"));
}

TEST_F(ResolveTest, WhatTheCacheHasIsFoundWithoutTheNetwork) {
  EXPECT_FALSE(find_local_model("org/tiny"));
  const auto folder = resolve_model("org/tiny");
  control("clear");
  EXPECT_EQ(find_local_model("org/tiny"), folder);
  EXPECT_FALSE(find_local_model("org/tiny", "dev"));
  EXPECT_FALSE(find_local_model("org/tiny", "", (folder_ / "elsewhere").string()));
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(resolve_model("org/tiny"), folder);
  EXPECT_EQ(log().size(), 0u);
}

TEST_F(ResolveTest, AnotherCacheIsUsed) {
  const auto folder = resolve_model("org/tiny", "main", ModelFiles::Config, (folder_ / "cache/other").string());
  EXPECT_THAT(folder.string(), testing::StartsWith((folder_ / "cache/other").string()));
}

}  // namespace
}  // namespace automodel::net
