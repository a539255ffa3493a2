// Headers, addresses, lists, checksums and the environment: small things read from outside.
#include "automodel/net/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/net/digest.h"
#include "automodel/net/url.h"

namespace automodel::net {
namespace {

using testing::HasSubstr;

TEST(Address, IsCutApart) {
  const auto url = parse_url("HTTPS://user:pw@Hub.Example:8443/a/b?c=d#e");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.userinfo, "user:pw");
  EXPECT_EQ(url.host, "hub.example");
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.path, "/a/b?c=d");
  EXPECT_EQ(parse_url("http://[::1]:80").host, "[::1]");
  EXPECT_EQ(parse_url("http://h").port, 80);
  for (const char* bad : {"", "h", "ftp://h", "file:///etc/passwd", "http://", "http://:80", "http://h:x", "http://h:0",
                          "http://h:99999", "http://h/a b", "http://h/\r\nX: y", "http://[::1"})
    EXPECT_THROW(parse_url(bad), HubError) << bad;
}

TEST(Address, OriginIsSchemeHostAndPort) {
  const auto same = [](const char* a, const char* b) { return same_origin(parse_url(a), parse_url(b)); };
  EXPECT_TRUE(same("https://huggingface.co/a", "https://HUGGINGFACE.co:443/b?c"));
  EXPECT_FALSE(same("https://huggingface.co", "http://huggingface.co"));
  EXPECT_FALSE(same("https://huggingface.co", "https://huggingface.co.evil.example"));
  EXPECT_FALSE(same("https://huggingface.co", "https://huggingface.co@evil.example"));
  EXPECT_FALSE(same("http://127.0.0.1:1", "http://127.0.0.1:2"));
}

// Expected values: Python's urllib.parse.urljoin and urllib.parse.quote.
TEST(Address, JoinsAndQuotesAsPythonDoes) {
  EXPECT_EQ(join_url("http://h/a/b?q=/x", "c"), "http://h/a/c");
  EXPECT_EQ(join_url("http://h/a/b", "/c?d"), "http://h/c?d");
  EXPECT_EQ(join_url("http://h/a/b?q", "?z"), "http://h/a/b?z");
  EXPECT_EQ(join_url("https://h/a", "//g/c"), "https://g/c");
  EXPECT_EQ(join_url("http://h", "c"), "http://h/c");
  EXPECT_EQ(join_url("http://h/a", "https://g/c"), "https://g/c");
  EXPECT_EQ(join_url("http://h/a", "/r?to=https://g"), "http://h/r?to=https://g");
  EXPECT_EQ(quote("a b/ü%20#?~_-.", true), "a%20b/%C3%BC%2520%23%3F~_-.");
  EXPECT_EQ(quote("refs/pr/1", false), "refs%2Fpr%2F1");
}

TEST(Address, IsShownWithoutSecrets) {
  EXPECT_EQ(shown_url("https://user:pw@h/a?Signature=x#y"), "https://h/a");
  EXPECT_EQ(shown_url("https://h/a@b"), "https://h/a@b");
}

TEST(Header, LinesAreReadAndBounded) {
  Headers headers;
  for (const char* line : {"HTTP/1.1 200 OK\r\n", "ETag: \"a:b\"\r\n", "LINK: <1>; rel=\"prev\"\r\n",
                           "link: <2>; rel=\"next\"\r\n", "no colon\r\n", "\r\n"})
    add_header_line(headers, line);
  EXPECT_EQ(headers.at("etag"), "\"a:b\"");
  EXPECT_EQ(next_page(headers.at("link")), "2");
  add_header_line(headers, "HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(headers.empty());
  for (int i = 0; i < 3000; ++i) add_header_line(headers, fmt::format("x{}: y", i));
  EXPECT_LE(headers.size(), 1000u);
}

TEST(Header, EtagsRangesAndDates) {
  EXPECT_EQ(plain_etag("W/\"abc\""), "abc");
  EXPECT_EQ(plain_etag("\"abc\""), "abc");
  EXPECT_EQ(next_page("<https://h/t?cursor=a%3D>; rel=\"next\""), "https://h/t?cursor=a%3D");
  EXPECT_EQ(next_page("<https://h/>; rel=\"prev\""), "");
  EXPECT_EQ(next_page("<<<"), "");
  const auto range = parse_content_range("bytes 5-9/100");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->begin, 5u);
  EXPECT_EQ(range->end, 10u);
  EXPECT_EQ(range->total, 100u);
  EXPECT_FALSE(parse_content_range("bytes 5-9/*")->total);
  for (const char* bad : {"", "bytes", "bytes 9-5/100", "bytes 5-9/7", "bytes -5/7", "bytes 5-/7", "bytes 5-9",
                          "bytes */7", "bytes 5-99999999999999999999/7", "items 5-9/100", "bytes 5-9/x"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  EXPECT_EQ(parse_retry_after("120", 0), 120);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 - 30), 30);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 + 30), 0);
  for (const char* bad : {"", "soon", "-1", "1.5", "Wed, 21 Oct"}) EXPECT_FALSE(parse_retry_after(bad, 0)) << bad;
}

TEST(List, PathsThatLeadOutAreRefused) {
  for (const char* bad : {"", "/a", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\nb", "a/"})
    EXPECT_FALSE(is_safe_path(bad)) << bad;
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(300, 'a')));
  for (const char* good : {"a", "a/b.c", ".gitattributes", "ü/ä b", "..a"}) EXPECT_TRUE(is_safe_path(good)) << good;
}

TEST(List, IsWrittenAndReadAlike) {
  std::vector<RepoFile> files;
  const std::string sha1(40, 'a'), sha256(64, 'b');
  parse_tree_page(fmt::format(R"([{{"type":"file","oid":"{0}","size":7,"path":"a"}},{{"type":"directory","path":"d"}},
                      {{"type":"file","oid":"{0}","size":9,"path":"d/b","xetHash":"{1}","lfs":{{"oid":"{1}","size":99}}}}])",
                              sha1, sha256),
                  "test", files);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].etag, sha1);
  EXPECT_EQ(files[1].etag, sha256);
  EXPECT_EQ(files[1].size, 99u);
  const auto again = parse_tree_file(format_tree_file(files), "test");
  ASSERT_EQ(again.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(again[i].path, files[i].path);
    EXPECT_EQ(again[i].size, files[i].size);
    EXPECT_EQ(again[i].etag, files[i].etag);
    EXPECT_EQ(again[i].xet_hash, files[i].xet_hash);
  }
  for (const char* bad : {R"({"format_version": 2, "files": {}})", R"({"format_version": 1})", "[]", "", "{",
                          R"({"format_version": 1, "files": {"../a": {"size": 1, "blob_id": "x"}}})"})
    EXPECT_THROW(parse_tree_file(bad, "test"), HubError) << bad;
}

// Expected values: sha256sum, and git hash-object.
TEST(Checksum, IsThatOfTheTools) {
  Digest sha256(Digest::Kind::Sha256, 3);
  sha256.update("abc", 3);
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Digest blob(Digest::Kind::GitBlob, 12);
  blob.update("hello ", 6);
  blob.update("world\n", 6);
  EXPECT_EQ(blob.hex(), "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
  EXPECT_EQ(Digest(Digest::Kind::GitBlob, 0).hex(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

class EnvironmentTest : public testing::Test {
 protected:
  HubSettings read(RepoKind kind = RepoKind::Model) const {
    const auto environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
    return read_hub_settings(environment, kind);
  }
  std::map<std::string, std::string> variables_ = {{"HOME", "/home/u"}};
};

TEST_F(EnvironmentTest, Defaults) {
  EXPECT_EQ(read().endpoint, "https://huggingface.co");
  EXPECT_EQ(read().cache, "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(read().token, "");
  EXPECT_FALSE(read().offline());
}

TEST_F(EnvironmentTest, PlacesAsHuggingfaceHubFindsThem) {
  variables_["XDG_CACHE_HOME"] = "/xdg";
  EXPECT_EQ(read().cache, "/xdg/huggingface/hub");
  variables_["HF_HOME"] = "~/hf/$WHO/${WHO}x$NONE";
  variables_["WHO"] = "me";
  EXPECT_EQ(read().cache, "/home/u/hf/me/mex$NONE/hub");
  variables_["HUGGINGFACE_HUB_CACHE"] = "/old";
  EXPECT_EQ(read().cache, "/old");
  variables_["HF_HUB_CACHE"] = "/new";
  EXPECT_EQ(read().cache, "/new");
  variables_["HF_ENDPOINT"] = "http://mirror:8080/hub//";
  EXPECT_EQ(read().endpoint, "http://mirror:8080/hub");
  variables_["HF_ENDPOINT"] = "mirror";
  EXPECT_THROW(read(), ConfigError);
}

TEST_F(EnvironmentTest, OfflineAndTimeouts) {
  variables_["TRANSFORMERS_OFFLINE"] = "yes";
  EXPECT_TRUE(read().offline());
  variables_["HF_HUB_OFFLINE"] = "0";
  EXPECT_FALSE(read().offline());
  variables_["HF_HUB_DOWNLOAD_TIMEOUT"] = "33";
  EXPECT_EQ(read().stall_timeout_s, 33);
  variables_["HF_HUB_DOWNLOAD_TIMEOUT"] = "long";
  EXPECT_THROW(read(), ConfigError);
}

// What huggingface_hub's and datasets' constants become under the same variables: huggingface_hub_test.cpp asks them.
TEST_F(EnvironmentTest, OfflineNamesTheVariablesThatSayIt) {
  const auto reason = [this](std::map<std::string, std::string> variables, RepoKind kind) {
    variables_ = std::move(variables);
    variables_["HOME"] = "/home/u";
    const auto settings = read(kind);
    return settings.offline() ? settings.offline_reason() : "";
  };
  const std::string hub = "HF_HUB_OFFLINE", transformers = "TRANSFORMERS_OFFLINE", datasets = "HF_DATASETS_OFFLINE";
  for (const auto kind : {RepoKind::Model, RepoKind::Dataset}) {
    EXPECT_EQ(reason({{hub, "1"}}, kind), "HF_HUB_OFFLINE is set");
    EXPECT_EQ(reason({{transformers, "on"}}, kind), "TRANSFORMERS_OFFLINE is set");
    EXPECT_EQ(reason({{hub, ""}, {transformers, "1"}}, kind), "TRANSFORMERS_OFFLINE is set");
    EXPECT_EQ(reason({{hub, "0"}, {transformers, "1"}}, kind), "");
    EXPECT_EQ(reason({{hub, "1"}, {transformers, "1"}}, kind), "HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE are set");
    EXPECT_EQ(reason({{hub, "1"}, {datasets, "0"}}, kind), "HF_HUB_OFFLINE is set");
  }
  EXPECT_EQ(reason({{datasets, "1"}}, RepoKind::Model), "");
  EXPECT_EQ(reason({{datasets, "1"}}, RepoKind::Dataset), "HF_DATASETS_OFFLINE is set");
  EXPECT_EQ(reason({{datasets, "yes"}, {hub, "no"}}, RepoKind::Dataset), "HF_DATASETS_OFFLINE is set");
}

TEST_F(EnvironmentTest, TokensComeFromTheVariableThenTheFile) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("automodel-token-{}", ::getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "token") << "hf_file\n";
  variables_["HF_HOME"] = folder;
  EXPECT_EQ(read().token, "hf_file");
  std::ofstream(folder / "named") << " hf_named \n";
  variables_["HF_TOKEN_PATH"] = folder / "named";
  EXPECT_EQ(read().token, "hf_named");
  variables_["HF_TOKEN"] = "hf_variable\r\n";
  EXPECT_EQ(read().token, "hf_variable");
  variables_["HF_TOKEN"] = "hf_a\r\nX-Evil: b";
  try {
    read();
    ADD_FAILURE() << "a header was smuggled in";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("HF_TOKEN"), testing::Not(HasSubstr("hf_a"))));
  }
  variables_["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1";
  EXPECT_EQ(read().token, "");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace automodel::net
