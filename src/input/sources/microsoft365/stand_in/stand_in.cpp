#include "input/sources/microsoft365/stand_in/stand_in.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "base/json_writer.hpp"
#include "base/rsa.hpp"
#include "base/text.hpp"

namespace bavn::input::microsoft365::stand_in {
namespace {

using namespace std::chrono_literals;
using net::Reply;
using net::Request;

constexpr std::string_view kTypes[] = {"Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint",
                                       "Audit.General"};
constexpr std::string_view kGraphPrincipal = "99990000-0000-4000-8000-000000000003",
                           kExchangePrincipal = "99990000-0000-4000-8000-000000000002";
constexpr std::string_view kTracePrincipal = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";
constexpr Duration kBucket = 10min;

Reply answer(int status, std::string_view code, std::string_view message) {
  std::string body;
  JsonWriter w(body);
  w.object()
      .key("error")
      .object()
      .member("code", code)
      .member("message", message)
      .key("innerError")
      .object()
      .member("request-id", "00000000-0000-0000-0000-000000000000")
      .end()
      .end()
      .end();
  return net::json(std::move(body), status);
}

std::string value_of(std::string_view form, std::string_view name) {
  for (const auto pair : split(form, '&')) {
    const auto eq = pair.find('=');
    if (eq == pair.npos || pair.substr(0, eq) != name) continue;
    std::string out;
    const auto raw = pair.substr(eq + 1);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      unsigned c = 0;
      if (raw[i] == '%' && i + 2 < raw.size() &&
          std::from_chars(raw.data() + i + 1, raw.data() + i + 3, c, 16).ec == std::errc{}) {
        out += static_cast<char>(c);
        i += 2;
      } else {
        out += raw[i] == '+' ? ' ' : raw[i];
      }
    }
    return out;
  }
  return {};
}

std::string text_member(simdjson::dom::object object, std::string_view name) {
  std::string_view v;
  return object.at_key(name).get(v) == simdjson::SUCCESS ? std::string(v) : std::string();
}

std::optional<Instant> bound(std::string_view filter, std::string_view field, std::string_view op) {
  const auto at = filter.find(fmt::format("{} {} ", field, op));
  if (at == filter.npos) return std::nullopt;
  auto rest = filter.substr(at + field.size() + op.size() + 2);
  return parse_time(rest.substr(0, rest.find_first_of(" )")));
}

Reply token_error(int number, std::string_view code, std::string_view text) {
  std::string body;
  JsonWriter w(body);
  w.object()
      .member("error", code)
      .member("error_description", fmt::format("AADSTS{}: {} Trace ID: 0 Correlation ID: 0", number, text));
  w.key("error_codes").array().value(number).end().end();
  return net::json(std::move(body), number == 90002 || number == 700016 ? 400 : 401);
}

/// The value of `$Name = "..."` in the script.
std::string assigned(std::string_view script, std::string_view name) {
  const auto at = script.find(fmt::format("${} = \"", name));
  if (at == script.npos) return {};
  const auto from = at + name.size() + 5;
  return std::string(script.substr(from, script.find('"', from) - from));
}

}  // namespace

std::optional<StandInOptions> scenario(std::string_view name, std::uint64_t seed, unsigned tenants) {
  StandInOptions o{.world = {.seed = seed, .tenants = tenants}, .faults = {}, .scenario = std::string(name)};
  if (name == "quiet" || name == "october") return o;
  if (name != "hostile") return std::nullopt;
  o.world.stragglers = true;
  o.page_size = 100;
  o.first_blobs = 12h;
  o.faults = {.throttle = 0.05,
              .server_error = 0.05,
              .html = 0.02,
              .half_page = 0.04,
              .wrong_count = 0.02,
              .foreign_link = 0.01,
              .link_loop = 0.01,
              .duplicate = 0.3,
              .reorder = 0.5,
              .expired_token = 0.02};
  return o;
}

StandIn::StandIn(Runtime& runtime, StandInOptions options)
    : runtime_(runtime), options_(std::move(options)), world_([&] {
        if (options_.world.born == Instant{})
          options_.world.born = std::chrono::floor<std::chrono::hours>(runtime.now());
        return options_.world;
      }()) {
  world_.on_mail([this](const std::string& to, const std::string& from, const std::string& message_id,
                        const std::string& subject, const std::string& network_id, Instant at) {
    mailboxes_.put(to, {.item = {},
                        .folder = "inbox",
                        .message_id = message_id,
                        .sender = from,
                        .subject = subject,
                        .network_id = network_id,
                        .answers = {},
                        .arrives = at});
  });
  if (options_.scenario == "october") world_.take_over(0, runtime_.now() + 2min, 791);
}

bool StandIn::happens(double chance) {
  return chance > 0 && static_cast<double>(runtime_.random_below(1'000'000)) < chance * 1e6;
}

std::string StandIn::self(const Request& q) const {
  if (!url_.empty()) return url_;
  const auto* host = q.headers.find("Host");
  return (q.peer.tls ? "https://" : "http://") + (host ? *host : std::string("localhost"));
}

std::string StandIn::register_application(unsigned tenant, std::string certificate_pem, std::set<std::string> roles) {
  App app{.tenant = tenant,
          .client = World::guid(runtime_.random_number(), runtime_.random_number()),
          .certificate_pem = std::move(certificate_pem),
          .roles = std::move(roles),
          .works_from = runtime_.now() + options_.consent_takes};
  apps_.push_back(std::move(app));
  return apps_.back().client;
}

std::set<std::string> StandIn::roles(std::string_view client) const {
  const auto app = std::find_if(apps_.begin(), apps_.end(), [&](const App& a) { return a.client == client; });
  return app == apps_.end() ? std::set<std::string>() : app->roles;
}

Result<std::string> StandIn::run_script(std::string_view script) {
  const Tenant* t = world_.tenant(assigned(script, "TenantId"));
  if (t == nullptr) return fail(Code::not_found, "Connect-MgGraph: AADSTS90002: no such tenant");
  if (script.contains("Remove-MgApplication")) {
    const auto client = assigned(script, "ClientId");
    const auto gone = std::erase_if(apps_, [&](const App& a) { return a.tenant == t->number && a.client == client; });
    std::erase_if(tokens_, [&](const auto& token) { return token.second.client == client; });
    return fmt::format("Removed applications: {}\n", gone);
  }
  if (script.contains("$TakeBack")) {  // more or less for an application that is there
    const auto client = assigned(script, "ClientId");
    const auto app = std::find_if(apps_.begin(), apps_.end(),
                                  [&](const App& a) { return a.tenant == t->number && a.client == client; });
    if (app == apps_.end()) return fail(Code::not_found, "There is no application " + client + " here");
    const bool take_back = script.contains("$TakeBack = $true\n");
    for (std::size_t at = script.find("@{ Name = \""); at != script.npos; at = script.find("@{ Name = \"", at + 1)) {
      const auto from = at + 11;
      std::string name(script.substr(from, script.find('"', from) - from));
      if (take_back) app->roles.erase(name);
      else app->roles.insert(std::move(name));
    }
    std::string table = "Permissions of the application now:\n";
    for (const auto& role : app->roles) table += "  " + role + "\n";
    return table;
  }
  const auto der = from_base64(assigned(script, "Certificate"));
  if (!der || der->empty()) return fail(Code::bad_input, "the script has no certificate");
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  const auto text = to_base64(*der);
  for (std::size_t i = 0; i < text.size(); i += 64) pem += text.substr(i, 64) + "\n";
  pem += "-----END CERTIFICATE-----\n";
  std::set<std::string> roles;
  std::string table;
  for (std::size_t at = script.find("@{ Name = \""); at != script.npos; at = script.find("@{ Name = \"", at + 1)) {
    const auto from = at + 11;
    std::string name(script.substr(from, script.find('"', from) - from));
    table += fmt::format("  {}  granted\n", name);
    roles.insert(std::move(name));
  }
  if (script.contains(kTracePrincipal)) licences_[t->number].trace_principal = true;
  const auto client = register_application(t->number, std::move(pem), std::move(roles));
  return fmt::format("Permissions of the application:\n{}BAVN-TENANT-ID: {}\nBAVN-CLIENT-ID: {}\n", table, t->id,
                     client);
}

Reply StandIn::token(const Request& q) {
  ++counts_.tokens;
  if (happens(options_.faults.server_error)) return answer(503, "temporarily_unavailable", "try later");
  const Tenant* t = world_.tenant(q.param("tenant"));
  if (t == nullptr) return token_error(90002, "invalid_request", "Tenant not found.");
  const auto client = value_of(q.body, "client_id");
  const auto app = std::find_if(apps_.begin(), apps_.end(),
                                [&](const App& a) { return a.tenant == t->number && a.client == client; });
  if (app == apps_.end())
    return token_error(700016, "unauthorized_client", "Application with identifier was not found in the directory.");
  if (value_of(q.body, "grant_type") != "client_credentials" ||
      value_of(q.body, "client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    return token_error(900144, "invalid_request",
                       "The request body must contain grant_type and client_assertion_type.");
  const std::string assertion = value_of(q.body, "client_assertion");
  const auto parts = split(assertion, '.');
  if (parts.size() != 3) return token_error(50027, "invalid_client", "JWT token is invalid or malformed.");
  const auto header = from_base64url(parts[0]), claims = from_base64url(parts[1]), signature = from_base64url(parts[2]);
  if (!header || !claims || !signature)
    return token_error(50027, "invalid_client", "JWT token is invalid or malformed.");
  simdjson::dom::parser hp, cp;
  simdjson::dom::object h, c;
  const simdjson::padded_string header_text(*header), claims_text(*claims);
  if (hp.parse(header_text).get(h) != simdjson::SUCCESS || cp.parse(claims_text).get(c) != simdjson::SUCCESS)
    return token_error(50027, "invalid_client", "JWT token is invalid or malformed.");
  const auto thumbprint = certificate_thumbprint(app->certificate_pem);
  if (!thumbprint || text_member(h, "x5t#S256") != to_base64url(*thumbprint) || text_member(h, "alg") != "PS256")
    return token_error(
        700027, "invalid_client",
        "The certificate with identifier used to sign the client assertion is not registered on application.");
  const auto dot = assertion.rfind('.');
  if (!check_ps256(app->certificate_pem, std::string_view(assertion).substr(0, dot), *signature))
    return token_error(700027, "invalid_client", "Client assertion failed signature validation.");
  std::int64_t from = 0, until = 0;
  const std::int64_t now = micros(runtime_.now()) / 1'000'000;
  if (c.at_key("nbf").get(from) != simdjson::SUCCESS || c.at_key("exp").get(until) != simdjson::SUCCESS ||
      from > now + 300 || until < now - 300)
    return token_error(700024, "invalid_client", "Client assertion is not within its valid time range.");
  if (text_member(c, "iss") != client || text_member(c, "sub") != client ||
      !text_member(c, "aud").ends_with("/" + t->id + "/oauth2/v2.0/token"))
    return token_error(700023, "invalid_client", "Client assertion audience claim does not match.");
  if (!assertions_.insert(text_member(c, "jti")).second)
    return token_error(50013, "invalid_client", "Assertion was used before.");
  const auto scope = value_of(q.body, "scope");
  if (scope != "https://graph.microsoft.com/.default" && scope != "https://manage.office.com/.default")
    return token_error(70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid.");
  const auto text = fmt::format("{:016x}{:016x}", runtime_.random_number(), runtime_.random_number());
  std::erase_if(tokens_, [&](const auto& old) { return old.second.until < runtime_.now(); });
  tokens_[text] = {
      .tenant = t->number, .client = client, .graph = scope.contains("graph"), .until = runtime_.now() + 3599s};
  std::string body;
  JsonWriter(body)
      .object()
      .member("token_type", "Bearer")
      .member("expires_in", 3599)
      .member("ext_expires_in", 3599)
      .member("access_token", text)
      .end();
  return net::json(std::move(body));
}

std::optional<Reply> StandIn::refused(const Request& q, bool graph, const std::vector<std::string>& any_role,
                                      std::string_view budget, Limit limit, unsigned& tenant) {
  ++counts_.requests;
  const auto* header = q.headers.find("Authorization");
  const auto found =
      header && header->starts_with("Bearer ") ? tokens_.find(std::string_view(*header).substr(7)) : tokens_.end();
  if (found == tokens_.end() || found->second.until < runtime_.now() || found->second.graph != graph)
    return answer(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.");
  if (happens(options_.faults.expired_token)) {
    ++counts_.faults;
    tokens_.erase(found);
    return answer(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.");
  }
  tenant = found->second.tenant;
  auto& asked = asked_[{tenant, std::string(budget)}];
  const Duration now = runtime_.steady();
  while (!asked.empty() && asked.front() + limit.second <= now) asked.pop_front();
  if (asked.size() >= limit.first || happens(options_.faults.throttle)) {
    ++(asked.size() >= limit.first ? counts_.over_limit : counts_.faults);
    auto reply = answer(429, "TooManyRequests", "Too many requests.");
    if (runtime_.random_below(4) != 0) reply.headers.set("Retry-After", std::to_string(1 + runtime_.random_below(10)));
    return reply;
  }
  asked.push_back(now);
  if (happens(options_.faults.server_error)) {
    ++counts_.faults;
    constexpr int codes[] = {500, 503, 504};
    return answer(codes[runtime_.random_below(3)], "serviceUnavailable", "The service is not available.");
  }
  const auto app =
      std::find_if(apps_.begin(), apps_.end(), [&](const App& a) { return a.client == found->second.client; });
  const bool granted =
      app != apps_.end() && runtime_.now() >= app->works_from &&
      std::any_of(any_role.begin(), any_role.end(), [&](const auto& r) { return app->roles.contains(r); });
  if (!granted && graph)
    return answer(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
  if (!granted)
    return answer(
        401, "AF10001",
        "The permission set () sent in the request did not include the expected permission ActivityFeed.Read.");
  return std::nullopt;
}

Reply StandIn::spoiled(Reply reply) {
  if (happens(options_.faults.html)) {
    ++counts_.faults;
    return net::text(
        "<!DOCTYPE html><html><head><title>Sign in to your proxy</title></head><body>Please sign in</body></html>",
        "text/html");
  }
  if (happens(options_.faults.half_page)) {
    ++counts_.faults;
    reply.body.resize(runtime_.random_below(reply.body.size() + 1));
  }
  return reply;
}

/// Records of one answer, cut to pages by a token that keeps the place.
Reply StandIn::page(const Request& q, std::vector<std::string> records, std::size_t at_most) {
  std::size_t top = std::min(at_most, options_.page_size), skip = 0;
  if (const auto asked = q.asked("$top")) {
    std::size_t n = 0;
    std::from_chars(asked->data(), asked->data() + asked->size(), n);
    if (n > at_most || n == 0) return answer(400, "BadRequest", "Invalid $top.");
    top = std::min(top, n);
  }
  if (const auto token = q.asked("$skiptoken")) std::from_chars(token->data(), token->data() + token->size(), skip);
  const auto end = std::min(records.size(), skip + top);
  std::vector<std::string> out;
  for (auto i = std::min(skip, records.size()); i < end; ++i) {
    out.push_back(std::move(records[i]));
    if (happens(options_.faults.duplicate / 10)) out.push_back(out[runtime_.random_below(out.size())]);
  }
  if (happens(options_.faults.reorder))
    for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[runtime_.random_below(i)]);
  const auto link = [&](std::string_view skiptoken) {
    std::string url = self(q) + q.path + "?";
    for (const auto& [name, value] : q.query)
      if (name != "$skiptoken") {
        url += name + "=";
        for (const char c : value)
          url += std::isalnum(static_cast<unsigned char>(c)) ? std::string(1, c)
                                                             : fmt::format("%{:02X}", static_cast<unsigned char>(c));
        url += '&';
      }
    return url + "$skiptoken=" + std::string(skiptoken);
  };
  std::string body;
  JsonWriter w(body);
  w.object().member("@odata.context", "https://graph.microsoft.com/$metadata");
  if (happens(options_.faults.wrong_count)) {
    ++counts_.faults;
    w.member("@odata.count", static_cast<std::uint64_t>(records.size() + 3));
  }
  if (end < records.size()) {
    if (happens(options_.faults.foreign_link)) {
      ++counts_.faults;
      w.member("@odata.nextLink", "https://graph.attacker.example" + q.path + "?$skiptoken=1");
    } else if (happens(options_.faults.link_loop)) {
      ++counts_.faults;
      w.member("@odata.nextLink", link(std::to_string(skip)));
    } else {
      w.member("@odata.nextLink", link(std::to_string(end)));
    }
  }
  w.key("value").array();
  for (const auto& record : out) w.raw(record);
  w.end().end();
  return spoiled(net::json(std::move(body)));
}

Reply StandIn::list(const Request& q, Stream stream, std::string_view time_field, const std::string& role,
                    std::string_view budget) {
  unsigned tenant = 0;
  const Limit limit = budget == "trace" ? Limit{100, 5min} : budget == "security" ? Limit{150, 1min} : Limit{5, 10s};
  if (auto no = refused(q, true, {role}, budget, limit, tenant)) return std::move(*no);
  const auto& has = licences_[tenant];
  const bool sign_in = stream <= Stream::apps;
  if (sign_in && !has.p1)
    return answer(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                  "Neither tenant is B2C or tenant doesn't have premium license");
  if (stream == Stream::risks && !has.p2)
    return answer(403, "Forbidden", "Your tenant is not licensed for this feature.");
  if (stream == Stream::alerts && !has.defender)
    return answer(403, "Forbidden", "The tenant does not have a valid license.");
  if (stream == Stream::trace && !has.trace_principal)
    return answer(401, "Unauthorized",
                  fmt::format("Service principal-less Authentication failed: the service principal for App ID {} was "
                              "not found. Please create a service principal for this app in your tenant.",
                              kTracePrincipal));
  const std::string filter(q.asked("$filter").value_or(""));
  if (stream == Stream::interactive && filter.contains("signInEventTypes"))
    stream = filter.contains("nonInteractiveUser") ? Stream::background : Stream::apps;
  const auto now = runtime_.now();
  const auto from = bound(filter, time_field, "ge"), to = bound(filter, time_field, "le");
  if (stream == Stream::trace && (!from || !to || *to - *from > 240h || *from < now - 90 * 24h))
    return answer(400, "BadRequest", "receivedDateTime range is invalid.");
  std::vector<std::string> records;
  for (const Entry* e : world_.between(tenant, stream, from.value_or(now - 24h), to.value_or(now), now))
    records.push_back(e->json);
  std::reverse(records.begin(), records.end());  // the newest first
  return page(q, std::move(records), stream == Stream::trace ? 5000 : 1000);
}

Reply StandIn::directory(const Request& q, std::string_view what) {
  unsigned tenant = 0;
  const bool policy = what == "policy" || what == "access";
  if (auto no = refused(q, true, {policy ? "Policy.Read.All" : "Directory.Read.All"}, "directory", {1000, 10s}, tenant))
    return std::move(*no);
  const auto apps = world_.applications(tenant, runtime_.now());
  std::vector<std::string> out;
  const auto record = [&](auto&& fill) {
    std::string json;
    JsonWriter w(json);
    w.object();
    fill(w);
    w.end();
    out.push_back(std::move(json));
  };
  const auto role_id = [](std::string_view name) { return World::guid(hash64(name), 77); };
  if (what == "policy") {
    return spoiled(net::json(
        R"({"id":"authorizationPolicy","displayName":"Authorization Policy","allowInvitesFrom":"everyone","allowedToUseSSPR":true,"defaultUserRolePermissions":{"allowedToCreateApps":true,"allowedToCreateSecurityGroups":true,"allowedToReadOtherUsers":true,"permissionGrantPoliciesAssigned":["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"]}})"));
  }
  if (what == "roles") {
    std::string json;
    JsonWriter w(json);
    w.object().member("id", q.param("id")).member("displayName", "Microsoft Graph").key("appRoles").array();
    for (const char* name : {"Mail.Send", "Mail.ReadWrite", "Mail.Read"})
      w.object().member("id", role_id(name)).member("value", name).end();
    w.end().end();
    return spoiled(net::json(std::move(json)));
  }
  for (const auto& app : apps) {
    const auto principal = World::guid(hash64(app.id), 3);
    if (what == "applications")
      record([&](JsonWriter& w) {
        w.member("id", app.id)
            .member("appId", app.app_id)
            .member("displayName", app.name)
            .member("createdDateTime", format_time(app.created))
            .member("signInAudience", "AzureADMyOrg");
        w.key("passwordCredentials")
            .array()
            .object()
            .member("keyId", World::guid(hash64(app.id), 4))
            .member("endDateTime", format_time(app.created + 24h * 365 * 5))
            .end()
            .end();
      });
    if (what == "principals")
      record([&](JsonWriter& w) {
        w.member("id", principal)
            .member("appId", app.app_id)
            .member("displayName", app.name)
            .member("accountEnabled", true)
            .member("servicePrincipalType", "Application")
            .member("createdDateTime", format_time(app.created));
      });
    if (what == "rights" && q.param("id") == kGraphPrincipal)
      for (const auto& right : app.mail_rights)
        record([&](JsonWriter& w) {
          w.member("id", to_base64url(app.id + right))
              .member("appRoleId", role_id(right))
              .member("principalDisplayName", app.name)
              .member("principalId", principal)
              .member("principalType", "ServicePrincipal")
              .member("resourceDisplayName", "Microsoft Graph")
              .member("resourceId", kGraphPrincipal)
              .member("createdDateTime", format_time(app.created));
        });
  }
  if (what == "principals") {
    record([&](JsonWriter& w) {
      w.member("id", kGraphPrincipal)
          .member("appId", "00000003-0000-0000-c000-000000000000")
          .member("displayName", "Microsoft Graph")
          .member("accountEnabled", true)
          .member("servicePrincipalType", "Application");
    });
    record([&](JsonWriter& w) {
      w.member("id", kExchangePrincipal)
          .member("appId", "00000002-0000-0ff1-ce00-000000000000")
          .member("displayName", "Office 365 Exchange Online")
          .member("accountEnabled", true)
          .member("servicePrincipalType", "Application");
    });
  }
  if (what == "grants" && !apps.empty())
    record([&](JsonWriter& w) {
      w.member("id", "grant-1")
          .member("clientId", World::guid(hash64(apps[0].id), 3))
          .member("consentType", "AllPrincipals")
          .member("resourceId", kGraphPrincipal)
          .member("scope", " User.Read Mail.Read offline_access");
    });
  if (what == "access")
    record([&](JsonWriter& w) {
      w.member("id", World::guid(1, 5)).member("displayName", "MFA for administratorer").member("state", "enabled");
    });
  return page(q, std::move(out), 999);
}

Reply StandIn::hunting(const Request& q) {
  unsigned tenant = 0;
  if (auto no = refused(q, true, {"ThreatHunting.Read.All"}, "hunting", {45, 1min}, tenant)) return std::move(*no);
  if (!licences_[tenant].hunting)
    return answer(403, "Forbidden", "The tenant does not have a valid license for advanced hunting.");
  simdjson::dom::parser parser;
  simdjson::dom::object body;
  const simdjson::padded_string text(q.body);
  if (parser.parse(text).get(body) != simdjson::SUCCESS)
    return answer(400, "BadRequest", "Unable to read JSON request payload.");
  const std::string query = text_member(body, "Query");
  constexpr std::string_view between = " | where Timestamp between (datetime(";
  const auto at = query.find(between);
  const auto mid = query.find(") .. datetime("), end = query.find("))"), take = query.rfind("| take ");
  if (at == query.npos || mid == query.npos || end == query.npos || take == query.npos)
    return answer(400, "BadRequest", "Syntax error: this stand-in knows one form of query.");
  const auto name = query.substr(0, at);
  const auto from = parse_time(query.substr(at + between.size(), mid - at - between.size())),
             to = parse_time(query.substr(mid + 14, end - mid - 14));
  std::size_t most = 0;
  std::from_chars(query.data() + take + 7, query.data() + query.size(), most);
  const auto stream = name == "EmailEvents"    ? Stream::email_events
                      : name == "EmailUrlInfo" ? Stream::email_urls
                                               : Stream::url_clicks;
  if ((stream == Stream::url_clicks && name != "UrlClickEvents") || !from || !to)
    return answer(400, "BadRequest", "Semantic error: no such table.");
  std::string out;
  JsonWriter w(out);
  w.object()
      .key("schema")
      .array()
      .object()
      .member("name", "Timestamp")
      .member("type", "DateTime")
      .end()
      .end()
      .key("results")
      .array();
  for (const Entry* e : world_.between(tenant, stream, *from, *to, runtime_.now())) {
    if (most-- == 0) break;
    w.raw(e->json);
  }
  w.end().end();
  return spoiled(net::json(std::move(out)));
}

// --- Management Activity ---

Reply StandIn::subscriptions(const Request& q, bool start) {
  unsigned tenant = 0;
  if (auto no = refused(q, false, {"ActivityFeed.Read"}, "management", {2000, 1min}, tenant)) return std::move(*no);
  if (!licences_[tenant].audit_log) return answer(400, "AF20010", "Auditing is not enabled for this tenant.");
  const std::string type(q.asked("contentType").value_or(""));
  if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes))
    return answer(400, "AF20020", "The specified content type is not valid.");
  if (start) {
    if (subscribed_.contains({tenant, type}))
      return answer(400, "AF20024", "The subscription is already enabled. No property change.");
    subscribed_[{tenant, type}] = runtime_.now();
  }
  return net::json(fmt::format(R"({{"contentType":"{}","status":"enabled","webhook":null}})", type));
}

namespace {
std::string type_name(std::string_view type) {
  return to_lower(type.substr(6));
}
Instant bucket_end(Instant visible) {
  return from_micros((micros(visible) / kBucket.count() + 1) * kBucket.count());
}
}  // namespace

Reply StandIn::content(const Request& q) {
  unsigned tenant = 0;
  if (auto no = refused(q, false, {"ActivityFeed.Read"}, "management", {2000, 1min}, tenant)) return std::move(*no);
  const std::string type(q.asked("contentType").value_or(""));
  const auto known = std::find(std::begin(kTypes), std::end(kTypes), type);
  if (known == std::end(kTypes)) return answer(400, "AF20020", "The specified content type is not valid.");
  const auto subscription = subscribed_.find({tenant, type});
  if (subscription == subscribed_.end())
    return answer(400, "AF20022", "No subscription found for the specified content type.");
  const auto now = runtime_.now();
  const auto from = parse_time(q.asked("startTime").value_or("")), to = parse_time(q.asked("endTime").value_or(""));
  if (!from || !to || *to - *from > 24h || *from < now - 7 * 24h || *to < *from)
    return answer(400, "AF20030",
                  "Start time and end time must both be specified (or both omitted) and must be less than or equal to "
                  "24 hours apart, with the start time no more than 7 days in the past.");
  const auto stream = static_cast<Stream>(static_cast<std::size_t>(Stream::activity_directory) +
                                          static_cast<std::size_t>(known - std::begin(kTypes)));
  const auto first = subscription->second + options_.first_blobs;
  const auto begin = options_.first_blobs.count() > 0 ? std::min(*from, subscription->second) : *from;
  std::map<Instant, Instant> blobs;  // end of the bucket -> announced
  for (const Entry* e : world_.between(tenant, stream, begin - 30h, now, now)) {
    const auto end = bucket_end(e->visible);
    // What happened before the subscription comes with its first blobs, a day of it.
    const auto announced = options_.first_blobs.count() > 0 && end < first ? first : end;
    if (announced >= *from && announced <= *to && announced <= now) blobs[end] = announced;
  }
  std::vector<std::string> entries;
  for (const auto& [end, announced] : blobs) {
    const auto id = fmt::format("{}${}", micros(end) / 1'000'000, type_name(type));
    std::string json;
    JsonWriter(json)
        .object()
        .member("contentUri",
                fmt::format("{}/manage/api/v1.0/{}/activity/feed/audit/{}", self(q), q.param("tenant"), id))
        .member("contentId", id)
        .member("contentType", type)
        .member("contentCreated", format_time(announced))
        .member("contentExpiration", format_time(announced + 7 * 24h))
        .end();
    entries.push_back(std::move(json));
  }
  if (happens(options_.faults.reorder))
    for (std::size_t i = entries.size(); i > 1; --i)
      std::swap(entries[i - 1], entries[(i * 7919) % i]);  // the same at each page
  std::size_t skip = 0;
  if (const auto page = q.asked("nextpage")) std::from_chars(page->data(), page->data() + page->size(), skip);
  const auto end = std::min(entries.size(), skip + std::min<std::size_t>(options_.page_size, 100));
  std::string body;
  JsonWriter w(body);
  w.array();
  for (auto i = std::min(skip, entries.size()); i < end; ++i) w.raw(entries[i]);
  w.end();
  auto reply = net::json(std::move(body));
  if (end < entries.size())
    reply.headers.set("NextPageUri", fmt::format("{}{}?contentType={}&startTime={}&endTime={}&nextpage={}", self(q),
                                                 q.path, type, *q.asked("startTime"), *q.asked("endTime"), end));
  return spoiled(std::move(reply));
}

Reply StandIn::blob(const Request& q) {
  unsigned tenant = 0;
  if (auto no = refused(q, false, {"ActivityFeed.Read"}, "management", {2000, 1min}, tenant)) return std::move(*no);
  const auto id = q.param("id");
  std::int64_t seconds = 0;
  const auto dollar = id.find('$');
  std::from_chars(id.data(), id.data() + std::min(dollar, id.size()), seconds);
  const auto known = std::find_if(std::begin(kTypes), std::end(kTypes), [&](auto type) {
    return dollar != id.npos && type_name(type) == id.substr(dollar + 1);
  });
  if (known == std::end(kTypes)) return answer(404, "AF20050", "The specified content does not exist.");
  const auto end = from_micros(seconds * 1'000'000);
  const auto stream = static_cast<Stream>(static_cast<std::size_t>(Stream::activity_directory) +
                                          static_cast<std::size_t>(known - std::begin(kTypes)));
  std::vector<std::string> records;
  for (const Entry* e : world_.between(tenant, stream, end - 30h, end, runtime_.now()))
    if (bucket_end(e->visible) == end) records.push_back(e->json);
  if (records.empty()) return answer(404, "AF20051", "Content requested has already expired.");
  if (happens(options_.faults.duplicate)) records.push_back(records.front());
  if (happens(options_.faults.reorder)) std::reverse(records.begin(), records.end());
  std::string body;
  JsonWriter w(body);
  w.array();
  for (const auto& record : records) w.raw(record);
  w.end();
  return spoiled(net::json(std::move(body)));
}

void StandIn::add_routes(net::Router& router) {
  using event::Right;
  const auto get = [&](std::string pattern, net::Handler handler) {
    router.get(std::move(pattern), Right::anyone, std::move(handler));
  };
  const auto post = [&](std::string pattern, net::Handler handler) {
    router.post(std::move(pattern), Right::anyone, std::move(handler));
  };
  post("/login/{tenant}/oauth2/v2.0/token", [this](const Request& q) { return token(q); });
  get("/graph/beta/auditLogs/signIns", [this](const Request& q) {
    return list(q, Stream::interactive, "createdDateTime", "AuditLog.Read.All", "reports");
  });
  get("/graph/v1.0/auditLogs/directoryAudits",
      [this](const Request& q) { return list(q, Stream::audits, "activityDateTime", "AuditLog.Read.All", "reports"); });
  get("/graph/v1.0/admin/exchange/tracing/messageTraces", [this](const Request& q) {
    return list(q, Stream::trace, "receivedDateTime", "ExchangeMessageTrace.Read.All", "trace");
  });
  get("/graph/v1.0/security/alerts_v2", [this](const Request& q) {
    return list(q, Stream::alerts, "lastUpdateDateTime", "SecurityAlert.Read.All", "security");
  });
  get("/graph/v1.0/identityProtection/riskDetections", [this](const Request& q) {
    return list(q, Stream::risks, "detectedDateTime", "IdentityRiskEvent.Read.All", "reports");
  });
  post("/graph/v1.0/security/runHuntingQuery", [this](const Request& q) { return hunting(q); });
  get("/graph/v1.0/applications", [this](const Request& q) { return directory(q, "applications"); });
  get("/graph/v1.0/servicePrincipals", [this](const Request& q) { return directory(q, "principals"); });
  get("/graph/v1.0/servicePrincipals/{id}", [this](const Request& q) { return directory(q, "roles"); });
  get("/graph/v1.0/servicePrincipals/{id}/appRoleAssignedTo",
      [this](const Request& q) { return directory(q, "rights"); });
  get("/graph/v1.0/oauth2PermissionGrants", [this](const Request& q) { return directory(q, "grants"); });
  get("/graph/v1.0/policies/authorizationPolicy", [this](const Request& q) { return directory(q, "policy"); });
  get("/graph/v1.0/identity/conditionalAccess/policies", [this](const Request& q) { return directory(q, "access"); });
  post("/manage/api/v1.0/{tenant}/activity/feed/subscriptions/start",
       [this](const Request& q) { return subscriptions(q, true); });
  get("/manage/api/v1.0/{tenant}/activity/feed/subscriptions/content", [this](const Request& q) { return content(q); });
  get("/manage/api/v1.0/{tenant}/activity/feed/audit/{id}", [this](const Request& q) { return blob(q); });

  add_mail_routes(router);

  // For whoever holds the rehearsal.
  get("/stand-in", [this](const Request& q) {
    std::string body;
    JsonWriter w(body);
    w.object()
        .member("scenario", options_.scenario)
        .member("login", self(q) + "/login")
        .member("graph", self(q) + "/graph")
        .member("manage", self(q) + "/manage")
        .key("tenants")
        .array();
    for (const auto& t : world_.tenants())
      w.object()
          .member("number", t.number)
          .member("id", t.id)
          .member("town", t.town)
          .member("domain", t.domain)
          .member("people", static_cast<std::uint64_t>(t.people.size()))
          .end();
    w.end().member("requests", counts_.requests).member("over_limit", counts_.over_limit).end();
    return net::json(std::move(body));
  });
  get("/stand-in/tenants/{number}/people", [this](const Request& q) {
    unsigned n = 0;
    const auto number = q.param("number");
    std::from_chars(number.data(), number.data() + number.size(), n);
    if (n >= world_.tenants().size()) return net::problem(404, "no such tenant", "number");
    std::string body;
    JsonWriter w(body);
    w.array();
    for (const auto& p : world_.tenants()[n].people) w.value(p.address);
    w.end();
    return net::json(std::move(body));
  });
  post("/stand-in/cloud-shell", [this](const Request& q) {
    const auto said = run_script(q.body);
    return said ? net::text(*said) : net::problem(said.error());
  });
  post("/stand-in/tenants/{number}/takeover", [this](const Request& q) {
    unsigned n = 0, mails = 791;
    const auto number = q.param("number");
    std::from_chars(number.data(), number.data() + number.size(), n);
    if (const auto asked = q.asked("mails")) std::from_chars(asked->data(), asked->data() + asked->size(), mails);
    if (n >= world_.tenants().size() || mails > 5000)
      return net::problem(404, "no such tenant", "number and mails (at most 5000)");
    std::int64_t minutes_ago = 0;
    if (const auto asked = q.asked("minutes_ago"))
      std::from_chars(asked->data(), asked->data() + asked->size(), minutes_ago);
    return net::json(fmt::format(R"({{"taken":"{}"}})",
                                 world_.take_over(n, runtime_.now() - std::chrono::minutes(minutes_ago), mails)));
  });
  post("/stand-in/faults", [this](const Request& q) {
    const std::pair<std::string_view, double*> all[] = {{"throttle", &options_.faults.throttle},
                                                        {"server_error", &options_.faults.server_error},
                                                        {"html", &options_.faults.html},
                                                        {"half_page", &options_.faults.half_page},
                                                        {"wrong_count", &options_.faults.wrong_count},
                                                        {"foreign_link", &options_.faults.foreign_link},
                                                        {"link_loop", &options_.faults.link_loop},
                                                        {"duplicate", &options_.faults.duplicate},
                                                        {"reorder", &options_.faults.reorder},
                                                        {"expired_token", &options_.faults.expired_token},
                                                        {"late_error", &options_.faults.late_error},
                                                        {"wrong_code", &options_.faults.wrong_code},
                                                        {"user_moves", &options_.faults.user_moves}};
    for (const auto& [name, chance] : all)
      if (const auto asked = q.asked(name)) std::from_chars(asked->data(), asked->data() + asked->size(), *chance);
    return net::json("{}");
  });
  post("/stand-in/tenants/{number}/licences", [this](const Request& q) {
    unsigned n = 0;
    const auto number = q.param("number");
    std::from_chars(number.data(), number.data() + number.size(), n);
    auto& has = licences_[n];
    const std::pair<std::string_view, bool*> all[] = {{"p1", &has.p1},
                                                      {"p2", &has.p2},
                                                      {"defender", &has.defender},
                                                      {"hunting", &has.hunting},
                                                      {"audit_log", &has.audit_log},
                                                      {"trace_principal", &has.trace_principal}};
    for (const auto& [name, value] : all)
      if (const auto asked = q.asked(name)) *value = *asked == "true";
    return net::json("{}");
  });
}

}  // namespace bavn::input::microsoft365::stand_in
