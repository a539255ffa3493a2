// libFuzzer entry for a data set's README.md and the layout rules: any text gives splits or an error.
//
// Build and run: tools/fuzz data/card
// Sources: data/dataset_card data/dataset_layout data/path_pattern config/*
// Links: -lyaml-cpp
#include <algorithm>
#include <cstdint>
#include <string>

#include "automodel/base/error.h"
#include "automodel/data/dataset_layout.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace automodel;
  data::FolderListing folder{"set",
                             {"README.md", "a/x.jsonl", "a/y.csv", "b/train.parquet", "data/test-00000-of-00001.jsonl",
                              "data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl", "test.jsonl.gz"},
                             std::string(reinterpret_cast<const char*>(data), size)};
  for (const char* config : {"", "main"}) {
    try {
      for (const auto& [split, files] : data::find_splits(folder, config))
        for (const auto& file : files)
          if (std::find(folder.files.begin(), folder.files.end(), file) == folder.files.end()) __builtin_trap();
    } catch (const Error&) {
    }
  }
  return 0;
}
