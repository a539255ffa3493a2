// What the cache of tokens is named by (data_kinds.h).
#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/config/knobs.h"
#include "automodel/data/chat.h"
#include "automodel/data/split_slice.h"
#include "automodel/data/token_cache.h"
#include "automodel/recipes/data_kinds.h"

namespace automodel::recipes {
namespace {
namespace fs = std::filesystem;

// Knobs that change no sample: where the data and the tokenizer lie (their files are described instead), and what is
// done with samples that are made already. A knob that is not named here counts.
constexpr std::string_view kWithoutEffect[] = {
    "path_or_dataset_id", "revision",        "chat_template",        "truncation", "overlong",
    "filter_overlong",    "tokenized_cache", "skip_invalid_samples", "batch_size", "repeat_on_exhaustion",
    "seq_length",  // but with truncate_history
};

bool has_effect(const config::Knob& knob, const config::DatasetSection& section) {
  if (!knob.get || !knob.alias_of.empty() || knob.path.starts_with("tokenizer.")) return false;
  if (knob.path == "seq_length" && section.truncate_history) return true;
  return std::find(std::begin(kWithoutEffect), std::end(kWithoutEffect), knob.path) == std::end(kWithoutEffect);
}

std::vector<std::string> data_files(const config::DatasetSection& section) {
  std::vector<std::string> files;
  const auto rows = rows_options(section);
  for (const auto& slice : data::parse_split(rows.split))
    for (const auto& file : data::find_data_files({rows.paths, rows.name, rows.revision, rows.hub}, slice.name))
      files.push_back(data::file_fingerprint(file.path.empty() ? file.fetch() : file.path));
  return files;
}

std::vector<std::string> tokenizer_files(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw UnsupportedError("dataset.tokenized_cache",
                           folder.string() + " is no folder, so its tokenizer has no fingerprint",
                           "give the model's folder");
  std::vector<std::string> files;
  for (const auto& file : fs::directory_iterator(folder))
    if (const auto ending = file.path().extension();
        file.is_regular_file() && ending != ".safetensors" && ending != ".bin" && file.file_size() < (1u << 28))
      files.push_back(file.path().filename().string() + data::file_fingerprint(file.path()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string describe_samples(const config::DatasetSection& given, const data::EdgeTokens& edges,
                             const fs::path& tokenizer) {
  Json text = Json::object();
  auto section = given;
  config::Knobs knobs(config::Knobs::Mode::kPrint);
  section.describe(knobs);
  for (const auto& knob : knobs.all())
    if (has_effect(knob, section)) text[knob.path] = config::to_yaml(knob.get());
  const auto flag = [](const std::optional<bool>& value) { return value ? (*value ? "yes" : "no") : "unset"; };
  text["edges"] = {flag(edges.add_bos), flag(edges.add_eos)};
  text["template"] = section.chat_template.empty() ? "" : data::resolve_chat_template(section.chat_template);
  text["program"] = data::file_fingerprint("/proc/self/exe");
  text["files"] = data_files(section);
  text["tokenizer"] = tokenizer_files(tokenizer);
  return text.dump();
}

}  // namespace automodel::recipes
