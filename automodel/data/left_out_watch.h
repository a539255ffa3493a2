// LeftOutWatch: says once of each kind what chat templates left out of a data set's conversations.
//
// Every conversation is looked at, nearly for nothing: each message's text should stand in the rendering. Where one
// does not, or a role, a tool call or tools come for the first time, the template is asked (tokenizer::find_left_out).
// The template is asked of what is new however often texts did not stand there.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "automodel/tokenizer/chat_template.h"

namespace automodel::data {

/// Thread-safe.
class LeftOutWatch {
 public:
  /// `text` is what `source` rendered of `variables()`, whose messages and tools are these; `where` is the row's place.
  void look(const tokenizer::ChatTemplate& source, const Json& messages, const Json& tools, const std::string& text,
            const std::string& where, const std::function<Json()>& variables);
  /// One for each role and part that was left out, with the place where it was first.
  std::vector<std::string> notes() const;

 private:
  bool must_ask(const Json& messages, const Json& tools, const std::string& text);

  mutable std::mutex mutex_;
  std::set<std::string> seen_;     // roles, and who has tool calls
  std::set<std::string> missing_;  // what has its note
  std::vector<std::string> notes_;
  int asked_ = 0;  // conversations of which the template was asked for their texts alone
};

}  // namespace automodel::data
