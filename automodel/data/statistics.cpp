#include "automodel/data/statistics.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

struct Field {
  const char* name;
  int64_t Statistics::*member;
};
static constexpr Field kFields[] = {
    {"rows", &Statistics::rows},
    {"bad_rows", &Statistics::bad_rows},
    {"untrained_rows", &Statistics::untrained_rows},
    {"samples", &Statistics::samples},
    {"tokens_in", &Statistics::tokens_in},
    {"truncated_samples", &Statistics::truncated_samples},
    {"truncated_tokens", &Statistics::truncated_tokens},
    {"split_samples", &Statistics::split_samples},
    {"dropped_documents", &Statistics::dropped_documents},
    {"dropped_tokens", &Statistics::dropped_tokens},
    {"documents", &Statistics::documents},
    {"tokens_out", &Statistics::tokens_out},
    {"trained_tokens", &Statistics::trained_tokens},
    {"packs", &Statistics::packs},
    {"pack_room", &Statistics::pack_room},
};

Statistics& Statistics::operator+=(const Statistics& other) {
  for (const auto& field : kFields) this->*field.member += other.*field.member;
  return *this;
}

Json Statistics::to_json() const {
  Json json = Json::object();
  for (const auto& field : kFields) json[field.name] = this->*field.member;
  return json;
}

Statistics Statistics::from_json(const Json& json) {
  Statistics statistics;
  for (const auto& field : kFields) {
    if (!json.is_object() || !json.contains(field.name) || !json[field.name].is_number_integer())
      throw CheckpointError("data state", fmt::format("has no count '{}'", field.name));
    statistics.*field.member = json[field.name].get<int64_t>();
  }
  return statistics;
}

std::string Statistics::summary() const {
  const auto count = [](int64_t n) { return format_count(static_cast<uint64_t>(n)); };
  std::string text =
      fmt::format("{} rows, {} tokens ({} trained)", count(rows), count(tokens_out), count(trained_tokens));
  if (pack_room > 0) text += fmt::format(", packs {:.1f} % full", 100 * packing_efficiency());
  if (truncated_samples > 0)
    text += fmt::format(", {} truncated ({} tokens lost)", count(truncated_samples), count(truncated_tokens));
  if (split_samples > 0) text += fmt::format(", {} split", count(split_samples));
  if (dropped_documents > 0)
    text += fmt::format(", {} dropped ({} tokens)", count(dropped_documents), count(dropped_tokens));
  if (bad_rows > 0) text += fmt::format(", {} bad rows skipped", count(bad_rows));
  if (untrained_rows > 0) text += fmt::format(", {} rows without trained tokens skipped", count(untrained_rows));
  return text;
}

}  // namespace automodel::data
