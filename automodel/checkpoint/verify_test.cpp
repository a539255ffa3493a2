#include "automodel/checkpoint/verify.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/model_folder.h"
#include "automodel/checkpoint/run_folder.h"
#include "automodel/checkpoint/run_state.h"

namespace automodel::checkpoint {
namespace {
namespace fs = std::filesystem;

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

struct RunWithOne : TemporaryFolder {
  fs::path checkpoint;
  RunWithOne() {
    RunFolder run(path());
    checkpoint = run.save(1, 5, 0.25, [](const fs::path& hidden) {
      const std::vector<NamedTensor> tensors{{"a", at::randn({30, 10}), {}},
                                             {"b", at::randn({7}).to(at::kBFloat16), {}}};
      write_model_folder(hidden / "model", tensors, {.config = R"({"model_type":"llama"})"});
      write_run_state(hidden / "state", {.step = 5, .epoch = 1}, tensors, {});
      return std::vector<FileRecord>{};
    });
  }
};

void flip_bit(const fs::path& path, size_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(byte ^ 4));
}

TEST(Verify, FindsOneFlippedBitInAnyFile) {
  RunWithOne run;
  EXPECT_THAT(verify(run.path()).faults, IsEmpty());
  std::vector<fs::path> files;
  for (const auto& item : fs::recursive_directory_iterator(run.checkpoint))
    if (item.is_regular_file()) files.push_back(item.path());
  EXPECT_EQ(files.size(), 5u);
  for (const auto& file : files) {
    if (file.filename() == "manifest.json") continue;
    const size_t last = fs::file_size(file) - 2;
    flip_bit(file, last);
    EXPECT_THAT(verify(run.path()).faults, Contains(HasSubstr(file.string()))) << file;
    flip_bit(file, last);
  }
  EXPECT_THAT(verify(run.path()).faults, IsEmpty());
}

TEST(Verify, FindsValuesThatAreNotFiniteWhateverTheirDtype) {
  const auto bad = at::randn({40});
  bad[17] = std::numeric_limits<float>::quiet_NaN();
  const auto verify_with = [&](const at::Tensor& tensor) {
    TemporaryFolder folder;
    const std::vector<NamedTensor> tensors{{"good", at::randn({3}), {}}, {"layer.bad", tensor, {}}};
    write_model_folder(folder / "model", tensors, {.config = "{}"});
    const auto faults = verify(folder / "model").faults;
    EXPECT_EQ(verify(folder / "model/model.safetensors").faults, faults);  // the file alone
    return faults;
  };
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    EXPECT_THAT(verify_with(bad.to(dtype)), Contains(HasSubstr("layer.bad: holds values that are not finite")));
  EXPECT_THAT(verify_with(at::ones({4}, at::kLong)), IsEmpty());
}

TEST(Verify, NamesMissingAndTruncatedFilesAndStrangers) {
  RunWithOne run;
  std::ofstream(run.checkpoint / "stranger.txt") << "x";
  EXPECT_THAT(verify(run.checkpoint).notes, Contains(HasSubstr("stranger.txt is not in the manifest")));
  fs::resize_file(run.checkpoint / "model/model.safetensors", 100);
  EXPECT_THAT(verify(run.checkpoint).faults, Contains(HasSubstr("model.safetensors: has 100 bytes, expected")));
  fs::remove(run.checkpoint / "model/config.json");
  EXPECT_THAT(verify(run.checkpoint).faults, Contains(HasSubstr("config.json: is missing")));
  EXPECT_THAT(verify(run.checkpoint / "model").faults, Contains(HasSubstr("cut short")));
  fs::remove_all(run.checkpoint);
  EXPECT_THAT(message_of<CheckpointError>([&] { verify(run.path()); }), HasSubstr("is not the folder of a run"));
}

TEST(Verify, ManifestsThatLie) {
  RunWithOne run;
  const auto write = [&](const std::string& files) {
    std::ofstream(run.checkpoint / "manifest.json")
        << R"({"format":"automodel.checkpoint","version":1,"epoch":1,"step":5,"metric":null,"saved_at":"","files":)"
        << files << "}";
    return why_not_whole(run.checkpoint);
  };
  EXPECT_EQ(write("[]"), "");
  EXPECT_THAT(write(R"([{"path":"../../x","bytes":1,"crc32c":"00000000"}])"), HasSubstr("damaged entry"));
  EXPECT_THAT(write(R"([{"path":"/etc/passwd","bytes":1,"crc32c":"00000000"}])"), HasSubstr("damaged entry"));
  EXPECT_THAT(write(R"([{"path":"a","bytes":-1,"crc32c":"00000000"}])"), HasSubstr("damaged entry"));
  EXPECT_THAT(write(R"([{"path":"a","bytes":1,"crc32c":"zz"}])"), HasSubstr("damaged entry"));
  EXPECT_THAT(write(R"([{"path":"a","bytes":1,"crc32c":"00000000"}])"), HasSubstr("a is missing"));
  EXPECT_THAT(write("{"), HasSubstr("not valid JSON"));
}

TEST(Info, SummarisesEachKind) {
  RunWithOne run;
  const Json whole = info(run.path());
  EXPECT_EQ(whole["kind"], "run");
  EXPECT_EQ(whole["latest"], "epoch_1_step_5");
  EXPECT_EQ(whole["best"], "epoch_1_step_5");
  const Json checkpoint = info(run.checkpoint);
  EXPECT_EQ(checkpoint["kind"], "checkpoint");
  EXPECT_EQ(checkpoint["step"], 5);
  EXPECT_EQ(checkpoint["metric"], 0.25);
  EXPECT_EQ(checkpoint["state"]["weights"]["tensors"], 2);
  EXPECT_EQ(checkpoint["model"]["parameters"], 307);
  const Json model = info(run.checkpoint / "model");
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["model_type"], "llama");
  EXPECT_EQ(model["dtypes"]["BF16"], 7);
  EXPECT_EQ(info(run.checkpoint / "model/model.safetensors")["kind"], "file");
  EXPECT_THAT(message_of<CheckpointError>([&] { info(run.path() / "none"); }), HasSubstr("does not exist"));
}

}  // namespace
}  // namespace automodel::checkpoint
