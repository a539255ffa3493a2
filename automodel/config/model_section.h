// model: which checkpoint or config, in which dtype, and which config fields are overridden.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

struct ModelSection {
  std::string init = "from_pretrained";  ///< native name of `_target_`: from_pretrained or from_config (random weights)
  std::string path;       ///< pretrained_model_name_or_path, or that of `config:` for from_config; a folder or a Hub id
  std::string revision;   ///< branch, tag or commit on the Hub; "": main
  std::string cache_dir;  ///< the Hub's cache instead of HF_HUB_CACHE
  std::string torch_dtype = "auto";  ///< dtype of the parameters; auto: the checkpoint's
  bool load_base_model = true;       ///< false: the architecture of `path` with random weights
  std::vector<std::string> allow_config_keys;
  std::string config_overrides =
      "{}";  ///< JSON object: fields of config.json set by model.*, model.config.*, model.text_config.*

  template <class F>
  void describe(F& f) {
    f.target("model", init);
    f("pretrained_model_name_or_path", path, "folder in Hugging Face layout, or a Hub id");
    f("revision", revision, "of a Hub id: branch, tag or commit; not set: main", "string|null");
    f("cache_dir", cache_dir, "of a Hub id: the cache to use; not set: HF_HUB_CACHE or HF_HOME/hub", "string|null");
    f("torch_dtype", torch_dtype, "dtype of the parameters; auto: the checkpoint's own",
      "dtype|=auto|=fp8|=float8_e4m3fn|=float8_e5m2|=nf4|=int8");
    f("load_base_model", load_base_model, "read the weights; false: random weights of the same architecture");
    f("allow_config_keys", allow_config_keys,
      "keys of config.json that may be there though the family does not know them");
  }
};

}  // namespace automodel::config
