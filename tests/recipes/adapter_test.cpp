// An adapter's folder says which model it belongs to and how that was spoken to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;

const Arguments kLora = lora({"--step_scheduler.max_steps", "1"});

class Adapter : public testing::Test {
 protected:
  Finished train(const Arguments& more, const Setting& setting = {}) {
    Arguments all = kLora;
    all.insert(all.end(), more.begin(), more.end());
    return run(with(config_, all), setting);
  }
  fs::path saved() const { return folder_ / "out/LATEST/model"; }
  Json adapter_config() const { return load_json(saved() / "adapter_config.json"); }

  // A cache as huggingface_hub leaves it, with tiny_base() under a name.
  Setting with_cache(const std::string& org, const std::string& name) const {
    const std::string commit(40, 'a');
    const fs::path repo = folder_ / "hub" / ("models--" + org + "--" + name);
    fs::create_directories(repo / "refs"), fs::create_directories(repo / "snapshots");
    std::ofstream(repo / "refs/main") << commit;
    fs::copy(tiny_base(), repo / "snapshots" / commit);
    return {.environment = {{"HF_HUB_CACHE", (folder_ / "hub").string()}, {"HF_HUB_OFFLINE", "1"}}};
  }

  TemporaryFolder folder_;
  fs::path config_ = write_run(folder_.path());
};

TEST_F(Adapter, KeepsTheHubIdOfItsBaseAndFindsItThere) {
  const auto cache = with_cache("org", "tiny");
  expect_success(train({"--model.pretrained_model_name_or_path", "org/tiny", "--model.revision", "main"}, cache));
  EXPECT_EQ(adapter_config().at("base_model_name_or_path"), "org/tiny");
  EXPECT_EQ(adapter_config().at("revision"), "main");
  const auto generated =
      run({"generate", "--model", saved().string(), "--prompt", "a", "--max-new-tokens", "2"}, cache);
  expect_success(generated);
}

TEST_F(Adapter, KeepsAFolderAsTheUserGaveIt) {
  fs::copy(tiny_base(), folder_ / "base");
  expect_success(train({"--model.pretrained_model_name_or_path", "base"}, {.folder = folder_.path()}));
  EXPECT_EQ(adapter_config().at("base_model_name_or_path"), "base");
  EXPECT_TRUE(adapter_config().at("revision").is_null());
}

TEST_F(Adapter, CarriesTheTemplateThatWasTrained) {
  const std::string own =
      "{% for m in messages %}<{{ m.role }}>{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
  expect_success(train({"--dataset.chat_template", own}));
  EXPECT_EQ(read_file(saved() / "chat_template.jinja"), own);
  const std::string chat = R"([{"role": "user", "content": "a"}])";
  EXPECT_EQ(run({"render", "--model", saved().string()}, {.input = chat}).out, "<user>a");
  EXPECT_EQ(run({"checkpoint", "verify", (folder_ / "out/LATEST").string()}).exit_code, 0);
}

}  // namespace
}  // namespace automodel::program
