#include "input/sources_file.hpp"

#include <gtest/gtest.h>

#include "base/sim_files.hpp"
#include "input/settings.hpp"

namespace bavn::input {
namespace {

using sources::Transport;

class SourcesFileTest : public ::testing::Test {
 protected:
  Result<SourcesFile> read(std::string_view toml) { return read_sources(toml, "sources.toml", served, files, "/node"); }
  std::string error(std::string_view toml) {
    const auto r = read(toml);
    return r ? "no error" : to_string(r.error());
  }
  SimFiles files;
  std::vector<MunicipalityId> served = {MunicipalityId{461}};
};

TEST_F(SourcesFileTest, FilesAndSyslogAreRead) {
  ASSERT_TRUE(replace_file(files, "/node/s.pem", "certificate"));
  ASSERT_TRUE(replace_file(files, "/keys/s.key", "key"));
  const auto r = read(R"([[source]]
name = "mail"
kind = "files"
paths = ["/var/log/mail.log*", "/var/log/rspamd/*.log"]
exclude = "*.tmp"
start = "end"

[[source]]
name = "fw"
kind = "syslog"
transport = "tls"
allow = ["192.0.2.0/24", "2001:db8::1"]
certificate = "s.pem"
key = "/keys/s.key"
per_sender = true
)");
  ASSERT_TRUE(r) << r.error().what;
  ASSERT_EQ(r->files.size(), 1U);
  EXPECT_EQ(r->files[0].paths.size(), 2U);
  EXPECT_EQ(r->files[0].exclude, std::vector<std::string>{"*.tmp"});
  EXPECT_TRUE(r->files[0].from_end);
  EXPECT_EQ(r->files[0].municipality, MunicipalityId{461});
  ASSERT_EQ(r->syslog.size(), 1U);
  EXPECT_EQ(r->syslog[0].transport, Transport::tls);
  EXPECT_EQ(r->syslog[0].port, 6514);
  EXPECT_EQ(r->syslog[0].certificate.key_pem, "key");
  EXPECT_TRUE(r->syslog[0].per_sender);
}

TEST_F(SourcesFileTest, RelpIsReadWithTheSameKeysAsSyslog) {
  ASSERT_TRUE(replace_file(files, "/node/r.pem", "certificate"));
  ASSERT_TRUE(replace_file(files, "/node/r.key", "key"));
  ASSERT_TRUE(replace_file(files, "/node/ca.pem", "authority"));
  const std::string start = "[[source]]\nname = \"linux\"\nkind = \"relp\"\n";
  auto r = read(start);
  ASSERT_TRUE(r) << r.error().what;
  EXPECT_EQ(r->relp[0].port, 2514);
  EXPECT_EQ(r->relp[0].max_message, 131072U);
  EXPECT_EQ(r->relp[0].transport, Transport::tcp);
  r = read(start +
           "tls = true\nport = 6514\ncertificate = \"r.pem\"\nkey = \"r.key\"\nclient_ca = \"ca.pem\"\n"
           "allow = \"192.0.2.0/24\"\nper_sender = true\nmax_message = 1000\nidle_minutes = 3\n");
  ASSERT_TRUE(r) << r.error().what;
  EXPECT_EQ(r->relp[0].port, 6514);
  EXPECT_EQ(r->relp[0].certificate.certificate_pem, "certificate");
  EXPECT_EQ(r->relp[0].certificate.key_pem, "key");
  EXPECT_EQ(r->relp[0].certificate.client_ca_pem, "authority");
  EXPECT_TRUE(r->relp[0].per_sender);
  EXPECT_EQ(r->relp[0].max_message, 1000U);
  EXPECT_EQ(r->relp[0].idle, std::chrono::minutes(3));
  EXPECT_TRUE(error(start + "tls = true\n").contains("tls = true needs 'certificate'"));
  EXPECT_TRUE(error(start + "key = \"r.key\"\n").contains("'key' has a meaning with tls = true only"));
  EXPECT_TRUE(error(start + "transport = \"tls\"\n").contains("there is no key 'transport' here"));
}

TEST_F(SourcesFileTest, KafkaIsReadAndItsPasswordComesFromAFile) {
  ASSERT_TRUE(replace_file(files, "/node/kafka.password", "secret \nsecond line\n"));
  ASSERT_TRUE(replace_file(files, "/node/ca.pem", "authority"));
  const auto r = read(R"([[source]]
name = "bus"
kind = "kafka"
brokers = "kafka1.example.org:9093"
topics = ["windows", "^firewall-.*"]
start = "end"
tls = true
ca = "ca.pem"
user = "bavn"
password_file = "kafka.password"
)");
  ASSERT_TRUE(r) << r.error().what;
  ASSERT_EQ(r->kafka.size(), 1U);
  EXPECT_EQ(r->kafka[0].group, "bavn");
  EXPECT_EQ(r->kafka[0].topics.size(), 2U);
  EXPECT_EQ(r->kafka[0].password, "secret");
  EXPECT_EQ(r->kafka[0].ca_file, "/node/ca.pem");
  EXPECT_TRUE(r->kafka[0].from_end);
  const std::string start = "[[source]]\nname = \"a\"\nkind = \"kafka\"\n",
                    whole = start + "brokers = \"b:9092\"\ntopics = \"t\"\n";
  EXPECT_TRUE(error(start).contains("needs 'brokers'"));
  EXPECT_TRUE(error(start).contains("needs 'topics'"));
  EXPECT_TRUE(error(whole + "user = \"x\"\n").contains("'user' and 'password_file' belong together"));
  EXPECT_TRUE(error(whole + "mechanism = \"PLAIN\"\n").contains("it needs tls = true"));
  EXPECT_TRUE(error(whole + "ca = \"none.pem\"\ntls = true\n").contains("there is no file /node/none.pem"));
  EXPECT_TRUE(error(whole + "topic = \"x\"\n").contains("did you mean 'topics'?"));
}

TEST_F(SourcesFileTest, AnErrorNamesTheLineAndTheNearestKeyAndAllAreToldAtOnce) {
  EXPECT_EQ(error("[[source]]\nname = \"a\"\nkind = \"files\"\npath = [\"/a\"]\nstart = 7\n"),
            "sources.toml:4: there is no key 'path' here; did you mean 'paths'?\n"
            "sources.toml:1: a source of files needs 'paths', e.g. [\"/var/log/mail.log*\"]\n"
            "sources.toml:5: 'start' is a text in quotes");
}

TEST_F(SourcesFileTest, WhatIsWrongIsSaidInWords) {
  EXPECT_TRUE(error("[[source]]\nname = \"a\"\nkind = \"nats\"\n")
                  .contains("'kind' is \"files\", \"syslog\", \"relp\" or \"kafka\""));
  EXPECT_TRUE(error("[source]\nname = \"a\"\n").contains("sources.toml:1: here stand tables of [[source]] only"));
  EXPECT_TRUE(error("[[source]]\nname = \"a b\"\nkind = \"files\"\npaths = \"/a\"\n").contains("needs a 'name'"));
  EXPECT_TRUE(error("[[source]]\nname = \"a\"\nkind = \"files\"\npaths = \"a\"\n").contains("a path begins with '/'"));
  EXPECT_TRUE(error("x = [").contains("sources.toml:1"));
  const std::string one = "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = \"/a\"\n";
  EXPECT_TRUE(error(one + one).contains("sources.toml:6: there are two sources with the name 'a'"));
  EXPECT_TRUE(
      error("[[source]]\nname = \"a\"\nkind = \"syslog\"\ntransport = \"tls\"\n").contains("needs 'certificate'"));
  EXPECT_TRUE(error("[[source]]\nname = \"a\"\nkind = \"syslog\"\nport = 99999\n")
                  .contains("'port' is a whole number of 1 to 65535"));
  EXPECT_TRUE(error("[[source]]\nname = \"a\"\nkind = \"syslog\"\nallow = \"all\"\n").contains("'all' is no network"));
  EXPECT_TRUE(error("[[source]]\nname = \"m365.x\"\nkind = \"syslog\"\n").contains("are those of other sources"));
}

TEST_F(SourcesFileTest, OfANodeForSeveralEachSourceSaysWhoseItIs) {
  served = {MunicipalityId{461}, MunicipalityId{480}};
  const std::string one = "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = \"/a\"\n";
  EXPECT_TRUE(error(one).contains("say whose source it is"));
  EXPECT_TRUE(error(one + "municipality = 101\n").contains("does not serve municipality 101"));
  EXPECT_EQ(read(one + "municipality = 480\n")->files[0].municipality, MunicipalityId{480});
}

TEST_F(SourcesFileTest, WhatIsExplainedIsAFileThatSaysNothingAndItsSamplesAreRight) {
  std::string text = explain_sources();
  EXPECT_TRUE(read(text));
  EXPECT_TRUE(read("")->files.empty());
  for (std::size_t at = text.find("\n# "); at != std::string::npos; at = text.find("\n# ", at + 1))
    text.erase(at + 1, 2);
  for (const char* name : {"/node/syslog.pem", "/node/syslog.key", "/node/relp.pem", "/node/relp.key",
                           "/node/senders-ca.pem", "/node/kafka-ca.pem", "/node/kafka.password"})
    ASSERT_TRUE(replace_file(files, name, "pem"));
  for (const char* other : {"\"bus\"", "\"linux\"", "\"fw\""}) text.replace(text.rfind("\"mail\""), 6, other);
  const auto r = read(text);
  ASSERT_TRUE(r) << r.error().what;
  EXPECT_EQ(r->files.size() + r->syslog.size() + r->relp.size() + r->kafka.size(), 4U);
}

TEST_F(SourcesFileTest, TheLimitsOfTheNodeHoldForEachSource) {
  const auto set =
      Settings::read(settings(), "[input]\nfiles_in_flight = 65536\nsyslog_hold = 100000\n", "settings.toml");
  ASSERT_TRUE(set) << set.error().what;
  auto file = read(
                  "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = \"/a\"\n"
                  "[[source]]\nname = \"b\"\nkind = \"syslog\"\n"
                  "[[source]]\nname = \"c\"\nkind = \"relp\"\n")
                  .value();
  Limits::from(*set).apply(file);
  EXPECT_EQ(file.files[0].in_flight, 65536U);
  EXPECT_EQ(file.files[0].chunk, 65536U) << "one delivery must fit";
  EXPECT_EQ(file.syslog[0].hold, 100'000U);
  EXPECT_EQ(file.relp[0].hold, 100'000U);
  EXPECT_EQ(file.relp[0].batch, 25'000U);
  EXPECT_EQ(Limits::from(Settings::defaults(settings())).open_files, Limits{}.open_files);
}

}  // namespace
}  // namespace bavn::input
