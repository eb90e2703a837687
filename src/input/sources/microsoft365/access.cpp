#include "input/sources/microsoft365/access.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/page.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kTries = 6;         // of one call; then its source says so and comes back at its next poll
constexpr unsigned kToldToWait = 20;   // times 429 before the source says so
constexpr Duration kLongestTold = 1h;  // a Retry-After beyond is not believed
constexpr Duration kLongestPause = 60s;
constexpr Duration kTokenMargin = 5min;  // renewed before it ends

struct Limit {
  std::size_t requests;
  Duration in;
};
Limit limit_of(Budget budget) {
  switch (budget) {
    case Budget::reports: return {5, 10s};
    case Budget::trace:
      return {90, 5min};  // 100; ten are left for a person who looks something up by the same application
    case Budget::management: return {200, 1min};
    case Budget::security: return {60, 1min};
    case Budget::hunting: return {10, 1min};
    case Budget::directory: return {20, 10s};
    case Budget::mail: return {300, 10s};
  }
  return {1, 1s};
}

std::optional<Duration> told_to_wait(const net::ClientReply& reply) {
  const auto* header = reply.headers.find("Retry-After");
  if (header == nullptr) return std::nullopt;
  std::int64_t seconds = 0;
  const auto text = trim(*header);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || seconds < 0)
    return Duration(60s);  // a date: rare, a minute does
  return std::min<Duration>(std::chrono::seconds(std::min<std::int64_t>(seconds, 86'400)), kLongestTold);
}

std::string origin_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == url.npos) return {};
  const auto end = url.find_first_of("/?#", scheme + 3);
  return to_lower(url.substr(0, end));
}

}  // namespace

std::string_view to_string(TroubleKind kind) {
  switch (kind) {
    case TroubleKind::network: return "network";
    case TroubleKind::throttled: return "throttled";
    case TroubleKind::token: return "token";
    case TroubleKind::permission: return "permission";
    case TroubleKind::licence: return "licence";
    case TroubleKind::not_ready: return "not_ready";
    case TroubleKind::bad_answer: return "bad_answer";
    case TroubleKind::bad_link: return "bad_link";
    case TroubleKind::too_large: return "too_large";
    case TroubleKind::server: return "server";
    case TroubleKind::refused: return "refused";
    case TroubleKind::stopped: return "stopped";
  }
  return "unknown";
}

std::string to_string(const Trouble& t) {
  return t.fix.empty() ? t.what : t.what + ". " + t.fix;
}

bool same_origin(std::string_view base, std::string_view link) {
  const std::string origin = origin_of(base);
  return !origin.empty() && origin == origin_of(link) && !link.contains('@') && link.size() <= 8192 &&
         std::none_of(link.begin(), link.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == '\\'; });
}

Result<std::string> client_assertion(const Account& account, Instant now, std::string_view unique) {
  BAVN_TRY(auto thumbprint, certificate_thumbprint(account.identity.certificate_pem));
  const std::int64_t seconds = micros(now) / 1'000'000;
  std::string header, claims;
  JsonWriter(header)
      .object()
      .member("alg", "PS256")
      .member("typ", "JWT")
      .member("x5t#S256", to_base64url(thumbprint))
      .end();
  JsonWriter(claims)
      .object()
      .member("aud", account.endpoints.login + "/" + account.tenant + "/oauth2/v2.0/token")
      .member("iss", account.client)
      .member("sub", account.client)
      .member("jti", unique)
      .member("nbf", seconds - 60)
      .member("iat", seconds)
      .member("exp", seconds + 600)
      .end();
  std::string text = to_base64url(header) + "." + to_base64url(claims);
  BAVN_TRY(auto signature, sign_ps256(account.identity.key_pem, text));
  return text + "." + to_base64url(signature);
}

Trouble token_trouble(const net::ClientReply& reply) {
  const auto error = read_error(reply.body);
  Trouble t{.kind = TroubleKind::token, .what = {}, .fix = {}, .status = reply.status, .code = error.code};
  const auto says = [&](std::string_view number) { return error.message.contains(number); };
  if (reply.status == 429 || reply.status >= 500) {
    t.kind = reply.status == 429 ? TroubleKind::throttled : TroubleKind::server;
    t.what = fmt::format("the sign-in service answered {}", reply.status);
  } else if (const auto title = web_page_title(reply.body)) {
    t.kind = TroubleKind::bad_answer;
    t.what = fmt::format("the sign-in service answered a web page (\"{}\")", *title);
    t.fix = "Is a proxy in between that wants a login?";
  } else if (says("AADSTS700016")) {
    t.what = "the application is not known in this tenant";
    t.fix = "Run the consent script; after it, some minutes go by before the application is known everywhere";
  } else if (says("AADSTS700027")) {
    t.what = "the application does not have this node's certificate";
    t.fix = "Run the consent script of this node again: it adds the certificate";
  } else if (says("AADSTS700024")) {
    t.what = "the signed request is outside of its time";
    t.fix = "The clock of this machine is wrong: switch time synchronisation on";
  } else if (says("AADSTS90002")) {
    t.what = "there is no such tenant";
    t.fix = "Check the tenant id in the answers";
  } else {
    t.what =
        fmt::format("no token: {} {}", error.code.empty() ? std::to_string(reply.status) : error.code, error.message);
    t.fix = "See the text of the service; the consent script can be run again at any time";
  }
  return t;
}

Trouble trouble_of(const Call& call, const net::ClientReply& reply) {
  const auto error = read_error(reply.body);
  Trouble t{.kind = TroubleKind::refused, .what = {}, .fix = {}, .status = reply.status, .code = error.code};
  const std::string said = error.message.empty() ? std::string() : ": " + error.message;
  const std::string both = to_lower(error.code + " " + error.message);
  const auto says = [&](std::string_view piece) { return both.contains(piece); };
  if (reply.status == 429 || error.code == "AF429") {
    t.kind = TroubleKind::throttled;
    t.what = "told to ask less often";
  } else if (reply.status >= 500 || reply.status == 408) {
    t.kind = TroubleKind::server;
    t.what = fmt::format("the service answered {}{}", reply.status, said);
  } else if (const auto title = web_page_title(reply.body)) {
    t.kind = TroubleKind::bad_answer;
    t.what = fmt::format("status {} with a web page (\"{}\")", reply.status, *title);
    t.fix = "Is a proxy in between?";
  } else if (says("8bd644d1-64a1-4d4b-ae52-2e0cbf64e373")) {
    t.kind = TroubleKind::not_ready;
    t.what = "message trace's own service principal is not in the tenant yet";
    t.fix = "The consent script adds it; Microsoft says it may take some hours until it works";
  } else if (says("nonpremiumtenant") || says("premium license") || says("not licensed") || says("no license") ||
             says("license is required") || says("does not have a valid license")) {
    t.kind = TroubleKind::licence;
    t.what = fmt::format("the tenant has no licence for this ({})", error.code);
    t.fix = call.licence.empty() ? "Nothing to repair: this source stays off"
                                 : "It needs " + call.licence + "; until then this source stays off";
  } else if (says("not been enabled") || says("auditing is not enabled") ||
             (says("tenant") && says("does not exist"))) {
    t.kind = TroubleKind::not_ready;
    t.what = "the audit log is not switched on in this tenant" + said;
    t.fix =
        "Switch it on: Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true (Exchange Online PowerShell); it "
        "may take some hours";
  } else if (reply.status == 401 && !says("permission")) {
    t.kind = TroubleKind::token;
    t.what = "the token is not accepted" + said;
    t.fix = "A new one is asked for by itself; if this stays, run the consent script again";
  } else if (reply.status == 403 || reply.status == 401) {
    t.kind = TroubleKind::permission;
    t.what = call.permission.empty() ? "a permission is missing" + said
                                     : "the permission " + call.permission + " is missing" + said;
    t.fix = "Run the consent script again and see that its last table lists it; new permissions may take some minutes";
  } else {
    t.what = fmt::format("status {} {}{}", reply.status, error.code, said);
  }
  return t;
}

Access::Access(Runtime& runtime, net::Client& client, QueueId queue, Account account)
    : runtime_(runtime), client_(client), queue_(queue), account_(std::move(account)) {}

const std::string& Access::base(Service service) const {
  return service == Service::graph ? account_.endpoints.graph : account_.endpoints.manage;
}

std::string Access::url(Service service, std::string_view path_and_query) const {
  return base(service) + std::string(path_and_query);
}

void Access::forget_tokens() {
  for (auto& [service, token] : tokens_) token.text.clear();
}

void Access::stop() {
  stopped_ = true;
  for (auto& [service, token] : tokens_)
    for (auto& exchange : std::exchange(token.waiting, {}))
      finish(exchange,
             std::unexpected(Trouble{.kind = TroubleKind::stopped, .what = "stopping", .fix = {}, .code = {}}));
}

void Access::later(Duration delay, std::move_only_function<void(Access&)> f) {
  runtime_.after(delay, queue_, [weak = weak_from_this(), f = std::move(f)]() mutable {
    if (const auto self = weak.lock()) f(*self);
  });
}

Duration Access::pause(unsigned tries) {
  const Duration whole = std::min<Duration>(kLongestPause, Duration(1s) * (1U << std::min(tries, 6U)));
  return whole / 2 + Duration(static_cast<std::int64_t>(
                         runtime_.random_below(static_cast<std::uint64_t>((whole / 2).count()) + 1)));
}

Duration Access::wait_for_slot(Budget budget) {
  auto& window = windows_[budget];
  const auto limit = limit_of(budget);
  const Duration now = runtime_.steady();
  if (now < window.not_before) return window.not_before - now;
  while (!window.sent.empty() && window.sent.front() + limit.in <= now) window.sent.pop_front();
  if (window.sent.size() >= limit.requests) return window.sent.front() + limit.in - now;
  window.sent.push_back(now);
  return Duration{0};
}

void Access::finish(const std::shared_ptr<Exchange>& exchange, Answer answer) {
  if (auto then = std::exchange(exchange->then, {})) then(std::move(answer));
}

void Access::send(Call call, std::move_only_function<void(Answer)> then) {
  step(std::make_shared<Exchange>(Exchange{.call = std::move(call), .then = std::move(then)}));
}

void Access::step(const std::shared_ptr<Exchange>& exchange) {
  if (stopped_) {
    finish(exchange, std::unexpected(Trouble{.kind = TroubleKind::stopped, .what = "stopping", .fix = {}, .code = {}}));
    return;
  }
  auto& token = tokens_[exchange->call.service];
  if (token.text.empty() || runtime_.steady() >= token.good_until) {
    token.waiting.push_back(exchange);
    if (!std::exchange(token.asked, true)) ask_token(exchange->call.service, 0);
    return;
  }
  if (const auto wait = wait_for_slot(exchange->call.budget); wait > Duration{0}) {
    later(wait, [exchange](Access& self) { self.step(exchange); });
    return;
  }
  transmit(exchange);
}

void Access::transmit(const std::shared_ptr<Exchange>& exchange) {
  const auto& call = exchange->call;
  net::ClientRequest request{.method = call.method, .url = call.url, .headers = {}, .body = call.body, .tls = {}};
  request.headers.set("Authorization", "Bearer " + tokens_[call.service].text);
  request.headers.set("Accept", "application/json");
  request.headers.set("User-Agent", "bavn");
  if (call.method == net::Method::post) request.headers.set("Content-Type", "application/json");
  request.timeout = std::chrono::seconds(120);
  request.max_reply = call.max_reply;
  ++counts_.requests;
  client_.send(std::move(request), queue_, [weak = weak_from_this(), exchange](Result<net::ClientReply> reply) {
    if (const auto self = weak.lock()) self->on_reply(exchange, std::move(reply));
  });
}

void Access::on_reply(const std::shared_ptr<Exchange>& exchange, Result<net::ClientReply> reply) {
  if (stopped_) {
    finish(exchange, std::unexpected(Trouble{.kind = TroubleKind::stopped, .what = "stopping", .fix = {}, .code = {}}));
    return;
  }
  if (!reply) {
    const auto& error = reply.error();
    Trouble t{.kind = TroubleKind::network, .what = error.what, .fix = {}, .code = {}};
    if (error.code == Code::bad_input) {
      t.kind = TroubleKind::too_large;
      finish(exchange, std::unexpected(std::move(t)));
      return;
    }
    if (error.code == Code::forbidden) {
      t.fix = "This machine must reach " + base(exchange->call.service) +
              " by HTTPS; a certificate of somebody in between is not accepted";
    }
    again(exchange, std::move(t), std::nullopt);
    return;
  }
  counts_.bytes += reply->body.size();
  if (reply->status >= 200 && reply->status < 300) {
    if (exchange->call.unusable) {
      if (auto why = exchange->call.unusable(*reply)) {
        again(exchange,
              Trouble{.kind = TroubleKind::bad_answer,
                      .what = std::move(*why),
                      .fix = {},
                      .status = reply->status,
                      .code = {}},
              std::nullopt);
        return;
      }
    }
    finish(exchange, std::move(*reply));
    return;
  }
  auto t = trouble_of(exchange->call, *reply);
  switch (t.kind) {
    case TroubleKind::token:
      if (!std::exchange(exchange->token_renewed, true)) {
        tokens_[exchange->call.service].text.clear();
        step(exchange);
        return;
      }
      break;
    case TroubleKind::permission: tokens_[exchange->call.service].text.clear(); break;  // the next one may have it
    case TroubleKind::throttled: {
      ++counts_.throttled;
      const auto told = told_to_wait(*reply);
      auto& window = windows_[exchange->call.budget];  // all that share the budget wait
      window.not_before =
          std::max(window.not_before, runtime_.steady() + told.value_or(pause(exchange->throttled + 2)));
      if (++exchange->throttled <= kToldToWait) {
        step(exchange);
        return;
      }
      break;
    }
    case TroubleKind::server:
    case TroubleKind::bad_answer: again(exchange, std::move(t), told_to_wait(*reply)); return;
    default: break;
  }
  finish(exchange, std::unexpected(std::move(t)));
}

void Access::again(const std::shared_ptr<Exchange>& exchange, Trouble trouble, std::optional<Duration> told) {
  if (++exchange->tries >= kTries) {
    finish(exchange, std::unexpected(std::move(trouble)));
    return;
  }
  ++counts_.tried_again;
  later(std::max(told.value_or(Duration{0}), pause(exchange->tries - 1)),
        [exchange](Access& self) { self.step(exchange); });
}

void Access::ask_token(Service service, unsigned tries) {
  auto& asking = tokens_[service];
  if (asking.assertion.empty() || runtime_.steady() - asking.assertion_at > 5min) {
    const std::uint64_t unique[2] = {runtime_.random_number(), runtime_.random_number()};
    auto made = client_assertion(account_, runtime_.now(), fmt::format("{:016x}{:016x}", unique[0], unique[1]));
    if (!made) {
      token_came(service, Trouble{.kind = TroubleKind::token,
                                  .what = to_string(made.error()),
                                  .fix = "The node's key file is damaged: run the setup again"});
      return;
    }
    asking.assertion = std::move(*made);
    asking.assertion_at = runtime_.steady();
  }
  net::ClientRequest request{.method = net::Method::post,
                             .url = account_.endpoints.login + "/" + account_.tenant + "/oauth2/v2.0/token",
                             .headers = {},
                             .body = {},
                             .tls = {}};
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.set("Accept", "application/json");
  // The scope is the service's own name also where a stand-in serves it.
  const std::string_view scope =
      service == Service::graph ? "https://graph.microsoft.com/.default" : "https://manage.office.com/.default";
  request.body = "client_id=" + percent_encoded(account_.client) + "&scope=" + percent_encoded(scope) +
                 "&client_assertion_type=" + percent_encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") +
                 "&client_assertion=" + asking.assertion + "&grant_type=client_credentials";
  request.max_reply = 1U << 20U;
  ++counts_.tokens;
  client_.send(std::move(request), queue_, [weak = weak_from_this(), service, tries](Result<net::ClientReply> reply) {
    const auto self = weak.lock();
    if (!self || self->stopped_) return;
    std::optional<Trouble> trouble;
    std::optional<Duration> told;
    if (reply) self->tokens_[service].assertion.clear();
    if (!reply) {
      trouble = Trouble{.kind = TroubleKind::network,
                        .what = reply.error().what,
                        .fix = "This machine must reach " + self->account_.endpoints.login + " by HTTPS",
                        .code = {}};
    } else if (reply->status != 200) {
      trouble = token_trouble(*reply);
      told = told_to_wait(*reply);
    } else {
      std::string text;
      std::int64_t seconds = 0;
      for (const auto& [name, value] :
           flat_members(reply->body).value_or(std::vector<std::pair<std::string, std::string>>{})) {
        if (name == "access_token") text = value;
        if (name == "expires_in") std::from_chars(value.data(), value.data() + value.size(), seconds);
      }
      const bool clean =
          std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20; });
      if (text.empty() || !clean || seconds <= 0) {
        trouble = Trouble{.kind = TroubleKind::bad_answer,
                          .what = "the sign-in service answered without a token",
                          .fix = {},
                          .code = {}};
      } else {
        auto& token = self->tokens_[service];
        token.text = std::move(text);
        const Duration life = std::chrono::seconds(std::min<std::int64_t>(seconds, 86'400));
        token.good_until = self->runtime_.steady() + std::max(life / 2, life - kTokenMargin);
      }
    }
    const bool passing =
        trouble && (trouble->kind == TroubleKind::network || trouble->kind == TroubleKind::server ||
                    trouble->kind == TroubleKind::throttled || trouble->kind == TroubleKind::bad_answer);
    if (passing && tries + 1 < kTries) {
      self->later(std::max(told.value_or(Duration{0}), self->pause(tries)),
                  [service, tries](Access& access) { access.ask_token(service, tries + 1); });
      return;
    }
    self->token_came(service, std::move(trouble));
  });
}

void Access::token_came(Service service, std::optional<Trouble> trouble) {
  auto& token = tokens_[service];
  token.asked = false;
  for (auto& exchange : std::exchange(token.waiting, {})) {
    if (trouble) finish(exchange, std::unexpected(*trouble));
    else step(exchange);
  }
}

}  // namespace bavn::input::microsoft365
