// libFuzzer entry for a data set's README.md and the layout rules: any text gives splits or an error. Not part of the
// build; with clang (corpus: automodel/data/testdata/fuzz/card):
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -DFMT_HEADER_ONLY -I. automodel/data/card_fuzz.cpp
//     automodel/data/{dataset_card,dataset_layout,path_pattern}.cpp
//     automodel/config/{yaml_tree,yaml_scalar,value,...}.cpp automodel/base/*.cpp (without *_test.cpp) -lyaml-cpp
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
