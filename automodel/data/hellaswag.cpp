#include "automodel/data/hellaswag.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "automodel/base/error.h"

namespace automodel::data {

/// transformers' all_special_ids: the tokens that tokenizer_config.json gives a role, not every added token marked
/// special.
static std::set<int32_t> special_ids(const tokenizer::Tokenizer& tokenizer) {
  std::set<int32_t> ids;
  for (const auto& id : {tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id})
    if (id) ids.insert(*id);
  const auto add = [&](const Json& token) {
    const Json& text = token.is_object() && token.contains("content") ? token["content"] : token;
    if (!text.is_string()) return;
    if (const auto id = tokenizer.token_to_id(text.get_ref<const std::string&>())) ids.insert(*id);
  };
  add(tokenizer.unk_token);
  if (!tokenizer.config.is_object()) return ids;
  for (const auto* role : {"sep_token", "cls_token", "mask_token"})
    if (tokenizer.config.contains(role)) add(tokenizer.config[role]);
  for (const auto* list : {"additional_special_tokens", "extra_special_tokens"})
    if (tokenizer.config.contains(list) && tokenizer.config[list].is_structured())
      for (const auto& token : tokenizer.config[list]) add(token);
  return ids;
}

HellaSwagBuilder::HellaSwagBuilder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, EdgeTokens edges)
    : tokenizer_(std::move(tokenizer)), special_(special_ids(*tokenizer_)), edges_(edges) {}

static std::string right_ending(const Row& row) {
  const auto endings = row.value.find("endings");
  if (endings == row.value.end() || !endings->is_array()) throw DataError(row.where, "expected a list 'endings'");
  const std::string text = text_column(row, "label");  // a number, or a text as the original files write it
  size_t label = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (error != std::errc() || end != text.data() + text.size() || label >= endings->size())
    throw DataError(row.where, fmt::format("label '{}' is none of its {} endings", text, endings->size()));
  if (!(*endings)[label].is_string()) throw DataError(row.where, "an ending should be a text");
  return (*endings)[label].get<std::string>();
}

Sample HellaSwagBuilder::build(const Row& row) const {
  auto context = encode_text(*tokenizer_, text_column(row, "ctx"), edges_).ids;
  auto ending = encode_text(*tokenizer_, right_ending(row), edges_).ids;
  if (!context.empty() && special_.contains(context.back())) context.pop_back();
  if (!ending.empty() && special_.contains(ending.front())) ending.erase(ending.begin());
  if (context.empty()) throw DataError(row.where, "'ctx' has no tokens");
  Sample sample;
  sample.labels.assign(context.size() - 1, kNotTrained);
  sample.labels.insert(sample.labels.end(), ending.begin(), ending.end());
  sample.labels.push_back(kNotTrained);
  sample.ids = std::move(context);
  sample.ids.insert(sample.ids.end(), ending.begin(), ending.end());
  return sample;
}

}  // namespace automodel::data
