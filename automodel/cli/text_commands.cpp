// tokenize, render: text to ids and back, and the chat template.
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"
#include "automodel/data/chat_format.h"
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
    opened.open(file);
    if (!opened) throw SystemError(file, "cannot be opened");
  }
  std::istream& in = file == "-" ? std::cin : opened;
  const std::string name = file == "-" ? "<stdin>" : file;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) f(line, fmt::format("{}:{}", name, number));
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

class Renderer {
 public:
  explicit Renderer(const RenderOptions& options) : options_(options) {
    if (!options.model.empty())
      tokenizer_ = tokenizer::load(net::resolve_model(options.model, "", net::ModelFiles::Tokenizer));
    std::string source, name = "chat template";
    if (!options.template_file.empty())
      source = data::resolve_chat_template(options.template_file), name = options.template_file;
    else if (tokenizer_)
      source = tokenizer_->template_for(!options.tools_file.empty());
    if (source.empty())
      throw DataError(options.model.empty() ? "render" : options.model, "there is no chat template",
                      "name one with --template FILE");
    template_.emplace(tokenizer::ChatTemplate::parse(source, name));
    if (!options.tools_file.empty()) tools_ = load_json(options.tools_file);
    if ((options.ids || options.mask) && !tokenizer_) throw ConfigError("render", "--ids and --mask need --model");
  }

  tokenizer::Rendered render(const Json& chat) const {
    Json variables = chat.is_array() ? Json{{"messages", chat}} : chat;
    if (!variables.is_object())
      throw DataError("chat", "expected a list of messages or an object of template variables");
    if (tokenizer_) {
      const auto defaults = data::template_variables(*tokenizer_, variables.value("messages", Json::array()), tools_,
                                                     options_.add_generation_prompt);
      for (const auto& [key, value] : defaults.items())
        if (!variables.contains(key)) variables[key] = value;
    } else {
      if (!variables.contains("tools") && !tools_.is_null()) variables["tools"] = tools_;
      if (!variables.contains("add_generation_prompt"))
        variables["add_generation_prompt"] = options_.add_generation_prompt;
    }
    return template_->render(variables);
  }

  void print(const tokenizer::Rendered& rendered) const {
    if (options_.ids) {
      const auto encoding = tokenizer_->encode_with_offsets(rendered.text, false);
      if (!options_.mask)
        std::cout << as_json(encoding.ids) << "\n";
      else
        std::cout << as_json({{"ids", encoding.ids}, {"mask", data::tokens_in_spans(encoding, rendered.generation)}})
                  << "\n";
      return;
    }
    std::cout << (options_.mask ? marked(rendered) : rendered.text);
    if (::isatty(STDOUT_FILENO)) std::cout << "\n";
  }

  Json to_json(const tokenizer::Rendered& rendered) const {
    Json out{{"text", rendered.text}};
    if (options_.mask) out["generation"] = rendered.generation;
    if (options_.ids) out["ids"] = tokenizer_->encode(rendered.text, false);
    return out;
  }

 private:
  static std::string marked(const tokenizer::Rendered& rendered) {
    const bool color = ::isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR");
    std::string out;
    size_t at = 0;
    for (const auto& [begin, end] : rendered.generation) {
      out += rendered.text.substr(at, begin - at) + (color ? "\033[32m" : "[[") +
             rendered.text.substr(begin, end - begin) + (color ? "\033[0m" : "]]");
      at = end;
    }
    return out + rendered.text.substr(at);
  }

  const RenderOptions& options_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::optional<tokenizer::ChatTemplate> template_;
  Json tools_;
};

}  // namespace

int run_render(const RenderOptions& options) {
  const Renderer renderer(options);
  if (!options.jsonl) {
    renderer.print(renderer.render(parse_json(read_all(options.chat), options.chat == "-" ? "<stdin>" : options.chat)));
    return 0;
  }
  for_each_line(options.chat, [&](const std::string& line, const std::string& where) {
    Json out;
    try {
      out = renderer.to_json(renderer.render(parse_json(line, where)));
    } catch (const Error& error) {
      out = {{"error", error.what()}};
    }
    std::cout << as_json(out) << "\n";
  });
  return 0;
}

}  // namespace automodel::cli
