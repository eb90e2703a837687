#include "input/sources_file.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <set>

#include "base/toml_reader.inc"

#include "base/text.hpp"
#include "base/toml_text.hpp"
#include "event/ip.hpp"

namespace bavn::input {

namespace {

using sources::ListenerOptions;
using sources::Transport;
using sources::files::FileOptions;
using sources::kafka::KafkaOptions;
using sources::relp::RelpOptions;
using sources::syslog::SyslogOptions;

constexpr std::size_t kMaxFile = 1U << 20U;  // bytes
constexpr std::size_t kMaxSources = 1000;
constexpr std::size_t kMaxErrors = 10;

struct Key {
  std::string_view name, sample, doc;
};
constexpr Key kCommon[] = {
    {"name", "\"mail\"", "On the status page and in rules: letters, digits, '.', '-' and '_', at most 64."},
    {"kind", "\"files\"", "\"files\", \"syslog\", \"relp\" or \"kafka\"."},
    {"municipality", "461", "Whose records these are; needed when the node serves several."},
    {"tenant", "0", "Part of the municipality with its own accounts, e.g. its schools; 0: the whole."},
    {"format", "\"postfix\"", "Of `bavn formats list`; without it each line is recognised."},
};
constexpr Key kFiles[] = {
    {"paths", "[\"/var/log/mail.log*\"]", "Files to follow, with * ? [..]; packed ones (gzip, zstd) are read once."},
    {"exclude", "[\"*.tmp\"]", "What not to follow of it: whole paths, or names."},
    {"start", "\"beginning\"", "Or \"end\": what is there already when the source is new is not read."},
    {"poll_seconds", "1", "How often files are looked at; changes on local disks are noticed sooner."},
};
constexpr Key kSyslog[] = {
    {"transport", "\"tls\"", "\"udp\", \"tcp\" or \"tls\"."},
    {"address", "\"0.0.0.0\"", "Where to listen."},
    {"port", "6514", "514 for udp and tcp and 6514 for tls unless said."},
    {"allow", "[\"192.0.2.0/24\"]", "Networks that may send; without it, all."},
    {"certificate", "\"syslog.pem\"", "Of tls: PEM file, beside sources.toml unless the path is absolute."},
    {"key", "\"syslog.key\"", "Of tls: its private key."},
    {"client_ca", "\"senders-ca.pem\"", "Of tls: senders must have a certificate of this authority."},
    {"per_sender", "false", "Each address that sends is a source of its own."},
    {"max_message", "65536", "Bytes; 480 to 1048576."},
    {"max_connections", "1000", "1 to 100000."},
    {"idle_minutes", "720", "A connection without a byte is closed after it; 1 to 100000."},
};

constexpr Key kRelp[] = {
    {"tls", "true", "Encrypted connections; without it, plain TCP."},
    {"address", "\"0.0.0.0\"", "Where to listen."},
    {"port", "2514", "2514 unless said."},
    {"allow", "[\"192.0.2.0/24\"]", "Networks that may send; without it, all."},
    {"certificate", "\"relp.pem\"", "Of tls: PEM file, beside sources.toml unless the path is absolute."},
    {"key", "\"relp.key\"", "Of tls: its private key."},
    {"client_ca", "\"senders-ca.pem\"", "Of tls: senders must have a certificate of this authority."},
    {"per_sender", "false", "Each address that sends is a source of its own."},
    {"max_message", "131072", "Bytes; 480 to 1048576."},
    {"max_connections", "1000", "1 to 100000."},
    {"idle_minutes", "720", "A connection without a byte is closed after it; 1 to 100000."},
};

constexpr Key kKafka[] = {
    {"brokers", "\"kafka1.example.org:9092\"",
     "One or more brokers, commas between; the others are found through them."},
    {"topics", "[\"logs\"]", "What to read; one that begins with '^' is a pattern."},
    {"group", "\"bavn\"", "The consumer group; its offsets are committed when messages are on disk."},
    {"start", "\"beginning\"", "Or \"end\": where a new group begins."},
    {"tls", "true", "Encrypted connections to the brokers."},
    {"ca", "\"kafka-ca.pem\"", "Of tls: the brokers' authority, when it is not one of the system's."},
    {"user", "\"bavn\"", "SASL; without it nobody signs in."},
    {"password_file", "\"kafka.password\"", "Beside sources.toml unless the path is absolute; its first line."},
    {"mechanism", "\"SCRAM-SHA-512\"", "Or \"SCRAM-SHA-256\", \"PLAIN\" (with tls only)."},
};

/// One [[source]] table, asked key by key.
class Table {
 public:
  Table(const toml::table& table, std::string where, std::vector<std::string>& errors)
      : table_(table), where_(std::move(where)), errors_(errors) {}

  void known(std::span<const Key> own) {
    std::vector<std::string_view> names;
    for (const Key& k : kCommon) names.push_back(k.name);
    for (const Key& k : own) names.push_back(k.name);
    for (const auto& [key, value] : table_) {
      if (std::find(names.begin(), names.end(), key.str()) != names.end()) continue;
      const auto near = nearest(key.str(), names);
      error(key.source(), near.empty() ? fmt::format("there is no key '{}' here", key.str())
                                       : fmt::format("there is no key '{}' here; did you mean '{}'?", key.str(), near));
    }
  }
  std::string text(std::string_view key, std::string fallback) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return fallback;
    if (const auto v = node->value_exact<std::string>()) return *v;
    error(node->source(), fmt::format("'{}' is a text in quotes", key));
    return fallback;
  }
  std::int64_t number(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return fallback;
    const auto v = node->value_exact<std::int64_t>();
    if (v && *v >= min && *v <= max) return *v;
    error(node->source(), fmt::format("'{}' is a whole number of {} to {}", key, min, max));
    return fallback;
  }
  bool flag(std::string_view key, bool fallback) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return fallback;
    if (const auto v = node->value_exact<bool>()) return *v;
    error(node->source(), fmt::format("'{}' is true or false", key));
    return fallback;
  }
  /// A single text counts as a list of one.
  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> out;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return out;
    if (const auto one = node->value_exact<std::string>()) return {*one};
    const toml::array* list = node->as_array();
    bool fine = list != nullptr;
    for (std::size_t i = 0; fine && i < list->size(); ++i) {
      const auto v = list->get(i)->value_exact<std::string>();
      fine = v.has_value();
      if (v) out.push_back(*v);
    }
    if (!fine) error(node->source(), fmt::format("'{}' is a list of texts: [\"...\", \"...\"]", key));
    return out;
  }
  bool has(std::string_view key) const { return table_.contains(key); }
  void error(const toml::source_region& at, const std::string& what) {
    if (errors_.size() < kMaxErrors) errors_.push_back(fmt::format("{}:{}: {}", where_, at.begin.line, what));
  }
  void error(std::string_view key, const std::string& what) {
    const toml::node* node = table_.get(key);
    error(node == nullptr ? table_.source() : node->source(), what);
  }

 private:
  const toml::table& table_;
  std::string where_;
  std::vector<std::string>& errors_;
};

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '.' || c == '-' || c == '_';
  });
}

struct Common {
  std::string name, format;
  MunicipalityId municipality{};
  TenantId tenant{};
};

Common common_of(Table& t, std::span<const MunicipalityId> served, std::set<std::string>& names) {
  Common c;
  c.name = t.text("name", "");
  if (!good_name(c.name)) t.error("name", "a source needs a 'name' of letters, digits, '.', '-' and '_', at most 64");
  else if (c.name.starts_with("m365.") || c.name.starts_with("http."))
    t.error("name", fmt::format("'{}': names that begin with 'm365.' and 'http.' are those of other sources", c.name));
  else if (!names.insert(c.name).second)
    t.error("name", fmt::format("there are two sources with the name '{}'", c.name));
  c.format = t.text("format", "");
  c.tenant = TenantId{static_cast<std::uint16_t>(t.number("tenant", 0, 0, 65535))};
  if (t.has("municipality"))
    c.municipality = MunicipalityId{static_cast<std::uint16_t>(t.number("municipality", 0, 1, 65535))};
  else if (served.size() == 1) c.municipality = served[0];
  else t.error("municipality", "this node serves several municipalities: say whose source it is, 'municipality = 461'");
  if (t.has("municipality") && c.municipality.value != 0 &&
      std::find(served.begin(), served.end(), c.municipality) == served.end())
    t.error("municipality", fmt::format("this node does not serve municipality {}", c.municipality.value));
  return c;
}

FileOptions files_of(Table& t, const Common& c) {
  FileOptions o;
  o.name = c.name;
  o.format = c.format;
  o.municipality = c.municipality;
  o.tenant = c.tenant;
  o.paths = t.texts("paths");
  o.exclude = t.texts("exclude");
  if (o.paths.empty()) t.error("paths", "a source of files needs 'paths', e.g. [\"/var/log/mail.log*\"]");
  for (const std::string& p : o.paths)
    if (!p.starts_with('/') || p.size() > 4096 || p.contains('\0'))
      t.error("paths", fmt::format("'{}': a path begins with '/'", p.substr(0, 100)));
  const std::string start = t.text("start", "beginning");
  if (start != "beginning" && start != "end") t.error("start", "'start' is \"beginning\" or \"end\"");
  o.from_end = start == "end";
  o.poll = std::chrono::seconds(t.number("poll_seconds", 1, 1, 3600));
  return o;
}

std::string pem(Table& t, std::string_view key, Files& files, const std::string& folder) {
  std::string path = t.text(key, "");
  if (path.empty()) return {};
  if (!path.starts_with('/')) path = folder + "/" + path;
  auto text = read_file(files, path, 1U << 20U);
  if (text) return *std::move(text);
  t.error(key, to_string(text.error()));
  return {};
}

/// What all that listen have in common. encrypted: what says that it is to be TLS.
void listening(Table& t, const Common& c, std::string_view encrypted, Files& files, const std::string& folder,
               ListenerOptions& o) {
  o.name = c.name;
  o.format = c.format;
  o.municipality = c.municipality;
  o.tenant = c.tenant;
  o.address = t.text("address", "0.0.0.0");
  if (!event::parse_ip(o.address)) t.error("address", fmt::format("'{}' is no address to listen on", o.address));
  o.allow = t.texts("allow");
  for (const std::string& network : o.allow)
    if (!event::parse_cidr(network) && !event::parse_ip(network))
      t.error("allow", fmt::format("'{}' is no network; e.g. \"192.0.2.0/24\"", network));
  o.per_sender = t.flag("per_sender", false);
  o.max_message =
      static_cast<std::size_t>(t.number("max_message", static_cast<std::int64_t>(o.max_message), 480, 1 << 20));
  o.max_connections = static_cast<std::size_t>(t.number("max_connections", 1000, 1, 100'000));
  o.idle = std::chrono::minutes(t.number("idle_minutes", 720, 1, 100'000));
  if (o.transport != Transport::tls) {
    for (const std::string_view useless : {"certificate", "key", "client_ca"})
      if (t.has(useless)) t.error(useless, fmt::format("'{}' has a meaning with {} only", useless, encrypted));
    return;
  }
  for (const std::string_view needed : {"certificate", "key"})
    if (!t.has(needed)) t.error(needed, fmt::format("{} needs '{}'", encrypted, needed));
  o.certificate = {pem(t, "certificate", files, folder), pem(t, "key", files, folder),
                   pem(t, "client_ca", files, folder)};
}

SyslogOptions syslog_of(Table& t, const Common& c, Files& files, const std::string& folder) {
  SyslogOptions o;
  const std::string transport = t.text("transport", "udp");
  if (transport == "tls") o.transport = Transport::tls;
  else if (transport == "tcp") o.transport = Transport::tcp;
  else if (transport != "udp") t.error("transport", "'transport' is \"udp\", \"tcp\" or \"tls\"");
  o.port = static_cast<std::uint16_t>(t.number("port", o.transport == Transport::tls ? 6514 : 514, 1, 65535));
  listening(t, c, "transport \"tls\"", files, folder, o);
  return o;
}

RelpOptions relp_of(Table& t, const Common& c, Files& files, const std::string& folder) {
  RelpOptions o;
  if (t.flag("tls", false)) o.transport = Transport::tls;
  o.port = static_cast<std::uint16_t>(t.number("port", 2514, 1, 65535));
  listening(t, c, "tls = true", files, folder, o);
  return o;
}

KafkaOptions kafka_of(Table& t, const Common& c, Files& files, const std::string& folder) {
  KafkaOptions o;
  o.name = c.name;
  o.format = c.format;
  o.municipality = c.municipality;
  o.tenant = c.tenant;
  o.brokers = t.text("brokers", "");
  if (o.brokers.empty() || o.brokers.size() > 4096)
    t.error("brokers", "a source of Kafka needs 'brokers', e.g. \"kafka1.example.org:9092\"");
  o.topics = t.texts("topics");
  if (o.topics.empty()) t.error("topics", "a source of Kafka needs 'topics', e.g. [\"logs\"]");
  for (const std::string& topic : o.topics)
    if (topic.empty() || topic.size() > 249 || topic.contains('\0'))
      t.error("topics", "a topic has 1 to 249 characters");
  o.group = t.text("group", "bavn");
  if (o.group.empty() || o.group.size() > 249) t.error("group", "a group has 1 to 249 characters");
  const std::string start = t.text("start", "beginning");
  if (start != "beginning" && start != "end") t.error("start", "'start' is \"beginning\" or \"end\"");
  o.from_end = start == "end";
  o.tls = t.flag("tls", false);
  const auto beside = [&](std::string path) {
    return path.empty() || path.starts_with('/') ? path : folder + "/" + path;
  };
  o.ca_file = beside(t.text("ca", ""));
  if (!o.ca_file.empty() && !files.exists(o.ca_file)) t.error("ca", fmt::format("there is no file {}", o.ca_file));
  if (!o.ca_file.empty() && !o.tls) t.error("ca", "'ca' has a meaning with tls = true only");
  o.user = t.text("user", "");
  if (t.has("user") != t.has("password_file")) t.error("user", "'user' and 'password_file' belong together");
  if (t.has("password_file")) {
    const auto text = read_file(files, beside(t.text("password_file", "")), 4096);
    if (text) o.password = trim(std::string_view(*text).substr(0, text->find('\n')));
    else t.error("password_file", to_string(text.error()));
  }
  o.mechanism = t.text("mechanism", o.mechanism);
  if (o.mechanism != "SCRAM-SHA-512" && o.mechanism != "SCRAM-SHA-256" && o.mechanism != "PLAIN")
    t.error("mechanism", "'mechanism' is \"SCRAM-SHA-512\", \"SCRAM-SHA-256\" or \"PLAIN\"");
  if (o.mechanism == "PLAIN" && !o.tls) t.error("mechanism", "PLAIN sends the password as it is: it needs tls = true");
  return o;
}

void explain(std::string& out, std::string_view kind, std::span<const Key> keys) {
  out += fmt::format("\n# [[source]]\n# kind = \"{}\"\n", kind);
  for (const Key& k : kCommon)
    if (k.name != "kind") out += fmt::format("# {} = {}  # {}\n", k.name, k.sample, k.doc);
  for (const Key& k : keys) out += fmt::format("# {} = {}  # {}\n", k.name, k.sample, k.doc);
}

}  // namespace

Result<SourcesFile> read_sources(std::string_view text, const std::string& file, std::span<const MunicipalityId> served,
                                 Files& files, const std::string& folder) {
  if (text.size() > kMaxFile) return fail(Code::bad_input, "more than 1 MiB: that is no list of sources", file);
  BAVN_CHECK(plain_outside_quotes(text, file));
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const toml::parse_error& e = parsed.error();
    return fail(Code::bad_input, std::string(e.description()), fmt::format("{}:{}", file, e.source().begin.line));
  }
  std::vector<std::string> errors;
  SourcesFile out;
  std::set<std::string> names;
  for (const auto& [key, value] : parsed.table()) {
    const toml::array* list = key == "source" ? value.as_array() : nullptr;
    if (list == nullptr || !list->is_array_of_tables()) {
      errors.push_back(fmt::format("{}:{}: here stand tables of [[source]] only, not '{}'", file,
                                   key.source().begin.line, key.str()));
      continue;
    }
    if (list->size() > kMaxSources) return fail(Code::bad_input, "more than 1,000 sources", file);
    for (const toml::node& node : *list) {
      Table t(*node.as_table(), file, errors);
      const std::string kind = t.text("kind", "");
      const Common common = common_of(t, served, names);
      if (kind == "files") {
        t.known(kFiles);
        out.files.push_back(files_of(t, common));
      } else if (kind == "syslog") {
        t.known(kSyslog);
        out.syslog.push_back(syslog_of(t, common, files, folder));
      } else if (kind == "relp") {
        t.known(kRelp);
        out.relp.push_back(relp_of(t, common, files, folder));
      } else if (kind == "kafka") {
        t.known(kKafka);
        out.kafka.push_back(kafka_of(t, common, files, folder));
      } else {
        t.error("kind",
                "'kind' is \"files\", \"syslog\", \"relp\" or \"kafka\"; Microsoft 365 and HTTP senders are set up by "
                "`bavn node`");
      }
    }
  }
  if (errors.empty()) return out;
  std::string all;
  for (const std::string& e : errors) all += (all.empty() ? "" : "\n") + e;
  return fail(Code::bad_input, all);
}

std::string explain_sources() {
  std::string out =
      "# What this node follows and listens to. Checked by `bavn config check`; changes need a restart.\n";
  explain(out, "files", kFiles);
  explain(out, "syslog", kSyslog);
  explain(out, "relp", kRelp);
  explain(out, "kafka", kKafka);
  return out;
}

}  // namespace bavn::input
