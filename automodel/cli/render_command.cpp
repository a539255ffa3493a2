// render: the chat template applied, and what of it is trained.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/cli/chat_input.h"
#include "automodel/cli/commands.h"
#include "automodel/cli/line_input.h"
#include "automodel/data/chat_format.h"
#include "automodel/data/inspect.h"
#include "automodel/data/left_out_watch.h"
#include "automodel/data/messages.h"
#include "automodel/net/resolve.h"
#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::cli {

namespace {

using Spans = std::vector<std::pair<size_t, size_t>>;

// The bytes of each run of trained tokens.
Spans trained_spans(const data::ChatFormat::Tokens& tokens) {
  Spans spans;
  for (size_t t = 0; t < tokens.ids.size(); ++t) {
    const auto& [begin, end] = tokens.offsets[t];
    if (!tokens.trained[t] || begin == end) continue;
    if (t > 0 && tokens.trained[t - 1] && !spans.empty() && begin <= spans.back().second)
      spans.back().second = std::max(spans.back().second, end);
    else
      spans.emplace_back(begin, end);
  }
  return spans;
}

std::string marked(const std::string& text, const Spans& spans) {
  const bool color = ::isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR");
  std::string out;
  size_t at = 0;
  for (const auto& [begin, end] : spans) {
    out += text.substr(at, begin - at) + (color ? "\033[32m" : "[[") + text.substr(begin, end - begin) +
           (color ? "\033[0m" : "]]");
    at = end;
  }
  return out + text.substr(at);
}

// How many ids the model beside a tokenizer has rows for; those of the tokenizer where no model says.
int64_t vocabulary_of(const std::filesystem::path& folder, const tokenizer::Tokenizer& tokenizer) {
  const auto file = folder / "config.json";
  if (!std::filesystem::is_regular_file(file)) return tokenizer.vocab_size();
  std::string fault;
  try {
    const Json config = load_json(file);
    const auto own = config.is_object() ? config.find("text_config") : config.end();
    const Json& named = own != config.end() ? *own : config;
    if (!named.is_object() || !named.contains("vocab_size")) return tokenizer.vocab_size();
    const Json& size = named["vocab_size"];
    if (size.is_number_unsigned() && size.get<uint64_t>() > 0) return size.get<int64_t>();
    fault = fmt::format("{}: 'vocab_size' should be a whole number above 0, got {}", file.string(), size.dump());
  } catch (const Error& error) {
    fault = error.what();
  }
  log_warning(fmt::format("{}\n  ids are held to the {} of the tokenizer instead", fault, tokenizer.vocab_size()));
  return tokenizer.vocab_size();
}

class Renderer {
 public:
  explicit Renderer(const RenderOptions& options) : options_(options) {
    check_options();
    if (!options.model.empty()) {
      const auto folder = net::resolve_model(options.model, "", net::ModelFiles::Tokenizer);
      tokenizer_ = tokenizer::load(folder);
      if (options.mask) vocabulary_ = vocabulary_of(folder, *tokenizer_);
    }
    if (options.template_file.empty() && (!tokenizer_ || tokenizer_->template_for(true).empty()))
      throw DataError(options.model.empty() ? "render" : options.model, "there is no chat template",
                      "name one with --template FILE");
    if (!options.tools_file.empty()) {
      tools_ = load_json(options.tools_file);
      data::check_tools(tools_, options.tools_file);
    }
    if (options.mask) format_.emplace(tokenizer_, data::ChatOptions{.chat_template = options.template_file});
  }

  struct Result {
    tokenizer::Rendered rendered;
    std::optional<data::ChatFormat::Tokens> tokens;  // with --mask
  };

  Result render(const Json& chat, const std::string& where) {
    Json variables = variables_of(chat, where);
    Result result;
    const std::string field = continued_field(variables, where);
    if (!options_.mask) {
      const auto& source = template_for(variables, where);
      if (variables.contains("messages")) warn_of_roles(source, variables["messages"], where, told_);
      result.rendered = render_chat(source, variables, field, where);
      if (variables.contains("messages"))
        left_out_.look(source, variables["messages"], variables.value("tools", Json()), result.rendered.text, where,
                       [&] { return variables; });
      return result;
    }
    if (!field.empty())
      throw DataError(where, "asks for continue_final_message, which excludes --mask: an open message is not trained");
    const data::Row row{variables, where, 0};
    const Json messages = data::messages_of(row), tools = data::tools_of(row);
    for (const char* name : {"messages", "tools"}) variables.erase(name);
    if (variables["add_generation_prompt"] == false) variables.erase("add_generation_prompt");
    result.tokens = format_->tokenize(messages, tools, where, variables);
    result.rendered.text = result.tokens->text;
    return result;
  }

  // What held for all chats.
  void finish() const {
    for (const auto& note : left_out_.notes()) log_warning(note);
    if (!format_) return;
    for (const auto& note : format_->notes()) log_warning(note);
  }

  void print(const Result& result) const {
    const std::string& text = result.rendered.text;
    if (result.tokens) tell(*result.tokens);
    if (!options_.ids) {
      std::cout << (result.tokens ? marked(text, trained_spans(*result.tokens)) : text);
      if (::isatty(STDOUT_FILENO)) std::cout << "\n";
    } else if (result.tokens) {
      std::cout << as_json({{"ids", result.tokens->ids}, {"mask", result.tokens->trained}}) << "\n";
    } else {
      std::cout << as_json(tokenizer_->encode(text, false)) << "\n";
    }
  }

  Json to_json(const Result& result) const {
    Json out{{"text", result.rendered.text}};
    if (result.tokens) out["trained"] = trained_spans(*result.tokens);
    if (options_.ids) out["ids"] = result.tokens ? result.tokens->ids : tokenizer_->encode(result.rendered.text, false);
    if (!result.tokens) return out;
    const auto& trained = result.tokens->trained;
    if (options_.ids) out["mask"] = trained;
    out["tokens"] = trained.size();
    out["trained_tokens"] = std::count(trained.begin(), trained.end(), true);
    if (const auto faults = faults_of(*result.tokens); !faults.empty()) out["warnings"] = faults;
    return out;
  }

 private:
  void check_options() const {
    if ((options_.ids || options_.mask) && options_.model.empty())
      throw ConfigError("render", "--ids and --mask need --model");
    if (options_.continued.empty()) return;
    if (options_.add_generation_prompt)
      throw ConfigError("render", "--continue-final-message and --add-generation-prompt exclude each other",
                        "the one goes on with the last message, the other begins a new one");
    if (options_.mask)
      throw ConfigError("render", "--continue-final-message and --mask exclude each other",
                        "a message that is left open is not trained");
  }

  // What the template sees: the chat's own variables, ShareGPT's conversations as messages, tools that are text as the
  // list in it, and the defaults.
  Json variables_of(const Json& chat, const std::string& where) {
    Json variables = chat_variables(chat, where);
    const data::Row row{variables, where, 0};
    if (!variables.contains("messages") && variables.contains("conversations"))
      variables["messages"] = data::messages_of(row);
    if (variables.contains("messages"))
      check_messages(variables["messages"], where);
    else if (told_.insert("no messages").second)
      log_warning(where + ": has no 'messages', so the template is given its other variables alone");
    if (has_tools(variables)) {
      const Json tools = data::tools_of(row);
      if (variables["tools"].is_string()) variables["tools"] = tools;
    }
    if (tokenizer_) return with_defaults(std::move(variables), *tokenizer_, tools_, options_.add_generation_prompt);
    if (!variables.contains("tools") && !tools_.is_null()) variables["tools"] = tools_;
    if (!variables.contains("add_generation_prompt"))
      variables["add_generation_prompt"] = options_.add_generation_prompt;
    return variables;
  }

  // What the command says, else what the chat does.
  std::string continued_field(Json& variables, const std::string& where) const {
    const std::string own = take_continued_field(variables, where);
    return options_.continued.empty() ? own : options_.continued;
  }

  // The file, else the model's own for this conversation.
  const tokenizer::ChatTemplate& template_for(const Json& variables, const std::string& where) {
    const std::string& file = options_.template_file;
    auto& parsed = templates_[has_tools(variables)];
    if (!parsed)
      parsed.emplace(file.empty()
                         ? own_template(*tokenizer_, has_tools(variables), where, "name one with --template FILE")
                         : tokenizer::ChatTemplate::parse(data::resolve_chat_template(file), file));
    return *parsed;
  }

  // What is wrong with what is trained.
  std::vector<std::string> faults_of(const data::ChatFormat::Tokens& tokens) const {
    const auto faults = data::faults_of(data::shift(tokens.ids, tokens.trained), *tokenizer_, vocabulary_);
    std::vector<std::string> texts;
    if (faults.outside)
      texts.push_back(fmt::format("holds the token id {}, outside the vocabulary of {}", *faults.outside, vocabulary_));
    if (faults.untrained) texts.emplace_back("nothing is trained");
    if (faults.double_bos) texts.emplace_back("begins with two bos tokens");
    if (faults.no_stop) texts.emplace_back("the token that ends the assistant's turn is not trained");
    return texts;
  }

  void tell(const data::ChatFormat::Tokens& tokens) const {
    const auto trained = std::count(tokens.trained.begin(), tokens.trained.end(), true);
    log_info(fmt::format("{}, {} trained", counted(std::ssize(tokens.ids), "token"), trained));
    for (const auto& fault : faults_of(tokens)) log_warning(fault);
  }

  const RenderOptions& options_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  int64_t vocabulary_ = 0;
  std::optional<tokenizer::ChatTemplate> templates_[2];
  std::optional<data::ChatFormat> format_;
  Json tools_;
  std::set<std::string> told_;
  data::LeftOutWatch left_out_;
};

}  // namespace

int run_render(const RenderOptions& options) {
  Renderer renderer(options);
  if (!options.jsonl) {
    const std::string where = shown_name(options.chat);
    renderer.print(renderer.render(parse_json(read_input(options.chat), where), where));
    renderer.finish();
    return 0;
  }
  int64_t lines = 0, failed = 0;
  for_each_line(options.chat, [&](const Line& line) {
    Json out;
    ++lines;
    try {
      out = renderer.to_json(renderer.render(line.parse(), line.where()));
    } catch (const Error& error) {
      ++failed;
      out = {{"error", error.what()}};
    }
    std::cout << as_json(out) << "\n";
  });
  renderer.finish();
  if (failed > 0) log_warning(fmt::format("{} of {} lines could not be rendered", failed, lines));
  return 0;
}

}  // namespace automodel::cli
