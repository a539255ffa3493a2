#include "automodel/recipes/sample_length.h"

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/recipes/data_kinds.h"

namespace automodel::recipes {

int64_t longest_text(const models::DecoderSpec& spec) {
  const auto& rope = spec.layers.front().attention.rope;
  const double scaled = rope ? rope->factor * static_cast<double>(rope->original_max_positions) : 0;
  return std::max(spec.max_positions, static_cast<int64_t>(scaled));
}

int64_t longest_document(const config::RecipeConfig& config, int64_t max_positions) {
  const auto& section = config.dataset;
  const int64_t pack = config.packed_sequence.packed_sequence_size;
  const int64_t rows = limits_rows(section) ? max_positions : 0, longest = asked_length(section).value_or(rows);
  if (pack == 0) return longest;
  return longest == 0 ? pack : std::min(longest, pack);
}

static void check_section(const std::string& key, const config::DatasetSection& section, int64_t pack,
                          const models::DecoderSpec& spec, LengthRemarks& remarks) {
  const int64_t learned = spec.embedding.positions, made_for = longest_text(spec);
  const auto asked = asked_length(section);
  const std::string length = fmt::format("{}.{}", key, find_data_kind(section.kind).length_key);
  if (!asked && limits_rows(section) && pack > spec.max_positions)
    remarks.notes.push_back(fmt::format(
        "packed_sequence.packed_sequence_size is {}, but a document of {} has at most the {} tokens that the "
        "model was made for (max_position_embeddings){}",
        pack, key, spec.max_positions,
        learned > 0
            ? ""
            : fmt::format("; {}: {} keeps longer ones", length, pack + find_data_kind(section.kind).targets_only)));
  if (!asked) return;
  const int64_t longest = pack > 0 ? std::min(*asked, pack) : *asked;
  if (learned > 0 && longest > learned)
    throw ConfigError(length,
                      fmt::format("asks for documents of {} tokens, but the model has learned positions for {} only",
                                  longest, learned),
                      fmt::format("lower it by {} at least, or take another model", longest - learned));
  if (longest > made_for)
    remarks.warnings.push_back(
        fmt::format("{} asks for documents of {} tokens, more than the {} that the model was made for "
                    "(max_position_embeddings): its rotary positions go on, as in transformers, but it has learned "
                    "nothing there; lower it by {} to stay within",
                    length, longest, made_for, longest - made_for));
}

LengthRemarks check_lengths(const config::RecipeConfig& config, const models::DecoderSpec& spec) {
  LengthRemarks remarks;
  if (spec.max_positions <= 0) return remarks;
  const int64_t pack = config.packed_sequence.packed_sequence_size;
  check_section("dataset", config.dataset, pack, spec, remarks);
  if (config.recipe != "finetune") return remarks;
  for (const auto& set : config.validation_sets)
    check_section(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset, pack,
                  spec, remarks);
  return remarks;
}

void tell_lengths(const config::RecipeConfig& config, const models::DecoderSpec& spec) {
  const auto remarks = check_lengths(config, spec);
  for (const auto& warning : remarks.warnings) log_warning(warning);
  for (const auto& note : remarks.notes) log_info("note: " + note);
}

}  // namespace automodel::recipes
