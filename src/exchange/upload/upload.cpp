#include "exchange/upload/upload.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "exchange/tlp_marks.hpp"
#include "net/json_value.hpp"
#include "net/url.hpp"

namespace bavn::exchange {

namespace {

namespace mi = match::indicators;
using namespace std::chrono_literals;

constexpr auto kShortestValid =
    std::chrono::hours(24 * 7);  // of what says no end, at Defender: renewed as long as it is among the best
constexpr std::size_t kMostRanked = 500'000;  // indicators that are looked at for the best: about 150 MB
constexpr std::string_view kDefenderScope = "https://api.securitycenter.microsoft.com/.default";
constexpr std::string_view kSentinelScope = "https://management.azure.com/.default";

std::string rfc3339(Instant t) {
  return format_time(std::chrono::floor<std::chrono::seconds>(t));
}

std::string text_in(std::string_view json, std::string_view name) {
  const auto document = net::JsonDocument::parse(json);
  return document ? std::string(document->root()[name].text_or("")) : std::string();
}

/// One turn: token, then call after call; the next begins when the one before was answered.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
  Upload(std::shared_ptr<Pull> pull, PullDone done, std::vector<std::string> calls, Pulled result, std::string path,
         std::string_view scope)
      : pull_(std::move(pull)),
        done_(std::move(done)),
        calls_(std::move(calls)),
        result_(std::move(result)),
        path_(std::move(path)),
        scope_(scope) {}

  void start() {
    if (calls_.empty()) return done_(std::move(result_));
    const std::string tenant = text_in(pull_->peer.options, "tenant");
    if (tenant.empty() || !pull_->secret || pull_->peer.user.empty())
      return done_(
          fail(Code::forbidden, "it signs in by oauth, with user (the application), a secret and the option tenant"));
    std::string base = text_in(pull_->peer.options, "sign_in_url");
    if (base.empty()) base = "https://login.microsoftonline.com";
    net::ClientRequest ask;
    ask.method = net::Method::post;
    ask.url = fmt::format("{}/{}/oauth2/v2.0/token", base, net::percent_encoded(tenant));
    ask.headers.set("Content-Type", "application/x-www-form-urlencoded");
    ask.max_reply = 64U << 10U;
    pull_->secret->reveal([&](const std::string& secret) {
      ask.body = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
                             net::percent_encoded(pull_->peer.user), net::percent_encoded(secret),
                             net::percent_encoded(scope_));
    });
    pull_->client.send(std::move(ask), pull_->queue, [self = shared_from_this()](Result<net::ClientReply> reply) {
      self->signed_in(std::move(reply));
    });
  }

 private:
  void signed_in(Result<net::ClientReply> reply) {
    if (!reply) return done_(std::unexpected(reply.error()));
    if (reply->status != 200) {
      Error e = error_of(*reply, "the sign-in");
      if (reply->status == 400) e.code = Code::forbidden;  // RFC 6749 section 5.2: a wrong client is 400 or 401
      return done_(std::unexpected(std::move(e)));
    }
    const std::string token = text_in(reply->body, "access_token");
    if (token.empty()) return done_(fail(Code::bad_input, "the sign-in answered without a token"));
    pull_->authorization = "Bearer " + token;
    next();
  }
  void next() {
    if (at_ == calls_.size()) return done_(std::move(result_));
    auto ask = pull_->request(net::Method::post, path_);
    if (!ask) return done_(std::unexpected(ask.error()));
    ask->headers.set("Content-Type", "application/json");
    ask->body = std::move(calls_[at_++]);
    pull_->client.send(std::move(*ask), pull_->queue, [self = shared_from_this()](Result<net::ClientReply> answered) {
      self->answered(std::move(answered));
    });
  }
  void answered(Result<net::ClientReply> reply) {
    if (!reply) return done_(std::unexpected(reply.error()));
    // 429 and the like end the turn as "away": the cursor stays, the next turn begins where this one did.
    if (reply->status < 200 || reply->status > 299) return done_(std::unexpected(error_of(*reply, path_)));
    note_refused(reply->body);
    next();
  }
  /// Both say inside of a 200 what they did not take.
  void note_refused(std::string_view body) {
    const auto document = net::JsonDocument::parse(body);
    if (!document) return;
    std::vector<Dropped> refused;
    for (const net::JsonValue v : document->root()["value"])  // Defender
      if (v["isFailed"].boolean().value_or(false))
        refused.push_back({"upload", std::string(v["indicator"].text_or("")), "the partner's console refused it"});
    for (const net::JsonValue e : document->root()["errors"])  // Sentinel
      refused.push_back({"upload", fmt::format("object {} of call {}", e["recordIndex"].integer().value_or(-1), at_),
                         "the partner's console refused it"});
    if (refused.empty()) return;
    result_.sent -= std::min<std::uint64_t>(result_.sent, refused.size());
    (void)pull_->library.dropped(pull_->peer.id, refused);
  }

  std::shared_ptr<Pull> pull_;
  PullDone done_;
  std::vector<std::string> calls_;
  Pulled result_;
  std::string path_;
  std::string_view scope_;
  std::size_t at_ = 0;
};

/// What this partner may have, from a position on.
Result<std::vector<Known>> may_have(const Pull& pull, Instant after, std::int64_t after_id, std::size_t most) {
  const Partner partner = pull.peer.as_partner();
  LibraryAsk ask;
  ask.ceiling = partner.ceiling;
  ask.except_peer = partner.name;
  ask.after = after;
  ask.after_id = after_id;
  ask.limit = 10'000;
  std::vector<Known> all;
  while (all.size() < most) {
    BAVN_TRY(auto page, pull.library.read(ask));
    const bool end = page.size() < ask.limit;
    if (!page.empty()) {
      ask.after = page.back().changed;
      ask.after_id = page.back().id;
    }
    for (Known& k : page) {
      const auto kind = k.indicator.is_pattern() ? std::string_view() : event::to_string(k.indicator.kind);
      if (all.size() < most && partner.may_have(k.indicator.tlp, k.sectors, kind)) all.push_back(std::move(k));
    }
    if (end) break;
  }
  return all;
}

std::string_view defender_type(event::Kind kind) {
  switch (kind) {
    case event::Kind::sha256: return "FileSha256";
    case event::Kind::sha1: return "FileSha1";
    case event::Kind::md5: return "FileMd5";
    case event::Kind::ipv4:
    case event::Kind::ipv6: return "IpAddress";
    case event::Kind::domain: return "DomainName";
    case event::Kind::url: return "Url";
    default: return {};
  }
}

std::string stix_pattern(const mi::Indicator& i) {
  std::string quoted;
  for (const char c : i.value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  switch (i.kind) {
    case event::Kind::sha256: return fmt::format("[file:hashes.'SHA-256' = '{}']", quoted);
    case event::Kind::sha1: return fmt::format("[file:hashes.'SHA-1' = '{}']", quoted);
    case event::Kind::md5: return fmt::format("[file:hashes.MD5 = '{}']", quoted);
    case event::Kind::ipv4: return fmt::format("[ipv4-addr:value = '{}']", quoted);
    case event::Kind::ipv6: return fmt::format("[ipv6-addr:value = '{}']", quoted);
    case event::Kind::domain: return fmt::format("[domain-name:value = '{}']", quoted);
    case event::Kind::url: return fmt::format("[url:value = 'https://{0}' OR url:value = 'http://{0}']", quoted);
    case event::Kind::email: return fmt::format("[email-addr:value = '{}']", quoted);
    default: return i.is_pattern() ? i.value : std::string();
  }
}

/// The same indicator has the same id for ever: made of what it is.
std::string stix_id(const mi::Indicator& i) {
  std::string bytes =
      blake2b256(fmt::format("bavn sentinel v1|{}|{}|{}", static_cast<int>(i.kind), i.value, i.source)).substr(0, 16);
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0fU) |
                               0x80U);  // RFC 9562 section 5.8: version 8, our own hash
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3fU) | 0x80U);
  const std::string hex = to_hex(bytes);
  return fmt::format("indicator--{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

}  // namespace

void rank(std::vector<Known>& all, std::size_t most) {
  const auto better = [](const Known& a, const Known& b) {
    if (a.indicator.action != b.indicator.action) return a.indicator.action > b.indicator.action;
    if (a.indicator.confidence != b.indicator.confidence) return a.indicator.confidence > b.indicator.confidence;
    return std::pair(a.changed, a.id) > std::pair(b.changed, b.id);
  };
  std::ranges::sort(all, better);
  if (most != 0 && all.size() > most) all.resize(most);
}

std::string defender_indicator(const Known& known, Instant now) {
  const mi::Indicator& i = known.indicator;
  const std::string_view type = defender_type(i.kind);
  if (type.empty() || i.is_pattern()) return {};
  const Instant end = i.valid_until == Instant{} ? now + kShortestValid : i.valid_until;
  const std::string_view action = i.action == mi::Action::block || i.action == mi::Action::hold ? "Block"
                                  : i.action == mi::Action::warn                                ? "Warn"
                                                                                                : "Audit";
  // Files cannot be warned of; addresses, names and files that are only watched for are audited.
  const bool file = type.starts_with("File");
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("indicatorValue", i.kind == event::Kind::url ? "https://" + i.value : i.value)
      .member("indicatorType", type)
      .member("action", file && action == "Warn" ? "Audit" : action)
      .member("title", fmt::format("Bavn: {}", i.source.substr(0, 100)))
      .member("description", i.comment.empty() ? i.source : i.comment.substr(0, 400))
      .member("severity", i.confidence >= 80   ? "High"
                          : i.confidence >= 50 ? "Medium"
                                               : "Low")
      .member("expirationTime", rfc3339(end))
      .member("generateAlert", true);
  w.end();
  return out;
}

std::string sentinel_object(const Known& known, Instant now) {
  const mi::Indicator& i = known.indicator;
  const std::string pattern = stix_pattern(i);
  if (pattern.empty()) return {};
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("type", "indicator")
      .member("spec_version", "2.1")
      .member("id", stix_id(i))
      .member("created", rfc3339(known.changed))
      .member("modified", rfc3339(known.changed))
      .member("name", i.source)
      .member("description", i.comment)
      .member("pattern", pattern)
      .member("pattern_type", "stix")
      .member("valid_from", rfc3339(i.valid_from == Instant{} ? std::min(known.changed, now) : i.valid_from))
      .member("confidence", std::int64_t{i.confidence});
  if (i.valid_until != Instant{}) w.member("valid_until", rfc3339(i.valid_until));
  w.key("object_marking_refs").array().value(stix_marking_tlp1(i.tlp)).end();
  w.end();
  return out;
}

Puller defender_puller() {
  return [](std::shared_ptr<Pull> pull, PullDone done) {
    auto all = may_have(*pull, {}, 0, kMostRanked);
    if (!all) return done(std::unexpected(all.error()));
    const Instant now = pull->runtime.now();
    std::erase_if(*all, [&](const Known& k) { return defender_indicator(k, now).empty(); });
    rank(*all, kDefenderLimits.most);
    // The set as it is: what has no end of its own is renewed when the day changes.
    std::string digest = fmt::format("{}", micros(now) / 86'400'000'000);
    std::vector<std::string> objects;
    for (const Known& k : *all) {
      objects.push_back(defender_indicator(k, now));
      digest = blake2b256(fmt::format("{}{}{}{}", digest, k.id, micros(k.changed), event::to_string(k.indicator.tlp)));
    }
    Pulled result;
    result.cursor = to_hex(digest.size() == 32 ? digest : blake2b256(digest));
    if (result.cursor == pull->peer.cursor) {
      result.cursor = pull->peer.cursor;
      return done(std::move(result));
    }
    std::vector<std::string> calls;
    for (std::size_t from = 0; from < objects.size(); from += kDefenderLimits.a_call) {
      std::string body = "{\"Indicators\":[";
      for (std::size_t n = from; n < std::min(objects.size(), from + kDefenderLimits.a_call); ++n)
        body += (n == from ? "" : ",") + objects[n];
      calls.push_back(body + "]}");
    }
    BAVN_ASSERT(calls.size() <= kDefenderLimits.calls);
    result.sent = objects.size();
    std::make_shared<Upload>(std::move(pull), std::move(done), std::move(calls), std::move(result),
                             "/api/indicators/import", kDefenderScope)
        ->start();
  };
}

Puller sentinel_puller() {
  return [](std::shared_ptr<Pull> pull, PullDone done) {
    const auto workspace = text_in(pull->peer.options, "workspace");
    if (workspace.empty()) return done(fail(Code::forbidden, "which workspace? The option workspace names it"));
    Instant after{};
    std::int64_t after_id = 0;
    if (const auto cursor = net::JsonDocument::parse(pull->peer.cursor.empty() ? "{}" : pull->peer.cursor)) {
      after = from_micros(cursor->root()["after"].integer().value_or(0));
      after_id = cursor->root()["id"].integer().value_or(0);
    }
    const std::size_t most = kSentinelLimits.a_call * kSentinelLimits.calls;
    auto all = may_have(*pull, after, after_id, most);
    if (!all) return done(std::unexpected(all.error()));
    const Instant now = pull->runtime.now();
    Pulled result;
    result.cursor = pull->peer.cursor;
    result.more = all->size() == most;
    std::vector<std::string> calls;
    std::size_t in_call = 0;
    for (const Known& k : *all) {
      const std::string object = sentinel_object(k, now);
      if (object.empty()) continue;
      if (in_call == 0) {
        std::string body;
        JsonWriter(body).object().member("sourcesystem", "Bavn").end();
        body.back() = ',';
        calls.push_back(body + "\"stixobjects\":[" + object);
      } else {
        calls.back() += "," + object;
      }
      in_call = (in_call + 1) % kSentinelLimits.a_call;
      ++result.sent;
    }
    for (auto& c : calls) c += "]}";
    if (!all->empty())
      result.cursor = fmt::format("{{\"after\":{},\"id\":{}}}", micros(all->back().changed), all->back().id);
    std::make_shared<Upload>(
        std::move(pull), std::move(done), std::move(calls), std::move(result),
        fmt::format("/workspaces/{}/threat-intelligence-stix-objects:upload?api-version=2024-02-01-preview",
                    net::percent_encoded(workspace)),
        kSentinelScope)
        ->start();
  };
}

}  // namespace bavn::exchange
