// What goes wrong on the way: each is mended, or told clearly; and no part of a file ever has its name.
#include <sys/mount.h>
#include <sys/resource.h>

#include <csignal>
#include <thread>

#include "automodel/net/hub.h"
#include "automodel/net/test_hub.h"

namespace automodel::net {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kShard = "model-00001-of-00002.safetensors";

class FaultTest : public TestHub {
 protected:
  Hub hub() const { return Hub(settings_); }
  fs::path fetch() const { return hub().snapshot(tiny_, {kShard, "config.json"}); }
  void expect_fetched() const {
    const auto folder = fetch();
    expect_same(folder, "models/org/tiny", kShard);
    expect_same(folder, "models/org/tiny", "config.json");
    EXPECT_THAT(cached("incomplete"), IsEmpty());
  }
  std::string failure(const std::vector<std::string>& files = {kShard, "config.json"}) const {
    const auto text = message_of<Error>([&] { hub().snapshot(tiny_, files); });
    EXPECT_THAT(cached("snapshots/*/" + std::string(kShard)), IsEmpty());
    for (const auto& blob : cached("blobs/"))
      if (blob.find(".automodel.") == std::string::npos) EXPECT_LT(fs::file_size(settings_.cache / blob), 1000) << blob;
    return text;
  }
  // What an earlier client that was interrupted left of the shard.
  void leave_incomplete(const std::string& bytes) const {
    std::string etag;
    for (const auto& file : hub().list(tiny_).files)
      if (file.path == kShard) etag = file.etag;
    const auto blobs = settings_.cache / "models--org--tiny" / "blobs";
    fs::create_directories(blobs);
    std::ofstream(blobs / (etag + ".incomplete"), std::ios::binary) << bytes;
  }
  const Repo tiny_{"org/tiny"};
};

TEST_F(FaultTest, ACutConnectionGoesOnWhereItWas) {
  fault("/blob/", "cut", 5, {{"at", 100000}});
  expect_fetched();
}

TEST_F(FaultTest, ACutEverySoOftenStillArrives) {
  settings_.connections = 1;
  fault("/blob/", "cut", 1000, {{"at", 60000}});
  expect_fetched();
}

TEST_F(FaultTest, ACutBeforeTheFirstByteIsGivenUpAfterAllAttempts) {
  fault("/blob/", "cut", 1000, {{"at", 0}});
  EXPECT_THAT(failure(), AllOf(HasSubstr("the connection was lost"), Not(HasSubstr("Signature"))));
}

TEST_F(FaultTest, AHungUpConnectionIsTriedAgain) {
  fault("/api/", "hang_up", 2);
  fault("/resolve/", "hang_up", 2);
  expect_fetched();
}

TEST_F(FaultTest, AStalledConnectionIsCutAndTakenUp) {
  fault("/blob/", "stall", 1, {{"at", 1000}, {"seconds", 30}});
  const auto began = std::chrono::steady_clock::now();
  expect_fetched();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(25));
}

TEST_F(FaultTest, AFailingHubIsTriedAgainAndThenNamed) {
  fault("/", "status", 3, {{"status", 503}});
  expect_fetched();
  fs::remove_all(settings_.cache);
  fault("/api/", "status", 1000, {{"status", 500}});
  EXPECT_THAT(failure(), AllOf(HasSubstr("fails (HTTP 500)"), HasSubstr("try again later")));
}

TEST_F(FaultTest, RetryAfterIsWaitedFor) {
  fault("/blob/", "status", 1, {{"status", 429}, {"headers", {{"Retry-After", "1"}}}});
  const auto began = std::chrono::steady_clock::now();
  expect_fetched();
  EXPECT_GT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(950));
}

TEST_F(FaultTest, ARetryAfterOfHoursIsAnError) {
  fault("/api/", "status", 1, {{"status", 429}, {"headers", {{"Retry-After", "7200"}}}});
  EXPECT_THAT(failure(), HasSubstr("rate limit is reached (HTTP 429)"));
}

TEST_F(FaultTest, AnAbortedDownloadIsResumed) {
  settings_.attempts = 1;
  settings_.connections = 1;
  hub().snapshot(tiny_, {"config.json"});
  fault("/blob/", "cut", 1, {{"at", 200000}});
  EXPECT_THROW(fetch(), HubError);
  ASSERT_EQ(cached(".automodel.incomplete").size(), 1u);
  ASSERT_EQ(cached(".automodel.ranges").size(), 1u);
  control("clear");
  uint64_t resumed = 0;
  const auto folder = hub().snapshot(tiny_, {kShard}, [&](const TransferState& s) { resumed = s.bytes_resumed; });
  expect_same(folder, "models/org/tiny", kShard);
  EXPECT_EQ(resumed, 200000u);
  bool from_there = false;
  for (const auto& entry : log()) from_there |= entry.at("range") == Json("bytes=200000-462143");
  EXPECT_TRUE(from_there) << log();
}

TEST_F(FaultTest, WhatWasLeftBehindIsCheckedToo) {
  leave_incomplete(std::string(1 << 20, 'x'));  // another's, and wrong
  expect_fetched();
}

TEST_F(FaultTest, TheOldClientsBeginningIsTakenOver) {
  leave_incomplete(noise(3 << 20, 1).substr(0, 1 << 20));
  control("clear");
  expect_fetched();
  EXPECT_EQ(requests("/blob/"), 8);  // 2 of 3 MiB
}

TEST_F(FaultTest, AServerWithoutRangesSendsAllOfIt) {
  fault("/blob/", "no_ranges", 1000);
  expect_fetched();
  EXPECT_EQ(requests("/blob/"), 1);
}

TEST_F(FaultTest, AServerWithoutRangesThatCutsIsGivenUp) {
  fault("/blob/", "no_ranges", 1000, {{"at", 500000}});
  EXPECT_THAT(failure(), HasSubstr("the connection was lost"));
}

TEST_F(FaultTest, AWrongChecksumIsThrownAway) {
  fault("/blob/", "wrong_bytes", 1000);
  EXPECT_THAT(failure(), AllOf(HasSubstr("the checksum of what came is"), HasSubstr("thrown away")));
  control("clear");
  expect_fetched();
}

TEST_F(FaultTest, AWrongChecksumOfASmallFileIsFoundToo) {
  fault("/resolve/.*config.json", "wrong_bytes", 1);
  EXPECT_THAT(failure(), HasSubstr("org/tiny: config.json: the checksum of what came is"));
}

TEST_F(FaultTest, AWrongLengthIsNamed) {
  fault("/blob/", "wrong_length", 1000, {{"more", 5}});
  EXPECT_THAT(failure(), AllOf(HasSubstr("announces 3145733 bytes, the Hub's list says 3145728")));
  fault("/resolve/.*tokenizer.json", "wrong_length", 1000, {{"more", 5}});
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot(tiny_, {"tokenizer.json"}); }),
              HasSubstr("announces 7 bytes, the Hub's list says 2"));
}

TEST_F(FaultTest, AnEndlessAnswerIsEnded) {
  fault("/resolve/.*config.json", "endless", 1000);
  EXPECT_THAT(failure(), HasSubstr("sends more than the 23 bytes"));
}

TEST_F(FaultTest, APackedAnswerIsRefused) {
  fault("/resolve/.*config.json", "packed", 1);
  EXPECT_THAT(failure(), HasSubstr("sends the file packed (gzip)"));
}

TEST_F(FaultTest, RedirectsInCirclesEnd) {
  fault("/resolve/.*config.json", "loop", 1000);
  EXPECT_THAT(failure({"config.json"}), HasSubstr("leads in circles"));
}

TEST_F(FaultTest, ARedirectToAnotherSchemeIsRefused) {
  fault("/resolve/.*config.json", "redirect", 1, {{"to", "file:///etc/passwd"}});
  EXPECT_THAT(failure({"config.json"}), HasSubstr("neither http nor https"));
}

TEST_F(FaultTest, AnExpiredSignatureIsAskedForAnew) {
  settings_.connections = 1;
  hub().snapshot(tiny_, {"model-00002*"});
  fault("/blob/", "status", 1, {{"status", 403}, {"skip", 3}});
  expect_fetched();
  EXPECT_EQ(requests("/resolve/"), 4);  // shard 2, config, shard 1, and shard 1 again
}

TEST_F(FaultTest, TheHubsRefusalsSayWhatToDo) {
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot({"org/nothing"}); }),
              AllOf(HasSubstr("org/nothing: there is no such model on http://127.0.0.1"), HasSubstr("no data set")));
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot({"org/private"}); }), HasSubstr("or it is private"));
  EXPECT_THAT(message_of<HubError>([&] { hub().snapshot({"org/gated"}); }),
              AllOf(HasSubstr("org/gated: is gated"), HasSubstr("/org/gated; set HF_TOKEN")));
  EXPECT_THAT(message_of<HubError>([&] {
                hub().snapshot({"org/tiny", RepoKind::Model, "v9"});
              }),
              HasSubstr("org/tiny: has no revision 'v9'"));
  settings_.token = "hf_very_secret";
  const auto text = message_of<HubError>([&] { hub().snapshot(tiny_); });
  EXPECT_THAT(text, AllOf(HasSubstr("the token is not accepted (HTTP 401)"), Not(HasSubstr("hf_very_secret"))));
  settings_.token = "hf_good";
  expect_same(hub().snapshot({"org/private"}, {"*.json"}), "models/org/private", "config.json");
}

TEST_F(FaultTest, AnAnswerThatIsNotTheHubsIsNamed) {
  for (const char* body : {"<html>Log in to the hotel's network</html>", "[]", "{}", R"({"sha": "../../../etc"})"}) {
    fault("/revision/", "status", 1, {{"status", 200}, {"body", body}});
    EXPECT_THAT(failure(), HasSubstr("the answer is not the Hub's")) << body;
  }
  for (const char* body : {"{}", R"([{"type":"file","path":"../../x","size":1,"oid":"a"}])", R"([{"type":"file"}])"}) {
    fault("/tree/", "status", 1, {{"status", 200}, {"body", body}});
    EXPECT_THAT(failure(), HasSubstr("the answer is not the Hub's")) << body;
  }
  fault("/resolve/", "status", 1, {{"status", 200}, {"body", "hotel"}});
  EXPECT_THAT(message_of<HubError>([&] { hub().file(tiny_, "config.json"); }), HasSubstr("it has no X-Repo-Commit"));
}

// The variables that libcurl reads, for one call.
std::string failure_through(const std::string& proxy, HubSettings settings) {
  settings.endpoint = "http://hub.example";
  settings.attempts = 1;
  std::string text = "nothing was thrown";
  ::setenv("http_proxy", proxy.c_str(), 1);
  try {
    Hub(settings).snapshot({"org/tiny"});
  } catch (const Error& error) {
    text = error.what();
  }
  ::unsetenv("http_proxy");
  return text;
}

TEST_F(FaultTest, AProxyThatIsNotThereIsNamed) {
  EXPECT_THAT(failure_through("http://user:secret@127.0.0.1:1", settings_),
              AllOf(HasSubstr("cannot be reached"), HasSubstr("http_proxy"), Not(HasSubstr("secret"))));
  EXPECT_THAT(failure_through("http://user:secret@no-such-proxy.invalid:1", settings_),
              AllOf(HasSubstr("the proxy cannot be found"), Not(HasSubstr("secret"))));
}

TEST_F(FaultTest, AHostWhoseNameIsNotFoundIsLookedUpOnceMoreOnly) {
  settings_.endpoint = "http://no-such-hub.invalid";
  ::testing::internal::CaptureStderr();
  const auto failure = message_of<HubError>([&] { hub().list(tiny_); });
  const auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(failure, AllOf(HasSubstr("http://no-such-hub.invalid/api/"), HasSubstr("cannot be reached")));
  EXPECT_THAT(said, AllOf(HasSubstr("(2 of 2)"), Not(HasSubstr("(3 of"))));
}

TEST_F(FaultTest, AProxyIsUsedAndMayAskForAPassword) {
  fault("http://hub.example/", "status", 1, {{"status", 407}});
  EXPECT_THAT(failure_through(settings_.endpoint, settings_),
              HasSubstr("the proxy asks for a user and password (HTTP 407)"));
}

TEST_F(FaultTest, CertificatesAreCheckedAndHttpsIsNotLeft) {
  const auto key = folder_ / "key.pem", cert = folder_ / "cert.pem";
  const std::string make = fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 "
      "-addext subjectAltName=IP:127.0.0.1 -keyout {} -out {} 2>/dev/null",
      key.string(), cert.string());
  if (std::system(make.c_str()) != 0) GTEST_SKIP() << "skipped: openssl, which makes the certificate, is not here";
  const auto port = control("tls?" + quote(Json{{"cert", cert}, {"key", key}}.dump(), false));
  settings_.endpoint = "https://127.0.0.1:" + port;
  EXPECT_THAT(failure(), AllOf(HasSubstr("certificate cannot be trusted"), HasSubstr("SSL_CERT_FILE")));
  settings_.ca_file = cert;
  EXPECT_THAT(failure(), HasSubstr("leads from https to http://localhost"));  // where the large files lie
  expect_same(hub().snapshot(tiny_, {"config.json"}), "models/org/tiny", "config.json");
}

// A limit on the size of files stands in for the disk that becomes full while a piece is written.
TEST_F(FaultTest, AWriteThatFailsKeepsWhatIsThere) {
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{2 << 20, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto text = failure();
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_THAT(text, AllOf(HasSubstr("cannot be written"), HasSubstr("make room")));
  expect_fetched();
}

TEST_F(FaultTest, AFullDiskIsSeenBeforeTheFirstByte) {
  const auto disk = folder_ / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0)
    GTEST_SKIP() << "skipped: a small disk of its own cannot be mounted here (needs root): the check of free room";
  settings_.cache = disk / "cache";
  const auto text = failure();
  const int shard_requests = requests("/blob/");
  ::umount2(disk.c_str(), MNT_DETACH);
  EXPECT_THAT(text, AllOf(HasSubstr("3.00 MiB are to be fetched"), HasSubstr("are free on this disk")));
  EXPECT_EQ(shard_requests, 0);
}

TEST_F(FaultTest, SeveralClientsAtOnceFetchEachFileOnce) {
  fault("/blob/", "slow", 1000, {{"seconds", 0.1}});
  std::vector<std::thread> threads;
  std::vector<fs::path> folders(4);
  for (auto& folder : folders)
    threads.emplace_back([&folder, this] { folder = Hub(settings_).snapshot(tiny_, {"model-*"}); });
  for (auto& thread : threads) thread.join();
  for (const auto& folder : folders) expect_same(folder, "models/org/tiny", kShard);
  EXPECT_EQ(requests("/blob/"), 12 + 5);
}

}  // namespace
}  // namespace automodel::net
