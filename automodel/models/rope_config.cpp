// rope_parameters, rope_scaling and rope_theta of config.json, as transformers 5 reads them.
#include <cmath>

#include "automodel/base/error.h"
#include "automodel/models/family.h"

namespace automodel::models {

namespace {

using Type = nn::RopeSpec::Type;

struct Reader {
  HfConfig& config;
  const Json& json;  // the object of one layer type; keys asked for are remembered, others are errors
  std::set<std::string> obeyed = {"rope_type", "type", "rope_theta", "partial_rotary_factor",
                                  "original_max_position_embeddings"};

  std::string where(const std::string& key) const { return config.where() + ": rope_parameters." + key; }

  std::optional<double> number(const std::string& key, const NumberRange& range) {
    obeyed.insert(key);
    if (!json.contains(key) || json.at(key).is_null()) return std::nullopt;
    return in_range(key, json.at(key), range);
  }
  double in_range(const std::string& key, const Json& value, const NumberRange& range) const {
    if (!value.is_number() || !range.holds(value.get<double>()))
      throw ConfigError(where(key), fmt::format("expected {}, got {}", range.text(), value.dump().substr(0, 60)));
    return value.get<double>();
  }
  double required(const std::string& key, const NumberRange& range) {
    const auto value = number(key, range);
    if (!value) throw ConfigError(where(key), "is missing, this rope type needs it");
    return *value;
  }
  std::vector<double> factors(const std::string& key, int64_t count) {
    obeyed.insert(key);
    const bool list =
        json.contains(key) && json.at(key).is_array() && static_cast<int64_t>(json.at(key).size()) == count;
    if (!list) throw ConfigError(where(key), fmt::format("expected a list of {} numbers", count));
    std::vector<double> out;
    for (const auto& item : json.at(key)) out.push_back(in_range(key, item, kFactor));
    return out;
  }
  void finish(const std::string& type) const {
    for (const auto& [key, unused] : json.items())
      if (!obeyed.count(key))
        throw ConfigError(where(key), fmt::format("is a key that rope type '{}' does not know", type));
  }
};

double yarn_factor(Reader& reader, double factor) {
  const auto given = reader.number("attention_factor", kFactor), mscale = reader.number("mscale", kMscale),
             all = reader.number("mscale_all_dim", kMscale);
  const auto scale = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1; };
  if (given) return *given;
  return mscale.value_or(0) != 0 && all.value_or(0) != 0 ? scale(*mscale) / scale(*all) : scale(1);
}

void read_yarn(Reader& reader, nn::RopeSpec& spec) {
  const auto factor = reader.number("factor", kFactor);
  spec.factor =
      factor.value_or(static_cast<double>(spec.max_positions) / static_cast<double>(spec.original_max_positions));
  spec.attention_factor = yarn_factor(reader, spec.factor);
  spec.beta_fast = reader.number("beta_fast", kFactor).value_or(32);
  spec.beta_slow = reader.number("beta_slow", kFactor).value_or(1);
  reader.obeyed.insert("truncate");
  const Json truncate = reader.json.value("truncate", Json(true));
  if (!truncate.is_boolean())
    throw ConfigError(reader.where("truncate"), "expected true or false, got " + truncate.dump().substr(0, 60));
  spec.truncate = truncate.get<bool>();
  if (spec.theta == 1)  // its logarithm is divided by
    throw ConfigError(reader.where("rope_theta"), "expected a number other than 1 for rope type 'yarn', got 1");
}

void read_longrope(Reader& reader, nn::RopeSpec& spec) {
  spec.short_factor = reader.factors("short_factor", spec.dim / 2);
  spec.long_factor = reader.factors("long_factor", spec.dim / 2);
  const double original = static_cast<double>(spec.original_max_positions);
  const double factor = reader.number("factor", kFactor).value_or(static_cast<double>(spec.max_positions) / original);
  const auto given = reader.number("attention_factor", kFactor);
  if (!given && factor > 1 && spec.original_max_positions < 2)
    throw ConfigError(reader.where("original_max_position_embeddings"),
                      fmt::format("expected at least 2 for rope type 'longrope', got {}", spec.original_max_positions));
  spec.attention_factor = given.value_or(factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
}

// The object that describes the rope, old spelling or new; an empty one if there is none.
Json rope_object(HfConfig& config, const std::string& layer_type) {
  const Json parameters = config.value("rope_parameters"), scaling = config.value("rope_scaling");
  for (const auto& [key, json] :
       {std::pair<std::string, const Json&>{"rope_parameters", parameters}, {"rope_scaling", scaling}})
    if (!json.is_null() && !json.is_object())
      throw ConfigError(config.where() + ": " + key, "expected an object, got " + json.dump().substr(0, 60));
  if (layer_type.empty()) return scaling.is_object() ? scaling : parameters.is_object() ? parameters : Json::object();
  Json found = Json::object();
  if (parameters.is_object() && parameters.contains(layer_type) && parameters.at(layer_type).is_object())
    found = parameters.at(layer_type);
  if (scaling.is_object() && layer_type == "full_attention")
    for (const auto& [key, value] : scaling.items()) found[key] = value;
  return found;
}

}  // namespace

nn::RopeSpec read_rope(HfConfig& config, int64_t head_dim, double default_theta, const std::string& layer_type) {
  static const std::map<std::string, Type> types = {
      {"default", Type::Default}, {"linear", Type::Linear},     {"dynamic", Type::Dynamic}, {"llama3", Type::Llama3},
      {"yarn", Type::Yarn},       {"longrope", Type::LongRope}, {"su", Type::LongRope}};
  const Json json = rope_object(config, layer_type);
  Reader reader{config, json};
  std::string type = "default";
  for (const char* key : {"type", "rope_type"})
    if (json.contains(key) && json.at(key).is_string()) type = json.at(key).get<std::string>();
  if (type == "yarn" && config.model_type() == "phi3") type = "longrope";  // an older spelling of Phi-3's
  const auto found = types.find(type);
  if (found == types.end())
    throw UnsupportedError(
        reader.where("rope_type"),
        fmt::format("'{}' is not known; expected default, linear, dynamic, llama3, yarn or longrope", type));

  nn::RopeSpec spec;
  spec.type = found->second;
  const double theta = config.number("rope_theta", default_theta, kBase);
  spec.theta = reader.number("rope_theta", kBase).value_or(theta);
  const double outside = config.number("partial_rotary_factor", 1, kShare);
  spec.dim = static_cast<int64_t>(static_cast<double>(head_dim) *
                                  reader.number("partial_rotary_factor", kShare).value_or(outside));
  if (spec.dim <= 0 || spec.dim > head_dim || spec.dim % 2 != 0)
    throw ConfigError(reader.where("partial_rotary_factor"),
                      fmt::format("expected an even number of rotated dims of {}, got {}", head_dim, spec.dim));
  spec.max_positions = config.integer("max_position_embeddings", 2048, kPositions);
  const double inside = reader.number("original_max_position_embeddings", {.least = 1, .most = 1e12})
                            .value_or(static_cast<double>(spec.max_positions));
  spec.original_max_positions =
      config.integer("original_max_position_embeddings", static_cast<int64_t>(inside), kPositions);

  if (spec.type == Type::Linear || spec.type == Type::Dynamic || spec.type == Type::Llama3)
    spec.factor = reader.required("factor", kFactor);
  if (spec.type == Type::Llama3) {
    spec.low_freq_factor = reader.required("low_freq_factor", kFactor);
    spec.high_freq_factor = reader.required("high_freq_factor", kFactor);
  }
  if (spec.type == Type::Yarn) read_yarn(reader, spec);
  if (spec.type == Type::LongRope) read_longrope(reader, spec);
  reader.finish(type);
  return spec;
}

}  // namespace automodel::models
