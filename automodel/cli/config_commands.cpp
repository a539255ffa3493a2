// run, check, plan, data: the commands that take a configuration.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"
#include "automodel/config/load_config.h"
#include "automodel/config/schema.h"
#include "automodel/data/inspect.h"
#include "automodel/recipes/benchmark.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/finetune.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/plan.h"
#include "automodel/recipes/run_settings.h"
#include "automodel/recipes/sample_length.h"

namespace automodel::cli {

static std::optional<std::string> local_folder(const std::string& name, const config::ModelSection& section) {
  const auto folder = net::find_local_model(name, section.revision, section.cache_dir);
  return folder ? std::optional(folder->string()) : std::nullopt;
}

config::Capabilities capabilities() {
  config::Capabilities can;
  for (const auto* family : models::families()) can.families.push_back(family->model_type);
  can.recipes = {"finetune", "benchmark"};
  can.hub = can.hub_datasets = true;
  can.find_model = local_folder;
  can.dataset_kinds.push_back("mock");
  can.try_settings = recipes::try_settings;
  can.try_model = [](config::RecipeConfig config) {
    // Of a Hub id the folder in the cache: no network is used.
    if (const auto here = local_folder(config.model.path, config.model)) config.model.path = *here;
    recipes::try_model(config);
  };
  return can;
}

static int64_t whole_number(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1)
    throw ConfigError(flag, fmt::format("expected a positive whole number, got '{}'", text));
  return value;
}

// Keys of the configuration are --a.b.c; a word that is none, but nearly a flag, is the flag mistyped.
static void check_flag(const std::string& word) {
  const std::string name = word.starts_with("--") ? word.substr(2, word.find('=') - 2) : "";
  const auto& schema = config::Schema::get();
  if (name.empty() || name.find('.') != name.npos || schema.find(name) || !nearest(name, schema.children("")).empty())
    return;
  const auto meant = nearest(name, {"json", "profile", "n", "nproc-per-node", "help", "config"});
  if (!meant.empty())
    throw ConfigError("--" + name, fmt::format("is no flag and no key; did you mean --{}?", meant),
                      "COMMAND --help names the flags, `automodel help config` the keys");
}

// Takes a word that is a flag of these commands, and its value; false: it is none.
static bool take_flag(const std::vector<std::string>& words, size_t& at, ConfigArguments& out,
                      std::vector<std::string>& overrides) {
  const std::string flag = words[at].substr(0, words[at].find('='));
  const auto value = [&]() -> std::string {
    if (flag.size() < words[at].size()) return words[at].substr(flag.size() + 1);
    if (at + 1 >= words.size()) throw ConfigError(flag, "expected a value after it");
    return words[++at];
  };
  if (words[at] == "--json") {
    out.json = true;
  } else if (flag == "--profile") {
    overrides.insert(overrides.end(), {"--benchmark.profile_path", value()});
  } else if (flag == "--n") {
    out.samples = whole_number(flag, value());
  } else if (flag == "--nproc-per-node") {
    if (const auto n = whole_number(flag, value()); n > 1)
      throw UnsupportedError(flag, fmt::format("is {}, this build runs one process", n),
                             "leave it out, or set it to 1");
  } else {
    return false;
  }
  return true;
}

ConfigArguments parse_config_arguments(const std::vector<std::string>& words, const std::string& help) {
  ConfigArguments out;
  std::vector<std::string> overrides;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    if (word == "-h" || word == "--help") {
      std::cout << help;
      std::exit(0);
    }
    if (take_flag(words, i, out, overrides)) continue;
    if (out.file.empty() && !word.starts_with("-")) {
      out.file = word;
      continue;
    }
    check_flag(word);
    overrides.push_back(word);
    if (word.starts_with("--") && word.find('=') == std::string::npos && i + 1 < words.size() &&
        !words[i + 1].starts_with("--"))
      overrides.push_back(words[++i]);
  }
  if (out.file.empty())
    throw ConfigError("automodel", "expected a CONFIG.yaml",
                      "usage:\n    " + replace_all(help.substr(0, help.find("\n\n")), "\n", "\n    "));
  out.overrides = config::parse_overrides(overrides);
  return out;
}

// What a run says of a key, said of the place where the key was given.
template <class Run>
static auto with_places(const config::Report& report, Run run) {
  try {
    return run(config::require_runnable(report));
  } catch (const ConfigError& fault) {
    throw ConfigError("", report.placed(fault.message()), fault.hint());
  } catch (const UnsupportedError& fault) {
    throw UnsupportedError("", report.placed(fault.message()), fault.hint());
  }
}

static int run_benchmark(const config::RecipeConfig& config, bool json) {
  const auto result = recipes::benchmark(config);
  std::cout << (json ? result.json().dump(2) + "\n" : result.text());
  if (result.unsaved) {
    std::cout.flush();
    throw *result.unsaved;
  }
  return 0;
}

// The recipe that the command line names is the file's; but `benchmark` measures any fine-tuning that says how, as half
// of NeMo AutoModel's examples/llm_benchmark are written.
static config::Report check_recipe(const ConfigArguments& arguments) {
  auto report = config::check_config(arguments.file, arguments.overrides, capabilities());
  const auto named = report.config.recipe;
  if (arguments.recipe.empty() || named.empty() || named == arguments.recipe) return report;
  if (arguments.recipe == "benchmark" && named == "finetune" && report.config.benchmark) {
    log_info(fmt::format("note: {} names the recipe finetune; its benchmark section is run", arguments.file));
    auto overrides = arguments.overrides;
    overrides.push_back({.path = "recipe", .text = "benchmark"});
    return config::check_config(arguments.file, overrides, capabilities());
  }
  throw ConfigError(arguments.file + ": recipe",
                    fmt::format("is {}, the command line says {}", named, arguments.recipe),
                    (arguments.recipe == "benchmark" ? "a benchmark section would say what is to be measured; " : "") +
                        ("`automodel " + arguments.file + "` runs the recipe that the file names"));
}

static int run_finetune(const config::RecipeConfig& config) {
  const auto result = recipes::finetune(config);
  if (result.stopped_by != 0) {
    log_info(fmt::format("stopped by signal {} after {}; saved {}\n  go on with the same command", result.stopped_by,
                         counted(result.steps, "step"), result.checkpoint));
    return 128 + result.stopped_by;
  }
  if (result.steps == 0)
    log_info("nothing was left to do: the run in " + config.checkpoint.checkpoint_dir +
             " had ended; another run needs another checkpoint.checkpoint_dir");
  else if (result.checkpoint.empty())
    log_info(
        fmt::format("finished: {}; nothing was saved (checkpoint.enabled is false)", counted(result.steps, "step")));
  else if (std::filesystem::exists(std::filesystem::path(result.checkpoint) / "model"))
    log_info(fmt::format("finished: {}; the model lies in {}/model", counted(result.steps, "step"), result.checkpoint));
  else
    log_info(fmt::format("finished: {}; saved {}, without a model folder (checkpoint.save_consolidated is {})",
                         counted(result.steps, "step"), result.checkpoint, config.checkpoint.save_consolidated));
  return 0;
}

int run_recipe(const ConfigArguments& arguments) {
  if (const char* world = std::getenv("WORLD_SIZE"); world && std::atoi(world) > 1)
    throw UnsupportedError("WORLD_SIZE", fmt::format("is {}, this build runs one process", world),
                           "start the program once, without torchrun or srun");
  const auto report = check_recipe(arguments);
  return with_places(report, [&](const config::RecipeConfig& config) {
    for (const auto& note : config::start_notes(report)) log_info("note: " + note);
    if (config.recipe == "benchmark") return run_benchmark(config, arguments.json);
    if (arguments.json)
      throw ConfigError("--json", "belongs to check, plan, data and benchmarks; a run writes training.jsonl");
    if (config.benchmark && !config.benchmark->profile_path.empty())
      throw ConfigError("benchmark.profile_path", "belongs to the benchmark recipe, this is " + config.recipe);
    return run_finetune(config);
  });
}

int run_check(const ConfigArguments& arguments) {
  const auto report = config::check_config(arguments.file, arguments.overrides, capabilities());
  std::cout << (arguments.json ? report.json().dump(2) : report.text()) << "\n";
  return report.exit_code();
}

int run_plan(const ConfigArguments& arguments) {
  const auto report = config::check_config(arguments.file, arguments.overrides, capabilities());
  const auto plan = with_places(report, recipes::plan);
  std::cout << (arguments.json ? plan.json().dump(2) : plan.text()) << "\n";
  return 0;
}

static std::string painted(const data::Segment& segment, bool color) {
  if (!segment.trained) return segment.text;
  return color ? "\033[32m" + segment.text + "\033[0m" : "[[" + segment.text + "]]";
}

// "a.jsonl: weight 3; an epoch reads 300 rows, 1.00 times its 300; looked at 12 rows: 12 documents, ..."
static std::string describe(const data::InspectedSource& source, int64_t all_tokens) {
  const auto& share = source.share;
  const auto count = [](int64_t n) { return format_count(static_cast<uint64_t>(n)); };
  const std::string unusable =
      source.unusable_rows > 0 ? fmt::format(" ({} unusable)", count(source.unusable_rows)) : "";
  return fmt::format(
      "{}: {}; an epoch reads {} {}, {:.2f} times its {}; looked at {} {}{}: {} {}, {} {} "
      "({} trained), {:.1f} % of all tokens\n",
      share.name, share.weight ? fmt::format("weight {}", *share.weight) : fmt::format("epochs {}", share.epochs),
      count(share.rows_of_epoch), noun_for(share.rows_of_epoch, "row"),
      static_cast<double>(share.rows_of_epoch) / static_cast<double>(share.rows), count(share.rows), count(source.rows),
      noun_for(source.rows, "row"), unusable, count(source.documents), noun_for(source.documents, "document"),
      count(source.tokens), noun_for(source.tokens, "token"), count(source.trained_tokens),
      all_tokens > 0 ? 100.0 * static_cast<double>(source.tokens) / static_cast<double>(all_tokens) : 0.0);
}

static int print_data(const ConfigArguments& arguments, const config::RecipeConfig& config) {
  const auto folder = recipes::open_model_folder(config.model, net::ModelFiles::Tokenizer);
  recipes::tell_lengths(config, folder.spec);
  const auto tokenizer_folder = recipes::find_tokenizer_folder(config, folder);
  const auto tokenizer = tokenizer::load(tokenizer_folder);
  const auto opened =
      recipes::open_training_data(config, tokenizer, folder.spec.max_positions, folder.spec.embedding.vocab);
  auto found = data::inspect(opened.rows, opened.builder, *tokenizer, opened.options, arguments.samples.value_or(3));
  if (const auto fault = recipes::find_vocabulary_fault(*tokenizer, tokenizer_folder, folder.spec);
      fault && recipes::needs_tokenizer(config))
    found.warnings.insert(found.warnings.begin(), fmt::format("a run is refused: {}", fault->what()));
  if (found.counts.rows == 0)
    throw DataError("dataset", "none of its sources has rows",
                    "are the files empty, or the splits or limits too small?");
  if (arguments.json) {
    std::cout << found.to_json().dump(2) << "\n";
    return 0;
  }
  const bool color = ::isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR");
  for (const auto& sample : found.samples) {
    std::cout << fmt::format("--- {}: {}, {} trained {}\n", sample.where, counted(sample.tokens, "token"),
                             sample.trained_tokens, color ? "(green)" : "([[ ]])");
    for (const auto& segment : sample.segments) std::cout << painted(segment, color);
    std::cout << "\n";
  }
  std::cout << fmt::format("--- {} {} of an epoch", found.all_rows ? "all" : "the first",
                           counted(found.counts.rows, "row"));
  if (found.counts.samples > 0)
    std::cout << fmt::format(": shortest {}, median {}, longest {} tokens", found.shortest, found.median,
                             found.longest);
  std::cout << "\n" << found.counts.summary() << "\n";
  for (const auto& source : found.sources) std::cout << describe(source, found.counts.tokens_out);
  for (const auto& warning : found.warnings) log_warning(warning);
  return 0;
}

int run_data(const ConfigArguments& arguments) {
  const auto report = config::check_config(arguments.file, arguments.overrides, capabilities());
  return with_places(report, [&](const config::RecipeConfig& config) { return print_data(arguments, config); });
}

}  // namespace automodel::cli
