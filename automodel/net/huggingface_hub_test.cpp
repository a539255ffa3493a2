// huggingface_hub as the second client of one cache: each finds what the other fetched, also while both fetch.
// Needs AUTOMODEL_ORACLES (a Python with huggingface_hub 1.33.0); skips by name without it.
#include <map>
#include <thread>

#include "automodel/net/hub.h"
#include "automodel/net/test_hub.h"

namespace automodel::net {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

class HuggingfaceHubTest : public TestHub {
 protected:
  void SetUp() override {
    if (!std::getenv("AUTOMODEL_ORACLES"))
      GTEST_SKIP() << "AUTOMODEL_ORACLES (a python with huggingface_hub) is not set: no cache was shared with it";
  }

  // Runs Python on this cache; what it prints last.
  std::string python(const std::string& code, const std::string& environment = "") const {
    const fs::path script = folder_ / "script.py";
    std::ofstream(script)
        << "from huggingface_hub import get_cached_repo_tree, hf_hub_download, scan_cache_dir, "
           "snapshot_download, try_to_load_from_cache, _CACHED_NO_EXIST\nimport os\nC = os.environ['HF_HUB_CACHE']\n"
        << code;
    const std::string command = fmt::format(
        "HF_ENDPOINT={} HF_HUB_CACHE={} HF_HOME={} HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1 "
        "HF_HUB_DISABLE_PROGRESS_BARS=1 PYTHONDONTWRITEBYTECODE=1 {} nice -n 0 {} {} 2>&1",
        settings_.endpoint, settings_.cache.string(), (folder_ / "home").string(), environment,
        std::getenv("AUTOMODEL_ORACLES"), script.string());
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    char buffer[4096];
    while (const size_t read = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, read);
    EXPECT_EQ(::pclose(pipe), 0) << out;
    while (out.ends_with('\n')) out.pop_back();
    return out.substr(out.rfind('\n') + 1);
  }
  // Python takes a second to start, more on a crowded machine.
  template <class Ready>
  static void wait_for(const Ready& ready) {
    for (int i = 0; i < 3000 && !ready(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(ready());
  }
  Hub hub() const { return Hub(settings_); }
  const Repo tiny_{"org/tiny"};
};

TEST_F(HuggingfaceHubTest, FindsWhatWeFetched) {
  const auto folder = hub().snapshot(tiny_);
  hub().find_file(tiny_, "nothing.json");
  control("clear");
  EXPECT_EQ(python("print(snapshot_download('org/tiny'))"), folder);
  EXPECT_EQ(requests("/resolve/"), 0);
  EXPECT_EQ(requests("/tree/"), 0);  // it reads our list of the commit
  EXPECT_EQ(python("print(hf_hub_download('org/tiny', 'onnx/config.json'))"), folder / "onnx/config.json");
  control("clear");
  EXPECT_EQ(python("print(snapshot_download('org/tiny'))", "HF_HUB_OFFLINE=1"), folder);
  EXPECT_EQ(python("print(hf_hub_download('org/tiny', 'config.json', revision='main'))", "HF_HUB_OFFLINE=1"),
            folder / "config.json");
  EXPECT_EQ(python("print(try_to_load_from_cache('org/tiny', 'nothing.json') is _CACHED_NO_EXIST)"), "True");
  EXPECT_EQ(python("print(sorted(f.path for f in get_cached_repo_tree('org/tiny'))[0])"),
            "additional_chat_templates/rag.jinja");
  EXPECT_EQ(log().size(), 0u);
}

// Every combination of the three variables: not set, empty, no and yes.
TEST_F(HuggingfaceHubTest, WeAreOfflineWhereItAndDatasetsAre) {
  const std::string asked = python(R"(import datasets.config as d, huggingface_hub.constants as h, importlib, itertools
out = ''
for values in itertools.product([None, '', '0', 'Yes'], repeat=3):
    for name, value in zip(('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'HF_DATASETS_OFFLINE'), values):
        os.environ.pop(name, None)
        if value is not None: os.environ[name] = value
    importlib.reload(h), importlib.reload(d)
    out += '%d%d' % (h.is_offline_mode(), h.is_offline_mode() or d.HF_HUB_OFFLINE)
print(out))");
  const std::optional<std::string> values[] = {std::nullopt, "", "0", "Yes"};
  std::string ours;
  for (const auto& hub : values)
    for (const auto& transformers : values)
      for (const auto& datasets : values)
        for (const auto kind : {RepoKind::Model, RepoKind::Dataset}) {
          const auto environment = [&](const std::string& name) -> std::optional<std::string> {
            if (name == "HF_HUB_OFFLINE") return hub;
            if (name == "TRANSFORMERS_OFFLINE") return transformers;
            if (name == "HF_DATASETS_OFFLINE") return datasets;
            return name == "HOME" ? std::optional<std::string>("/home/u") : std::nullopt;
          };
          ours += read_hub_settings(environment, kind).offline() ? '1' : '0';
        }
  EXPECT_EQ(ours, asked);
  EXPECT_EQ(ours.size(), 128u);
}

TEST_F(HuggingfaceHubTest, ItsScanOfTheCacheFindsNoFault) {
  hub().snapshot(tiny_, {"*.json", "*.safetensors"});
  put("datasets/org/chats/train.parquet", noise(1000, 7));
  hub().snapshot({"org/chats", RepoKind::Dataset});
  EXPECT_EQ(python("i = scan_cache_dir()\nprint(len(i.warnings), len(i.repos), "
                   "sorted((r.repo_type, r.repo_id, len(r.refs)) for r in i.repos))"),
            "0 2 [('dataset', 'org/chats', 1), ('model', 'org/tiny', 1)]");
}

TEST_F(HuggingfaceHubTest, WeFindWhatItFetched) {
  const std::string folder = python("print(snapshot_download('org/tiny'))");
  control("clear");
  EXPECT_EQ(hub().snapshot(tiny_), folder);
  EXPECT_EQ(log().size(), 1u);
  settings_.offline_by = {"HF_HUB_OFFLINE"};
  EXPECT_EQ(hub().snapshot(tiny_), folder);
  EXPECT_EQ(hub().file(tiny_, "config.json"), fs::path(folder) / "config.json");
}

// transformers fetches so: file by file, and no list is kept.
TEST_F(HuggingfaceHubTest, WeFindSingleFilesThatItFetched) {
  const fs::path file =
      python("hf_hub_download('org/tiny', 'onnx/config.json')\nprint(hf_hub_download('org/tiny', 'config.json'))");
  control("clear");
  HubSettings offline = settings_;
  offline.offline_by = {"HF_HUB_OFFLINE"};
  EXPECT_EQ(Hub(offline).snapshot(tiny_, {"*.json"}), file.parent_path());
  EXPECT_EQ(Hub(offline).list(tiny_).files.size(), 2u);
  EXPECT_EQ(hub().file(tiny_, "config.json"), file);
  EXPECT_EQ(requests("/resolve/"), 1);  // the question whether it is still the same
  hub().snapshot(tiny_, {"*.json"});
  EXPECT_EQ(requests("/resolve/"), 3);  // tokenizer.json and the index; tokenizer_config.json is empty
}

TEST_F(HuggingfaceHubTest, BothAtOnceFetchEachFileOnce) {
  fault("/blob/", "slow", 1000, {{"seconds", 0.5}});
  std::string theirs;
  std::thread other([&] { theirs = python("print(snapshot_download('org/tiny', allow_patterns='*.safetensors'))"); });
  wait_for([&] { return !cached(".locks/").empty(); });
  const auto ours = hub().snapshot(tiny_, {"*.safetensors"});
  other.join();
  EXPECT_EQ(ours, theirs);
  for (const char* file :
       {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "original/consolidated.safetensors"})
    expect_same(ours, "models/org/tiny", file);
  EXPECT_THAT(cached("incomplete"), IsEmpty());
  // It asks for a file whole, we ask for a large one in ranges: each file by one of the two.
  std::map<std::string, std::pair<int, int>> asked;
  for (const auto& entry : log()) {
    const std::string path = entry.at("path");
    if (path.find("/blob/") == path.npos) continue;
    ++(entry.at("range").is_null() ? asked[path].first : asked[path].second);
  }
  EXPECT_EQ(asked.size(), 3u);
  for (const auto& [path, count] : asked) EXPECT_EQ(count.first + (count.second > 0), 1) << path;
}

TEST_F(HuggingfaceHubTest, WeWaitForItsLockAndItForOurs) {
  const auto commit = hub().list(tiny_).commit;
  std::string etag;
  for (const auto& file : hub().list(tiny_).files)
    if (file.path == "config.json") etag = file.etag;
  const auto lock = settings_.cache / ".locks/models--org--tiny" / (etag + ".lock");
  std::thread holder([&] {
    python(
        fmt::format("import time\nfrom huggingface_hub.utils import WeakFileLock\nos.makedirs('{}', exist_ok=True)\n"
                    "with WeakFileLock('{}'):\n  open(C + '/held', 'w').close()\n  time.sleep(1)\n"
                    "  os.remove(C + '/held')\n",
                    lock.parent_path().string(), lock.string()));
  });
  wait_for([&] { return fs::exists(settings_.cache / "held"); });
  const auto folder = hub().snapshot(tiny_, {"config.json"});
  EXPECT_FALSE(fs::exists(settings_.cache / "held"));
  holder.join();
  expect_same(folder, "models/org/tiny", "config.json");
}

// The same faults, through the same server, against huggingface_hub: what the test Hub speaks is what it understands.
TEST_F(HuggingfaceHubTest, TheTestHubsRefusalsAreTheHubs) {
  const std::string code =
      "try:\n  snapshot_download('{}', revision='{}')\nexcept Exception as e:\n  print(type(e).__name__)\n";
  EXPECT_EQ(python(fmt::format(fmt::runtime(code), "org/gated", "main")), "GatedRepoError");
  EXPECT_EQ(python(fmt::format(fmt::runtime(code), "org/nothing", "main")), "RepositoryNotFoundError");
  EXPECT_EQ(python(fmt::format(fmt::runtime(code), "org/tiny", "v9")), "RevisionNotFoundError");
}

}  // namespace
}  // namespace automodel::net
