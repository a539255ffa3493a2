#include "automodel/data/statistics.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
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
  for (size_t i = 0; i < other.sources.size(); ++i) {
    SourceCounts& mine = of_source(static_cast<int64_t>(i));
    mine.rows += other.sources[i].rows;
    mine.tokens_out += other.sources[i].tokens_out;
    mine.trained_tokens += other.sources[i].trained_tokens;
  }
  return *this;
}

SourceCounts& Statistics::of_source(int64_t source) {
  const auto i = static_cast<size_t>(source);
  if (i >= sources.size()) sources.resize(i + 1);
  return sources[i];
}

Json Statistics::to_json() const {
  Json json = Json::object();
  for (const auto& field : kFields) json[field.name] = this->*field.member;
  for (const auto& source : sources)
    json["sources"].push_back(
        {{"rows", source.rows}, {"tokens_out", source.tokens_out}, {"trained_tokens", source.trained_tokens}});
  return json;
}

Statistics Statistics::from_json(const Json& json) {
  Statistics statistics;
  for (const auto& field : kFields) {
    if (!json.is_object() || !json.contains(field.name) || !json[field.name].is_number_integer())
      throw CheckpointError("data state", fmt::format("has no count '{}'", field.name));
    statistics.*field.member = json[field.name].get<int64_t>();
  }
  if (!json.contains("sources")) return statistics;
  try {
    for (const auto& source : json["sources"])
      statistics.sources.push_back({source.at("rows").get<int64_t>(), source.at("tokens_out").get<int64_t>(),
                                    source.at("trained_tokens").get<int64_t>()});
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError("data state", fmt::format("has damaged counts of sources: {}", error.what()));
  }
  return statistics;
}

std::string Statistics::summary(const std::vector<std::string>& names) const {
  const auto count = [](int64_t n) { return format_count(static_cast<uint64_t>(n)); };
  std::string text = fmt::format("{} {}, {} {} ({} trained)", count(rows), noun_for(rows, "row"), count(tokens_out),
                                 noun_for(tokens_out, "token"), count(trained_tokens));
  if (pack_room > 0) text += fmt::format(", packs {:.1f} % full", 100 * packing_efficiency());
  if (truncated_samples > 0)
    text += fmt::format(", {} truncated ({} {} lost)", count(truncated_samples), count(truncated_tokens),
                        noun_for(truncated_tokens, "token"));
  if (split_samples > 0) text += fmt::format(", {} split", count(split_samples));
  if (dropped_documents > 0)
    text += fmt::format(", {} dropped ({} {})", count(dropped_documents), count(dropped_tokens),
                        noun_for(dropped_tokens, "token"));
  if (const int64_t waiting = tokens_in - tokens_out - truncated_tokens - dropped_tokens; waiting > 0)
    text += fmt::format(", {} {} read ahead for later packs", count(waiting), noun_for(waiting, "token"));
  const auto rows_left_out = [&](int64_t n, const char* one, const char* many) {
    if (n > 0) text += fmt::format(", {} {} left out", count(n), n == 1 ? one : many);
  };
  rows_left_out(bad_rows, "bad row", "bad rows");
  rows_left_out(untrained_rows, "row without trained tokens", "rows without trained tokens");
  for (size_t i = 0; i < sources.size() && i < names.size(); ++i)
    text += fmt::format(
        "; {}: {} {}, {} {} ({:.1f} %)", names[i], count(sources[i].rows), noun_for(sources[i].rows, "row"),
        count(sources[i].tokens_out), noun_for(sources[i].tokens_out, "token"),
        tokens_out > 0 ? 100.0 * static_cast<double>(sources[i].tokens_out) / static_cast<double>(tokens_out) : 0.0);
  return text;
}

}  // namespace automodel::data
