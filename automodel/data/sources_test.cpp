// CSV, Parquet, Arrow, packed files and folders against Hugging Face datasets and pyarrow (testdata/sources, made by
// tools/make_source_goldens.py), and their faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/data/csv_record.h"
#include "automodel/data/dataset_layout.h"
#include "automodel/data/path_pattern.h"
#include "automodel/data/rows.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path goldens() { return fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/data/testdata/sources"; }

bool arrow_is_built() { return fs::exists(fs::read_symlink("/proc/self/exe").parent_path() / "libautomodel_arrow.so"); }

std::vector<Json> all(Rows& rows) {
  std::vector<Json> values;
  for (int64_t i = 0; rows.has(i); ++i) values.push_back(rows.at(i).value);
  EXPECT_EQ(rows.size(), static_cast<int64_t>(values.size()));
  return values;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

TEST(Csv, RowsAreThoseOfHuggingFaceDatasets) {
  const TemporaryFolder folder;
  int compared = 0;
  for (const auto& golden : load_json(goldens() / "csv.json")) {
    const std::string name = golden["name"], ending = golden["ending"];
    const auto rows = open_file(folder.write(name + ending, golden["text"]));
    EXPECT_EQ(Json(all(*rows)), golden["rows"]) << name;
    ++compared;
  }
  EXPECT_GE(compared, 29);
}

TEST(Csv, WhatIsWrongIsNamedByItsLine) {
  const TemporaryFolder folder;
  const auto fails = [&](const std::string& text) {
    return message_of([&] { all(*open_file(folder.write("a.csv", text))); });
  };
  EXPECT_THAT(fails("a,b\n1,2\n\n3,4,5\n"), HasSubstr("a.csv:4: has 3 fields, but the header names 2 columns"));
  EXPECT_THAT(fails("a,b\n1,\"x\n\n"), HasSubstr("a.csv:2: a quoted field that starts here does not end"));
  EXPECT_THAT(fails("a\nx\n\xff\n"), HasSubstr("a.csv:3: column 'a' is no valid UTF-8"));
  EXPECT_THAT(fails(""), HasSubstr("is empty"));
  std::string late = "a,b\n";
  for (int i = 0; i < 10000; ++i) late += "1,x\n";
  EXPECT_THAT(fails(late + "1,y\nz,x\n"),
              HasSubstr("a.csv:10003: column 'a' holds whole numbers in the first 10000 rows"));
  EXPECT_EQ(fails(late + "2.0,y\n,z\n"), "");
}

TEST(Csv, AnyFieldsComeBackWhole) {
  const TemporaryFolder folder;
  rc::check("fields of any text, quoted, with any line end", [&] {
    const auto fields = *rc::gen::container<std::vector<std::string>>(
        rc::gen::container<std::string>(rc::gen::element('a', '"', ',', '\n', '\r', ' ', '\t', 'b')));
    const auto end = *rc::gen::element<std::string>("\n", "\r\n", "\r");
    std::string text = "n" + end;
    for (const auto& field : fields) {
      text += '"';
      for (const char c : field) text += c == '"' ? "\"\"" : std::string(1, c);
      text += '"' + end;
    }
    const auto rows = open_file(folder.write("a.csv", text + "last" + end));
    for (size_t i = fields.size(); i-- > 0;) {
      const Json value = rows->at(static_cast<int64_t>(i)).value["n"];
      RC_ASSERT((fields[i].empty() ? value.is_null() : value == fields[i]));
    }
    RC_ASSERT(rows->size() == static_cast<int64_t>(fields.size()) + 1);
  });
}

TEST(Csv, ARecordIsFoundWhereverTheTextStops) {
  const std::string text = " \n\r\na,\"b\r\n\"\"c\",d\r\ne\n";
  CsvRecord whole, part;
  ASSERT_EQ(scan_csv_record(text, ',', true, true, whole), CsvScan::Record);
  EXPECT_THAT(whole.fields, testing::ElementsAre("a", "b\r\n\"c", "d"));
  EXPECT_EQ(text.substr(whole.end), "e\n");
  EXPECT_EQ(whole.lines_before, 2);
  EXPECT_EQ(whole.lines, 4);
  for (size_t size = 0; size < whole.end; ++size)
    EXPECT_EQ(scan_csv_record(std::string_view(text).substr(0, size), ',', false, true, part), CsvScan::Incomplete)
        << size;
}

TEST(Packed, GzipAndZstdAreReadLikeTheirPlainFiles) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 50000; ++i)
    text += "{\"n\": " + std::to_string(i) + ", \"t\": \"" + std::string(i % 50, 'x') + "\"}\n";
  const auto half = text.find('\n', text.size() / 2) + 1;
  const std::string first = text.substr(0, half), second = text.substr(half);
  for (const auto& path :
       {folder.write("a.jsonl.gz", gzip(first) + gzip(second)), folder.write("a.jsonl.zst", zstd(first) + zstd(second)),
        folder.write("a.json.gz", gzip(text))}) {
    const auto rows = open_file(path);
    EXPECT_EQ(rows->at(3).value["n"], 3);
    EXPECT_EQ(rows->at(3).where, path + ":4");
    EXPECT_EQ(rows->size(), 50000);
    EXPECT_EQ(rows->at(49999).value["n"], 49999);
    EXPECT_EQ(rows->at(123).value["n"], 123);
  }
  EXPECT_EQ(open_file(folder.write("b.csv.gz", gzip("a,b\n1,x\n")))->at(0).value, Json({{"a", 1}, {"b", "x"}}));
  EXPECT_EQ(open_file(folder.write("e.jsonl.gz", ""))->size(), 0);
}

TEST(Packed, DamagedAndUnknownPackingsAreErrors) {
  const TemporaryFolder folder;
  const std::string text(500000, 'y');
  std::string packed = gzip("{\"n\": \"" + text + "\"}\n"), frames = zstd("{\"n\": \"" + text + "\"}\n");
  const auto fails = [&](const std::string& name, const std::string& bytes) {
    return message_of([&] { open_file(folder.write(name, bytes))->size(); });
  };
  EXPECT_THAT(fails("a.jsonl.gz", packed.substr(0, packed.size() - 12)),
              HasSubstr("ends in the middle of its packed data"));
  EXPECT_THAT(fails("a.jsonl.zst", frames.substr(0, frames.size() - 5)),
              HasSubstr("ends in the middle of its packed data"));
  EXPECT_THAT(fails("b.jsonl.gz", "no gzip"), HasSubstr("b.jsonl.gz: is no whole gzip file"));
  EXPECT_THAT(fails("b.jsonl.zst", "no zstd"), HasSubstr("b.jsonl.zst: is no whole zstd file"));
  EXPECT_THAT(fails("b.jsonl.xz", ""), HasSubstr("packed by bzip2 or xz"));
}

TEST(Arrow, RowsAreThoseOfPyarrow) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  int compared = 0;
  for (const auto& golden : load_json(goldens() / "tables.json")) {
    const std::string file = golden["file"];
    const auto rows = open_file(goldens() / file);
    EXPECT_EQ(rows->size(), golden["count"].get<int64_t>()) << file;
    for (int64_t i = rows->size(); i-- > 0;) {  // backwards: any order must do
      const Json row = rows->at(i).value;
      if (!golden["rows"].is_null()) {
        EXPECT_EQ(row, golden["rows"][static_cast<size_t>(i)]) << file << " row " << i;
      } else {
        Json tags = Json::array();
        for (int64_t j = 0; j < i % 4; ++j) tags.push_back("t" + std::to_string(j));
        EXPECT_EQ(
            row,
            Json({{"n", i}, {"text", "row " + std::to_string(i) + " " + std::string(i % 7, 'x')}, {"tags", tags}}));
      }
    }
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

TEST(Arrow, ChatColumnsGiveTheRowsOfTheirJsonLines) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  const auto lines = all(*open_file(goldens() / "chats.jsonl"));
  EXPECT_EQ(all(*open_file(goldens() / "chats.snappy.parquet")), lines);
  EXPECT_EQ(all(*open_file(goldens() / "chats.stream.arrow")), lines);
  EXPECT_EQ(all(*open_file(goldens() / "hf_cache.arrow")), lines);
}

TEST(Arrow, ManyThreadsReadOneFile) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  const auto rows = open_file(goldens() / "many.zstd.parquet");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 1000; ++i)
        wrong += rows->at((i * 7 + t * 250) % 1000).value["n"] != (i * 7 + t * 250) % 1000;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Arrow, DamagedFilesAreErrors) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  const TemporaryFolder folder;
  for (const auto* name : {"many.snappy.parquet", "many.file.arrow", "many.stream.arrow", "types.snappy.parquet"}) {
    const std::string whole = read_file(goldens() / name);
    int refused = 0;
    for (size_t k = 1; k <= 40; ++k) {
      std::string bytes = k % 2 ? whole.substr(0, whole.size() * k / 41) : whole;
      if (k % 2 == 0) bytes[bytes.size() * k / 41] ^= 0x55;
      const std::string path = folder.write(std::to_string(k) + name, bytes);
      try {
        const auto rows = open_file(path);
        for (int64_t i = 0; i < std::min<int64_t>(rows->size(), 2000); ++i) rows->at(i);
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr(path));
        ++refused;
      }
    }
    EXPECT_GE(refused, 15) << name;
  }
  EXPECT_THAT(message_of([&] { open_file(folder.write("a.parquet", "PAR1")); }),
              HasSubstr("cannot be read as Parquet"));
  EXPECT_THAT(message_of([&] { open_file((folder.path() / "none.arrow").string()); }), HasSubstr("cannot be opened"));
}

TEST(Arrow, OffsetsThatLeadOutsideAreFoundBeforeTheyAreFollowed) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  int refused = 0;
  for (const auto& file :
       fs::directory_iterator(fs::path(AUTOMODEL_SOURCE_DIR) / "tests/fuzz/data/arrow")) {  // what fuzzing found
    try {
      all(*open_file(file.path()));
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GE(refused, 1);
}

TEST(Arrow, RealParquetFilesOfTheAssetsAreReadOrRefused) {
  const char* assets = std::getenv("AUTOMODEL_ASSETS");
  if (!assets || !arrow_is_built())
    GTEST_SKIP() << "AUTOMODEL_ASSETS is not set, or no libautomodel_arrow.so: formats/parquet";
  int read = 0, refused = 0;
  for (const auto& file : fs::directory_iterator(fs::path(assets) / "formats/parquet")) {
    if (file.path().extension() != ".parquet") continue;
    if (file.path().filename() == "large_string_map.brotli.parquet") continue;  // 4 GiB unpacked: refused, after 18 s
    try {
      all(*open_file(file.path()));
      ++read;
    } catch (const DataError& error) {
      std::cout << error.what() << "\n";
      ++refused;
    }
  }
  std::cout << read << " files read, " << refused << " refused\n";
  EXPECT_GE(read, 20);
  EXPECT_LE(refused, 2);
}

TEST(Splits, AreThoseOfHuggingFaceDatasets) {
  int compared = 0;
  for (const auto& golden : load_json(goldens() / "splits.json")) {
    FolderListing folder{golden["name"], golden["files"], golden["readme"]};
    if (!folder.readme.empty()) folder.files.push_back("README.md");
    std::sort(folder.files.begin(), folder.files.end());
    const std::string name = folder.name + "/" + golden["config"].get<std::string>();
    if (golden.contains("error")) {
      EXPECT_THROW(find_splits(folder, golden["config"]), DataError) << name;
    } else {
      EXPECT_EQ(Json(find_splits(folder, golden["config"])), golden["splits"]) << name;
    }
    ++compared;
  }
  EXPECT_GE(compared, 40);
}

TEST(Splits, CardsThatAreWrongSayWhere) {
  const auto fails = [](const std::string& configs, const std::string& name = "") {
    return message_of([&] {
      find_splits({"set", {"a.jsonl"}, "---\nlicense: mit\nconfigs:\n" + configs + "---\n"}, name);
    });
  };
  EXPECT_THAT(fails("  x: 1\n"), HasSubstr("set/README.md:4: 'configs' should be a list"));
  EXPECT_THAT(fails("- data_files: a\n"), HasSubstr("set/README.md:4: a configuration has no config_name"));
  EXPECT_THAT(fails("- config_name: a\n  data_files: ../b\n"), HasSubstr("leads out of the data set"));
  EXPECT_THAT(fails("- config_name: a\n  data_files: b.jsonl\n"),
              HasSubstr("names the file b.jsonl, which is not there"));
  EXPECT_THAT(fails("- config_name: a\n  sep: ;\n"), HasSubstr("set/README.md:5: the reading option 'sep'"));
  EXPECT_THAT(fails("- config_name: main\n  data_files: a*\n", "mian"), HasSubstr("did you mean 'main'?"));
  EXPECT_THAT(fails("- [\n"), HasSubstr("README.md"));
}

TEST(PathPattern, MatchesAsGlobsDo) {
  EXPECT_TRUE(path_matches("**", "a/b/c"));
  EXPECT_TRUE(path_matches("**/x/**", "x/a"));
  EXPECT_TRUE(path_matches("**/x/**", "a/x/b/c"));
  EXPECT_FALSE(path_matches("**/x/**", "a/x"));
  EXPECT_TRUE(path_matches("a/*/c", "a/b/c"));
  EXPECT_FALSE(path_matches("a/*", "a/b/c"));
  EXPECT_TRUE(path_matches("[!a-c]?*.j", "dx.j"));
  EXPECT_FALSE(path_matches("[!a-c]?*.j", "bx.j"));
  EXPECT_TRUE(path_matches("[a", "[a"));
  const std::string many(3000, 'a');
  EXPECT_FALSE(path_matches("*a*a*a*a*a*a*a*a*a*a*a*b", many));  // and quickly
}

// Layout of save_to_disk: datasets 5.2 writes these names; rows are of testdata/sources/chats.stream.arrow.
TEST(Sources, FoldersOfSaveToDiskHaveTheSplitsTheySay) {
  if (!arrow_is_built()) GTEST_SKIP() << "libautomodel_arrow.so was not built: Parquet and Arrow";
  const TemporaryFolder folder;
  const auto save = [&](const std::string& name, const std::string& split) {
    fs::create_directories(folder.path() / name);
    fs::copy_file(goldens() / "chats.stream.arrow", folder.path() / name / "data-00000-of-00001.arrow");
    folder.write(name + "/state.json",
                 R"({"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": )" + split + "}");
  };
  for (const auto* name : {"dict/train", "dict/test", "plain"}) save(name, "null");
  save("part", "\"test\"");
  folder.write("dict/dataset_dict.json", R"({"splits": ["train", "test"]})");
  const auto open = [&](const std::string& name, const std::string& split) {
    return open_rows({.paths = {(folder.path() / name).string()}, .split = split});
  };
  const int64_t rows = open("plain", "")->size();
  EXPECT_GT(rows, 0);
  for (const auto& [name, split] : std::vector<std::pair<std::string, std::string>>{
           {"plain", "train"}, {"plain", "all"}, {"part", "test"}, {"part", "train"}, {"dict", ""}, {"dict", "test"}})
    EXPECT_EQ(open(name, split)->size(), rows) << name << " " << split;
  EXPECT_EQ(open("dict", "all")->size(), 2 * rows);
  EXPECT_EQ(open("dict", "train+test[:1]")->size(), rows + 1);
  const auto fails = [&](const std::string& name, const std::string& split) {
    return message_of([&] { open(name, split); });
  };
  EXPECT_THAT(fails("dict", "validation"), HasSubstr("dict: has no split 'validation' (splits: train, test)"));
  EXPECT_THAT(fails("plain", "test"), HasSubstr("was saved as one data set: it has no split 'test' (splits: train)"));
  EXPECT_THAT(fails("part", "validation"), HasSubstr("it has no split 'validation' (splits: test)"));
}

}  // namespace
}  // namespace automodel::data
