// For this room's tests: a Hub with repositories and faults, and what a test asks of it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/net/http.h"
#include "automodel/net/hub.h"
#include "automodel/net/test_hub_server.h"
#include "automodel/net/url.h"

namespace automodel::net {

class TestHub : public testing::Test {
 protected:
  TestHub() : server_(the_server()), folder_(server_.folder), cdn_port_(server_.cdn_port) {
    std::filesystem::remove_all(folder_ / "repos");
    std::filesystem::remove_all(folder_ / "cache");
    put("repos.json", R"({"models/org/gated": {"gated": true}, "models/org/private": {"private": true},
                          "models/org/old": {"renamed": "org/tiny"}})");
    put_model("models/org/tiny", 3 << 20);
    for (const char* repo : {"gated", "private", "old"}) put_model(std::string("models/org/") + repo, 1000);
    settings_.endpoint = fmt::format("http://127.0.0.1:{}", server_.hub_port);
    settings_.cache = folder_ / "cache";
    settings_.backoff_s = 0.01;
    settings_.piece_bytes = 256 << 10;
    settings_.stall_timeout_s = 1;
    control("clear");
  }

  void put(const std::string& path, const std::string& text) const {
    const auto file = folder_ / "repos" / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }

  // Bytes that no compression and no repetition makes shorter; the same for the same seed.
  static std::string noise(size_t size, uint32_t seed) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    return out;
  }

  void put_model(const std::string& repo, size_t shard_bytes) const {
    put(repo + "/config.json", R"({"model_type": "llama"})");
    put(repo + "/tokenizer.json", "{}");
    put(repo + "/tokenizer_config.json", "");
    put(repo + "/model.safetensors.index.json",
        R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
    put(repo + "/model-00001-of-00002.safetensors", noise(shard_bytes, 1));
    put(repo + "/model-00002-of-00002.safetensors", noise(shard_bytes / 3 + 17, 2));
    put(repo + "/pytorch_model.bin", "pickle");
    put(repo + "/onnx/config.json", R"({"another": 1})");
    put(repo + "/original/consolidated.safetensors", "not wanted");
    put(repo + "/additional_chat_templates/rag.jinja", "{{ x }}");
  }

  std::string control(const std::string& what) const {
    HttpClient http(settings_);
    Request request;
    request.url = fmt::format("http://127.0.0.1:{}/control/{}", server_.hub_port, what);
    const Answer answer = http.send(request);
    if (!answer.ok()) throw std::runtime_error("control " + what);
    return answer.body;
  }
  /// The next `count` requests whose path matches meet the fault.
  void fault(const std::string& path, const std::string& kind, int count, const Json& more = Json::object()) const {
    Json fault{{"path", path}, {"kind", kind}, {"count", count}};
    fault.update(more);
    control("fault?" + quote(fault.dump(), false));
  }
  Json log() const { return Json::parse(control("log")); }
  int requests(const std::string& part) const {
    int count = 0;
    for (const auto& entry : log()) count += entry.at("path").get<std::string>().find(part) != std::string::npos;
    return count;
  }

  void expect_same(const std::filesystem::path& snapshot, const std::string& repo, const std::string& file) const {
    ASSERT_TRUE(std::filesystem::is_regular_file(snapshot / file)) << file;
    EXPECT_TRUE(read_file(snapshot / file) == read_file(folder_ / "repos" / repo / file)) << file;
  }

  /// Files of the cache whose name contains `part`.
  std::vector<std::string> cached(const std::string& part) const {
    std::vector<std::string> found;
    if (std::filesystem::exists(settings_.cache))
      for (const auto& entry : std::filesystem::recursive_directory_iterator(settings_.cache))
        if (entry.path().string().find(part) != std::string::npos && !entry.is_directory())
          found.push_back(entry.path().lexically_relative(settings_.cache).string());
    std::sort(found.begin(), found.end());
    return found;
  }

  template <class Fault, class Call>
  static std::string message_of(const Call& call) {
    try {
      call();
    } catch (const Fault& fault) {
      return fault.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return "";
  }

  static HubServer& the_server() {
    static HubServer server;
    return server;
  }

  const HubServer& server_;
  const std::filesystem::path folder_;
  const int cdn_port_;
  HubSettings settings_;
};

}  // namespace automodel::net
