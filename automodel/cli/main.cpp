// automodel: reads what was typed, calls the subcommand, prints errors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"
#include "automodel/kernels/cuda/device_error.h"

namespace automodel::cli {
namespace {

const char* kUsage = R"(automodel CONFIG.yaml [--a.b.c VALUE ...]        run the recipe that the YAML names
automodel finetune|pretrain|kd|benchmark llm|vlm -c CONFIG.yaml ...
automodel check|plan|data CONFIG.yaml [--json] [--a.b.c VALUE ...]
automodel tokenize|render|score|generate|preprocess --help
automodel checkpoint info|verify|consolidate|merge PATH ...
automodel download REPO [--dataset] [--revision R] [--include PATTERN ...]
automodel compare RUN RUN ... | models | doctor | help TOPIC | version)";

using Words = std::vector<std::string>;

// The commands that take a configuration read --a.b.c themselves; everything else is CLI11's.
int run_config_command(const std::string& command, const Words& rest) {
  const auto help = config_command_help(command);
  const auto arguments = parse_config_arguments(rest, help.empty() ? std::string(kUsage) + "\n" : help);
  if (arguments.samples && command != "data") throw ConfigError("--n", "belongs to `automodel data`");
  if (command == "check") return run_check(arguments);
  if (command == "plan") return run_plan(arguments);
  if (command == "data") return run_data(arguments);
  return run_recipe(arguments);
}

// "finetune llm -c FILE ..." is "FILE ..." in the older spelling, and FILE must name that recipe.
int run_older_spelling(const Words& words) {
  const auto help = config_command_help(words[0]);
  if (words.size() > 1 && (words[1] == "-h" || words[1] == "--help")) {
    std::cout << help;
    return 0;
  }
  if (words.size() < 2 || (words[1] != "llm" && words[1] != "vlm"))
    throw ConfigError("automodel " + words[0], "expected llm or vlm, then -c CONFIG.yaml",
                      "`automodel " + words[0] + " --help` says how to use it");
  Words rest;
  for (size_t i = 2; i < words.size(); ++i)
    if (words[i] != "-c" && words[i] != "--config") rest.push_back(words[i]);
  auto arguments = parse_config_arguments(rest, help);
  const std::string verb = words[0] == "pretrain" ? "finetune" : words[0];  // one recipe, as in NeMo AutoModel
  arguments.recipe = words[1] == "vlm" ? "vlm_" + verb : verb;
  return run_recipe(arguments);
}

void add_tokenize(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("tokenize", "one line of text in, one JSON list of ids out");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--model", options->model, "folder with tokenizer.json, or a Hub id")->required();
  command->add_option("FILE", options->file, "text, one line each; - is standard input");
  command->add_flag("--no-special", options->no_special,
                    "do not add bos and eos; with --decode: leave special tokens out");
  command->add_flag("--decode", options->decode, "JSON lists of ids in, text out");
  command->add_flag("--offsets", options->offsets, "{\"ids\", \"offsets\"}: the bytes each id came from");
  command->add_flag("--jsonl", options->jsonl, "each line in (or, with --decode, out) is a JSON string");
  command->callback([options, &result] { result = run_tokenize(*options); });
}

void add_preprocess(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("preprocess", "JSON lines tokenised into Megatron's .bin/.idx");
  auto given = std::make_shared<PreprocessCommand>();
  auto& options = given->options;
  command->add_option("--input", options.inputs, "one or more .jsonl files, also .gz or .zst")->required();
  command->add_option("--output-prefix", options.output_prefix, "writes PREFIX_KEY_document.bin and .idx")->required();
  command->add_option("--model", options.model, "folder with tokenizer.json")->required();
  command->add_option("--json-keys", options.keys, "keys of a row that hold a text, or a list of texts")
      ->capture_default_str();
  command->add_flag("--append-eod", options.append_eod, "end each document with the eos token");
  command->add_flag("!--no-special", options.add_special, "do not add bos and eos as the tokenizer would");
  command->add_option("--workers", options.workers, "threads; 0: one for each core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command->add_flag("--skip-bad-rows", options.skip_bad_rows, "leave out and count rows that cannot be used");
  command->add_flag("--restart", options.restart, "throw away what an earlier run wrote");
  command->add_flag("--json", given->json, "as JSON");
  command->callback([given, &result] { result = run_preprocess(*given); });
}

void add_render(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("render", "the chat template applied");
  auto options = std::make_shared<RenderOptions>();
  command->add_option("--model", options->model, "folder with tokenizer_config.json, or a Hub id");
  command->add_option("CHAT.json", options->chat,
                      "a list of messages, or an object of template variables; - is standard input");
  command->add_option("--template", options->template_file, "file with another template");
  command->add_option("--tools", options->tools_file, "JSON file with a list of tools");
  command->add_flag("--add-generation-prompt", options->add_generation_prompt, "end where the assistant begins");
  command->add_flag("--continue-final-message{content}", options->continued,
                    "end inside the last message, for the model to go on; =FIELD: in this field of it");
  command->add_flag("--ids", options->ids, "print ids instead of text");
  command->add_flag("--mask", options->mask, "show what is trained: in colour, or with --ids as a list");
  command->add_flag("--jsonl", options->jsonl, "one object a line in, {\"text\"} or {\"error\"} a line out");
  command->callback([options, &result] { result = run_render(*options); });
}

void add_score(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("score", "loss and per-token log-probabilities of a batch, as JSON");
  auto options = std::make_shared<ScoreOptions>();
  command->add_option("--model", options->model, "model folder, checkpoint, adapter folder or Hub id")->required();
  command->add_option("--batch", options->batch, "{\"documents\": [{\"input_ids\": [...], \"labels\": [...]}]}")
      ->required();
  command->add_option("--logits", options->logits, "write the logits [T, vocab] in fp32 to this safetensors file");
  command->add_option("--grads", options->grads, "write the gradients of the mean loss to this safetensors file");
  command->add_option("--dtype", options->dtype, "auto, float32, bfloat16 or float16");
  command->add_option("--device", options->device, "auto, cpu or cuda");
  command->add_option("--lora", options->lora, "PEFT adapter folder or Hub id");
  command->callback([options, &result] { result = run_score(*options); });
}

void add_generate(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("generate", "text from a model, streamed");
  auto options = std::make_shared<GenerateOptions>();
  command->add_option("--model", options->model, "model folder, checkpoint, adapter folder or Hub id")->required();
  auto* prompt = command->add_option("--prompt", options->prompt, "text to go on from");
  command->add_option("--chat", options->chat, "JSON file: a list of messages; - is standard input")->excludes(prompt);
  command
      ->add_flag("--continue-final-message{content}", options->continued,
                 "with --chat: go on with the last message instead of beginning a new one")
      ->excludes(prompt);
  command->add_option("--max-new-tokens", options->max_new_tokens, "at most so many");
  command->add_option("--temperature", options->temperature, "0: greedy");
  command->add_option("--top-k", options->top_k, "draw among the k likeliest; 0: all");
  command->add_option("--top-p", options->top_p, "draw among the likeliest whose probabilities reach p");
  command->add_option("--seed", options->seed, "of the draws");
  command->add_option("--dtype", options->dtype, "auto, float32, bfloat16 or float16");
  command->add_option("--device", options->device, "auto, cpu or cuda");
  command->add_option("--lora", options->lora, "PEFT adapter folder or Hub id");
  command->add_flag("--json", options->json, "print {\"text\", \"ids\", ...} at the end instead of streaming");
  command->callback([options, &result] { result = run_generate(*options); });
}

void add_checkpoint(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("checkpoint", "look at, check or merge what was saved");
  command->require_subcommand(1);
  const std::pair<const char*, const char*> actions[] = {
      {"info", "what lies there"},
      {"verify", "read everything and compare with what was recorded"},
      {"consolidate", "join the shards of a checkpoint into a model folder (this build writes none)"},
      {"merge", "write a model folder with the adapter's effect in the weights"}};
  for (const auto& [name, help] : actions) {
    auto* action = command->add_subcommand(name, help);
    auto options = std::make_shared<CheckpointOptions>();
    options->action = name;
    action->add_option("PATH", options->path, "run, checkpoint, model or adapter folder")->required();
    if (options->action == "merge") action->add_option("--out", options->out, "folder to write")->required();
    if (options->action == "consolidate") action->add_option("--out", options->out, "folder to write");
    action->add_flag("--json", options->json, "as JSON");
    action->callback([options, &result] { result = run_checkpoint(*options); });
  }
}

void add_download(CLI::App& app, int& result) {
  auto* command = app.add_subcommand("download", "a model or data set from the Hub, ahead of the run that needs it");
  auto options = std::make_shared<DownloadOptions>();
  command->add_option("REPO", options->repo, "org/name")->required();
  command->add_option("--revision", options->revision, "branch, tag or commit");
  command->add_flag("--dataset", options->dataset, "REPO is a data set");
  command->add_option("--include", options->include,
                      "only files that match; '*' is any run of characters (of a model: instead of what a run needs)");
  command->add_flag("--json", options->json, "print {\"path\", \"commit\", \"files\", \"bytes\"}");
  command->callback([options, &result] { result = run_download(*options); });
}

Words command_names(const CLI::App& app) {
  Words names = config_command_names();
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

// What `automodel TOPIC --help` prints; empty for what is no command.
std::string command_help(const CLI::App& app, const Words& topic) {
  const CLI::App* at = &app;
  std::string called = "automodel";
  for (const auto& word : topic) {
    const auto subs = at->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == word; });
    if (subs.empty()) return topic.size() == 1 ? config_command_help(word) : "";
    if (at != &app) called += " " + at->get_name();
    at = subs.front();
  }
  return at == &app ? "" : at->help(called);
}

// A section of the configuration, or a command; of checkpoint and benchmark, which are both, the section.
int help_on(const CLI::App& app, const Words& topic) {
  const std::string name = join(topic, " "), command = command_help(app, topic);
  try {
    const int result = run_help(name);
    if (!command.empty()) std::cout << fmt::format("`automodel {} --help` is about the command\n", name);
    return result;
  } catch (const ConfigError&) {
    if (!command.empty()) {
      std::cout << command;
      return 0;
    }
    const auto near = topic.size() == 1 ? nearest(name, command_names(app)) : "";
    if (near.empty()) throw;
    throw ConfigError(name, "no section of the configuration and no command; did you mean " + near + "?",
                      "`automodel help` lists the commands, `automodel help config` the sections");
  }
}

void add_rest(CLI::App& app, int& result) {
  auto* compare = app.add_subcommand("compare", "losses and speed of runs side by side");
  auto compared = std::make_shared<CompareOptions>();
  compare->add_option("RUN", compared->runs, "run folders or training.jsonl files")->required();
  compare->add_flag("--json", compared->json, "as JSON");
  compare->callback([compared, &result] { result = run_compare(*compared); });

  const std::pair<const char*, int (*)(bool)> plain[] = {
      {"models", run_models}, {"doctor", run_doctor}, {"version", run_version}};
  const char* helps[] = {"the families this program knows", "what this machine has, what is missing and how to mend it",
                         "the version"};
  for (size_t i = 0; i < 3; ++i) {
    auto* command = app.add_subcommand(plain[i].first, helps[i]);
    auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "as JSON");
    command->callback([json, &result, run = plain[i].second] { result = run(*json); });
  }
  auto* help = app.add_subcommand("help", "help on a topic: COMMAND, config, config SECTION");
  auto topic = std::make_shared<Words>();
  help->add_option("TOPIC", *topic, "topic");
  help->callback(
      [topic, overview = app.help(), &app, &result] {  // asked here: while `help` is parsed, it gives its own
        if (topic->empty()) std::cout << overview << "\n";
        result = help_on(app, *topic);
      });
}

void check_command_name(const CLI::App& app, const std::string& word) {
  const Words names = command_names(app);
  if (word.starts_with("-") || std::find(names.begin(), names.end(), word) != names.end()) return;
  const auto near = nearest(word, names);
  throw ConfigError(
      word,
      "is no command and no file that ends in .yaml or .yml" + (near.empty() ? "" : "; did you mean " + near + "?"),
      "`automodel --help` lists the commands");
}

// CLI11 names what is missing, but not what may stand there.
void check_action(const CLI::App& app, const Words& words) {
  if (words[0] != "checkpoint" || (words.size() > 1 && words[1].starts_with("-"))) return;
  Words names;
  for (const CLI::App* sub : app.get_subcommand("checkpoint")->get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  if (words.size() > 1 && std::find(names.begin(), names.end(), words[1]) != names.end()) return;
  const auto near = words.size() > 1 ? nearest(words[1], names) : "";
  throw ConfigError(
      "automodel checkpoint",
      fmt::format("expected {}, got {}{}", join(names, ", "), words.size() > 1 ? "'" + words[1] + "'" : "nothing",
                  near.empty() ? "" : "; did you mean " + near + "?"),
      "`automodel checkpoint --help` says what each does");
}

int run_other(const Words& words, const char* program) {
  CLI::App app("Trains Hugging Face LLMs natively.\n\n" + std::string(kUsage), "automodel");
  int result = 0;
  app.require_subcommand(1);
  add_tokenize(app, result);
  add_preprocess(app, result);
  add_render(app, result);
  add_score(app, result);
  add_generate(app, result);
  add_checkpoint(app, result);
  add_download(app, result);
  add_rest(app, result);
  check_command_name(app, words[0]);
  check_action(app, words);
  std::vector<const char*> argv = {program};
  for (const auto& word : words) argv.push_back(word.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    std::string called = "automodel", unknown;
    const CLI::App* sub = &app;
    for (; !sub->get_subcommands().empty(); sub = sub->get_subcommands().front())
      called += " " + sub->get_subcommands().front()->get_name();
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) && !sub->remaining().empty())
      unknown = ", got '" + sub->remaining().front() + "'";
    throw ConfigError(called, error.what() + unknown, "`" + called + " --help` says how to use it");
  }
  return result;
}

bool is_yaml(const std::string& word) { return word.ends_with(".yaml") || word.ends_with(".yml"); }

int dispatch(const Words& words, const char* program) {
  if (words.empty()) {
    std::fprintf(stderr, "%s\n", kUsage);
    return 2;
  }
  const std::string& first = words[0];
  const Words rest(words.begin() + 1, words.end());
  if (first == "check" || first == "plan" || first == "data") return run_config_command(first, rest);
  if (first == "finetune" || first == "pretrain" || first == "kd" || first == "benchmark")
    return run_older_spelling(words);
  if (is_yaml(first) || (first.starts_with("--") && first != "--help" && first != "--version"))
    return run_config_command("run", words);
  if (first == "--version") return run_version(false);
  return run_other(words, program);
}

}  // namespace
}  // namespace automodel::cli

int main(int argc, char** argv) {
  using namespace automodel;
  try {
    const int code = cli::dispatch({argv + 1, argv + argc}, argv[0]);
    std::cout.flush();
    if (!std::cout)
      throw SystemError("standard output", "cannot be written", "is the disk full, or was the pipe closed?");
    return code;
  } catch (const std::exception& error) {
    finish_status();
    const auto of_device = kernels::as_device_error(error);
    if (const Error* fault = of_device ? &*of_device : dynamic_cast<const Error*>(&error)) {
      std::fprintf(stderr, "error: %s\n", fault->what());
      return fault->exit_code();
    }
    std::fprintf(stderr, "internal error: %s\n  please report this with the command that you typed\n", error.what());
    return 70;
  }
}
