#include "live/intake.hpp"

#include <algorithm>
#include <boost/describe.hpp>
#include <optional>

#include "base/aead.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::live {

BOOST_DESCRIBE_STRUCT(IntakeToken, (),
                      (id, source, municipality, tenant, format, hash, made_by, made_at_us, revoked_at_us))

namespace {

constexpr std::string_view kTokenStart = "bavn_in_";
constexpr std::string_view kWho = "intake:";

bool is_source_name(std::string_view s) {
  return !s.empty() && s.size() <= 100 && std::all_of(s.begin(), s.end(), [](char c) {
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '.' || c == '-' || c == '_';
  });
}

Result<void> need(const event::Scope& scope, event::Right right, const char* doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, scope.who() + " may not " + doing);
}

std::string json_of(const input::Receipt& r) {
  std::string out;
  JsonWriter w(out);
  w.object().member("accepted", r.accepted).member("refused", r.refused).member("duplicate", r.duplicate);
  w.key("reasons").array();
  for (const auto& [reason, x] : r.reasons)
    w.object().member("reason", reason).member("count", x.count).member("first", x.first).end();
  w.end().end();
  return out;
}

/// The token as the products that ship logs carry theirs. Elastic's ApiKey is base64 of "name:key", or what somebody pasted for it.
std::optional<std::string> token_in(const net::Request& request) {
  const std::string* header = request.headers.find("Authorization");
  if (header == nullptr || header->size() > 1000) return std::nullopt;
  const std::string_view all = trim(*header);
  const std::size_t space = all.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view how = all.substr(0, space), what = trim(all.substr(space));
  std::string token;
  if (iequals(how, "Bearer") || iequals(how, "Splunk") || (iequals(how, "ApiKey") && what.starts_with(kTokenStart))) {
    token = what;
  } else if (iequals(how, "Basic") || iequals(how, "ApiKey")) {
    const auto decoded = from_base64(what);
    if (!decoded) return std::nullopt;
    const std::size_t colon = decoded->find(':');
    token = decoded->substr(colon == std::string::npos ? 0 : colon + 1);
  }
  if (!token.starts_with(kTokenStart) || token.size() > 100) return std::nullopt;
  return token;
}

net::Reply come_back(const Error& error) {
  net::Reply reply = net::problem(error);
  if (error.code == Code::unavailable) reply.headers.set("Retry-After", "1");
  return reply;
}

}  // namespace

Result<std::unique_ptr<IntakeTokens>> IntakeTokens::open(store::State& state) {
  auto tokens = std::unique_ptr<IntakeTokens>(new IntakeTokens(state));
  BAVN_CHECK(tokens->load());
  return tokens;
}

Result<void> IntakeTokens::load() {
  BAVN_TRY(auto rows, state_.read([](store::Reader& db) {
    return db.all<IntakeToken>(
        "SELECT id, source, municipality, tenant, format, hash, made_by, made_at_us, revoked_at_us FROM "
        "intake_token WHERE revoked_at_us = 0 ORDER BY hash");
  }));
  auto fresh = std::make_shared<const std::vector<IntakeToken>>(std::move(rows));
  known_.with([&](auto& known) { known = fresh; });
  return {};
}

Result<std::string> IntakeTokens::issue(const event::Scope& scope, const std::string& source,
                                        MunicipalityId municipality, TenantId tenant, const std::string& format) {
  BAVN_CHECK(need(scope, event::Right::operate, "issue tokens"));
  if (!scope.sees(municipality))
    return fail(Code::forbidden, scope.who() + " may not issue tokens for this municipality");
  if (!is_source_name(source))
    return fail(Code::bad_input, "a source has a name of letters, digits, '.', '-' and '_', at most 100", source);
  std::string secret(32, '\0');
  random_bytes(secret);
  const std::string token = std::string(kTokenStart) + to_base64url(secret);
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec(
        "INSERT INTO intake_token (source, municipality, tenant, format, hash, made_by, made_at_us, revoked_at_us) "
        "VALUES (:source, :m, :t, :format, :hash, :who, :now, 0)",
        {{"source", source},
         {"m", municipality},
         {"t", tenant},
         {"format", format},
         {"hash", to_hex(blake2b256(token))},
         {"who", scope.who()},
         {"now", tx.now()}}));
    std::string detail;
    JsonWriter(detail).object().member("source", source).end();
    return tx.audit({scope.who(), "intake_token.issued", std::to_string(tx.last_id()), detail});
  }));
  BAVN_CHECK(load());
  return token;
}

Result<void> IntakeTokens::revoke(const event::Scope& scope, std::int64_t id) {
  BAVN_CHECK(need(scope, event::Right::operate, "revoke tokens"));
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto of, tx.one<std::int64_t>("SELECT municipality FROM intake_token WHERE id = :id", {{"id", id}}));
    if (!of || !scope.sees(MunicipalityId{static_cast<std::uint16_t>(*of)}))
      return fail(Code::not_found, "there is no valid token " + std::to_string(id));
    BAVN_TRY(const std::int64_t changed,
             tx.exec("UPDATE intake_token SET revoked_at_us = :now WHERE id = :id AND revoked_at_us = 0",
                     {{"now", tx.now()}, {"id", id}}));
    if (changed == 0) return fail(Code::not_found, "there is no valid token " + std::to_string(id));
    return tx.audit({scope.who(), "intake_token.revoked", std::to_string(id), "{}"});
  }));
  return load();
}

Result<std::vector<IntakeToken>> IntakeTokens::list(const event::Scope& scope) const {
  BAVN_CHECK(need(scope, event::Right::operate, "list tokens"));
  BAVN_TRY(auto rows, state_.read([](store::Reader& db) {
    return db.all<IntakeToken>(
        "SELECT id, source, municipality, tenant, format, '' AS hash, made_by, made_at_us, revoked_at_us FROM "
        "intake_token ORDER BY id");
  }));
  std::erase_if(rows, [&](const IntakeToken& t) {
    return !scope.sees(MunicipalityId{static_cast<std::uint16_t>(t.municipality)});
  });
  return rows;
}

std::shared_ptr<const IntakeToken> IntakeTokens::of(const net::Request& request) const {
  const auto token = token_in(request);
  if (!token) return nullptr;
  // Found by its hash: how long that takes says nothing about a token.
  const std::string hash = to_hex(blake2b256(*token));
  const auto known = known_.with([](const auto& k) { return k; });
  const auto it = std::lower_bound(known->begin(), known->end(), hash,
                                   [](const IntakeToken& t, const std::string& h) { return t.hash < h; });
  if (it == known->end() || it->hash != hash) return nullptr;
  return {known, &*it};
}

Result<event::Scope> IntakeTokens::authenticate(const net::Request& request) const {
  if (!token_in(request)) return fail(Code::not_found, "the request has no intake token");
  const auto token = of(request);
  if (!token) return fail(Code::forbidden, "the intake token is unknown or was revoked");
  return event::Scope(std::string(kWho) + token->source,
                      {MunicipalityId{static_cast<std::uint16_t>(token->municipality)}},
                      static_cast<std::uint32_t>(event::Right::event_write), event::Tlp::clear);
}

void add_intake_routes(net::Router& router, IntakeTokens& tokens, input::Sink& sink, std::size_t max_body) {
  net::RouteOptions options;
  options.max_body = max_body;
  options.deadline = std::chrono::seconds(60);
  options.has_room = [&sink](std::size_t length) { return sink.has_room(length); };
  router.async(
      net::Method::post, "/intake/v1/{source}", net::Needs::event_write,
      [&tokens, &sink](net::Request request, net::Respond respond) {
        const auto token = tokens.of(request);
        if (!token || request.param("source") != token->source)
          return respond(net::problem(403, "Forbidden", "this token is for another source"));
        input::Delivery d;
        d.source = "http." + token->source;
        d.municipality = MunicipalityId{static_cast<std::uint16_t>(token->municipality)};
        d.tenant = TenantId{static_cast<std::uint16_t>(token->tenant)};
        d.format = request.asked("format").value_or(token->format);
        for (const char* name : {"Idempotency-Key", "X-Batch-Id"})
          if (const std::string* id = request.headers.find(name); id != nullptr && d.id.empty()) d.id = *id;
        if (d.id.size() > 256) return respond(net::problem(400, "Bad Request", "a batch id has at most 256 bytes"));
        if (request.body.empty())
          return respond(net::problem(400, "Bad Request", "the body is empty; lines are wanted"));
        d.bytes = std::move(request.body);
        sink.deliver(std::move(d), [respond = std::move(respond)](Result<input::Receipt> receipt) mutable {
          if (!receipt) return respond(come_back(receipt.error()));
          const bool nothing = receipt->accepted == 0 && receipt->refused != 0;
          respond(net::json(json_of(*receipt), nothing ? 422 : 200));
        });
      },
      options);
}

}  // namespace bavn::live
