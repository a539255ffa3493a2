#include "automodel/data/left_out_watch.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/text.h"
#include "automodel/tokenizer/left_out.h"

namespace automodel::data {

// Templates that rewrite every text, and rows that each have a role of their own, must not cost renderings for ever.
static constexpr int kMaxAsked = 64;
static constexpr size_t kMaxSeen = 256, kMaxRenders = 16;

// Whether the texts stand in the rendering, in their order: one pass over it.
static bool shows_all(const Json& messages, std::string_view text) {
  size_t at = 0;
  for (const Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string()) continue;
    const auto part = trim(content->get_ref<const std::string&>());
    const size_t found = text.find(part, at);
    if (found == std::string_view::npos) return false;
    at = found + part.size();
  }
  return true;
}

bool LeftOutWatch::must_ask(const Json& messages, const Json& tools, const std::string& text) {
  const bool shown = shows_all(messages, text);
  const std::lock_guard lock(mutex_);
  bool first = false;
  const auto see = [&](const std::string& what) { first |= seen_.size() < kMaxSeen && seen_.insert(what).second; };
  for (const Json& message : messages) {
    const auto named = message.find("role");
    const auto role = named != message.end() && named->is_string() ? named->get<std::string>() : "";
    const auto calls = message.find("tool_calls");
    see(role);
    if (calls != message.end() && !calls->empty()) see(role + " calls");
  }
  if (!tools.empty()) see(" tools");
  return first || (!shown && asked_++ < kMaxAsked);
}

void LeftOutWatch::look(const tokenizer::ChatTemplate& source, const Json& messages, const Json& tools,
                        const std::string& text, const std::string& where, const std::function<Json()>& variables) {
  if (!must_ask(messages, tools, text)) return;
  for (const auto& left_out : tokenizer::find_left_out(source, variables(), text, kMaxRenders)) {
    const std::lock_guard lock(mutex_);
    if (!missing_.insert(fmt::format("{} {}", static_cast<int>(left_out.part), left_out.role)).second) continue;
    notes_.push_back(fmt::format("{}: {}: the model never sees it", where, tokenizer::describe(left_out)));
  }
}

std::vector<std::string> LeftOutWatch::notes() const {
  const std::lock_guard lock(mutex_);
  return notes_;
}

}  // namespace automodel::data
