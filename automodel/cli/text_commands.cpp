// tokenize, render: text to ids and back, and the chat template.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/cli/chat_input.h"
#include "automodel/cli/commands.h"
#include "automodel/data/chat_format.h"
#include "automodel/data/inspect.h"
#include "automodel/data/messages.h"
#include "automodel/net/resolve.h"
#include "automodel/tokenizer/chat_template.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::cli {

namespace {

// Calls f(line, "file:number") for every line of a file or of standard input.
template <class F>
void for_each_line(const std::string& file, const F& f) {
  std::ifstream opened;
  if (file != "-") {
    if (std::filesystem::is_directory(file)) throw SystemError(file, "is a folder, expected a file");
    opened.open(file);
    if (!opened) throw SystemError(file, "cannot be opened");
  }
  std::istream& in = file == "-" ? std::cin : opened;
  const std::string name = file == "-" ? "<stdin>" : file;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) f(line, fmt::format("{}:{}", name, number));
  if (in.bad() || (file == "-" && std::ferror(stdin))) throw SystemError(name, "cannot be read");
}

std::string read_all(const std::string& file) {
  if (file != "-") return read_file(file);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::string as_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void print_ids(const tokenizer::Tokenizer& tokenizer, const std::string& text, const TokenizeOptions& options) {
  if (!options.offsets) {
    std::cout << as_json(tokenizer.encode(text, !options.no_special)) << "\n";
    return;
  }
  const auto encoding = tokenizer.encode_with_offsets(text, !options.no_special);
  std::cout << as_json({{"ids", encoding.ids}, {"offsets", encoding.offsets}}) << "\n";
}

void print_text(const tokenizer::Tokenizer& tokenizer, const Json& ids, const std::string& where,
                const TokenizeOptions& options) {
  if (!ids.is_array()) throw DataError(where, "expected a JSON list of ids");
  std::vector<int32_t> list;
  for (const auto& id : ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= tokenizer.vocab_size())
      throw DataError(where, fmt::format("expected ids below {}, got {}", tokenizer.vocab_size(), id.dump()));
    list.push_back(id.get<int32_t>());
  }
  const auto text = tokenizer.decode(list, options.no_special);
  std::cout << (options.jsonl ? as_json(text) : text) << "\n";
}

}  // namespace

int run_tokenize(const TokenizeOptions& options) {
  const auto tokenizer = tokenizer::load(net::resolve_model(options.model, "", net::ModelFiles::Tokenizer));
  for_each_line(options.file, [&](const std::string& line, const std::string& where) {
    if (options.decode) return print_text(*tokenizer, parse_json(line, where), where, options);
    if (!options.jsonl) return print_ids(*tokenizer, line, options);
    const auto value = parse_json(line, where);
    if (!value.is_string()) throw DataError(where, "expected a JSON string");
    print_ids(*tokenizer, value.get<std::string>(), options);
  });
  return 0;
}

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
  if (!std::filesystem::is_regular_file(folder / "config.json")) return tokenizer.vocab_size();
  const Json config = load_json(folder / "config.json");
  const Json* named = &config;
  if (config.is_object() && config.contains("text_config")) named = &config["text_config"];
  const auto size = named->is_object() ? named->value("vocab_size", Json()) : Json();
  return size.is_number_unsigned() ? size.get<int64_t>() : tokenizer.vocab_size();
}

class Renderer {
 public:
  explicit Renderer(const RenderOptions& options) : options_(options) {
    if (!options.model.empty()) {
      const auto folder = net::resolve_model(options.model, "", net::ModelFiles::Tokenizer);
      tokenizer_ = tokenizer::load(folder);
      vocabulary_ = vocabulary_of(folder, *tokenizer_);
    }
    if (options.template_file.empty() && (!tokenizer_ || tokenizer_->template_for(true).empty()))
      throw DataError(options.model.empty() ? "render" : options.model, "there is no chat template",
                      "name one with --template FILE");
    if (!options.tools_file.empty()) tools_ = load_json(options.tools_file);
    if ((options.ids || options.mask) && !tokenizer_) throw ConfigError("render", "--ids and --mask need --model");
    if (options.mask) format_.emplace(tokenizer_, data::ChatOptions{.chat_template = options.template_file});
  }

  struct Result {
    tokenizer::Rendered rendered;
    std::optional<data::ChatFormat::Tokens> tokens;  // with --mask
  };

  Result render(const Json& chat, const std::string& where) {
    Json variables = variables_of(chat, where);
    Result result;
    if (!options_.mask) {
      result.rendered = template_for(variables, where).render(variables);
      return result;
    }
    const data::Row row{variables, where, 0};
    const Json messages = data::messages_of(row), tools = variables.value("tools", Json());
    for (const char* name : {"messages", "tools"}) variables.erase(name);
    if (variables["add_generation_prompt"] == false) variables.erase("add_generation_prompt");
    result.tokens = format_->tokenize(messages, tools, where, variables);
    result.rendered.text = result.tokens->text;
    return result;
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
    if (result.tokens && options_.ids) out["mask"] = result.tokens->trained;
    if (options_.ids) out["ids"] = tokenizer_->encode(result.rendered.text, false);
    return out;
  }

 private:
  Json variables_of(const Json& chat, const std::string& where) const {
    Json variables = chat_variables(chat, where);
    if (tokenizer_) return with_defaults(std::move(variables), *tokenizer_, tools_, options_.add_generation_prompt);
    if (!variables.contains("tools") && !tools_.is_null()) variables["tools"] = tools_;
    if (!variables.contains("add_generation_prompt"))
      variables["add_generation_prompt"] = options_.add_generation_prompt;
    return variables;
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

  // How much is trained, and what is wrong with it.
  void tell(const data::ChatFormat::Tokens& tokens) const {
    const auto trained = std::count(tokens.trained.begin(), tokens.trained.end(), true);
    log_info(fmt::format("{} tokens, {} trained", tokens.ids.size(), trained));
    const auto faults = data::faults_of(data::shift(tokens.ids, tokens.trained), *tokenizer_, vocabulary_);
    if (faults.outside)
      log_warning(fmt::format("holds the token id {}, outside the vocabulary of {}", *faults.outside, vocabulary_));
    if (faults.untrained) log_warning("nothing is trained");
    if (faults.double_bos) log_warning("begins with two bos tokens");
    if (faults.no_stop) log_warning("the token that ends the assistant's turn is not trained");
    for (const auto& note : format_->notes()) log_warning(note);
  }

  const RenderOptions& options_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  int64_t vocabulary_ = 0;
  std::optional<tokenizer::ChatTemplate> templates_[2];
  std::optional<data::ChatFormat> format_;
  Json tools_;
};

}  // namespace

int run_render(const RenderOptions& options) {
  Renderer renderer(options);
  if (!options.jsonl) {
    const std::string where = options.chat == "-" ? "<stdin>" : options.chat;
    renderer.print(renderer.render(parse_json(read_all(options.chat), where), where));
    return 0;
  }
  for_each_line(options.chat, [&](const std::string& line, const std::string& where) {
    Json out;
    try {
      out = renderer.to_json(renderer.render(parse_json(line, where), where));
    } catch (const Error& error) {
      out = {{"error", error.what()}};
    }
    std::cout << as_json(out) << "\n";
  });
  return 0;
}

}  // namespace automodel::cli
