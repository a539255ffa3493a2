// The models that are known by their id: each config.json is read whole, and has the size that its owner published.
#include "automodel/models/known_models.h"

#include <gtest/gtest.h>

#include "automodel/base/file.h"
#include "automodel/models/build.h"
#include "automodel/models/registry.h"

namespace automodel::models {
namespace {

TEST(KnownModels, HaveTheNumberOfParametersThatIsPublished) {
  int64_t bundled = 0;
  for (const auto& known : known_models()) {
    if (known.config.is_null()) continue;
    const auto model = build(read_config(known.config, known.id), at::kBFloat16);  // shapes only: no values yet
    EXPECT_EQ(count_parameters(*model), known.parameters) << known.id;
    EXPECT_EQ(known.config.at("torch_dtype"), "bfloat16") << known.id;
    ++bundled;
  }
  EXPECT_GE(bundled, 8);
}

TEST(KnownModels, AreThoseOfTheFilesBesideTheBenchmarks) {
  const auto folder = std::filesystem::path(AUTOMODEL_SOURCE_DIR) / "configs/benchmark/models";
  const Json index = load_json(folder / "index.json");
  ASSERT_EQ(known_models().size(), index.size());
  for (const auto& [id, entry] : index.items()) {
    const auto* known = find_known_model(id);
    ASSERT_TRUE(known) << id;
    if (entry.contains("folder"))
      EXPECT_EQ(known->config, load_json(folder / entry.at("folder").get<std::string>() / "config.json")) << id;
  }
  EXPECT_FALSE(find_known_model("meta-llama/Llama-3.1-8b"));
  EXPECT_FALSE(find_known_model(""));
}

TEST(KnownModels, WithoutAConfigAreOfFamiliesThatThisBuildLacks) {
  for (const auto& known : known_models()) {
    const auto is_its = [&](const Family* family) { return family->model_type == known.model_type; };
    EXPECT_EQ(std::none_of(families().begin(), families().end(), is_its), known.config.is_null())
        << known.id << ": of a family that is there the config.json belongs into configs/benchmark/models";
  }
}

}  // namespace
}  // namespace automodel::models
