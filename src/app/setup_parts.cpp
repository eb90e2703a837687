#include "app/setup_parts.hpp"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <future>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "tenants/people.hpp"

namespace bavn::app {

namespace m365 = input::microsoft365;

std::string host_in(std::string_view url) {
  const auto from = url.find("://");
  if (from == url.npos) return {};
  auto host = url.substr(from + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (const auto colon = host.rfind(':'); colon != host.npos && !host.ends_with(']')) host = host.substr(0, colon);
  return std::string(host);
}

std::vector<std::string> lower_words(std::string_view text) {
  std::vector<std::string> out;
  for (const auto word : split(text, ' '))
    if (!trim(word).empty()) out.emplace_back(to_lower(trim(word)));
  return out;
}

Result<std::vector<std::string>> txt_records(const std::string& name) {
  unsigned char answer[8192];
  const int size = res_query(name.c_str(), ns_c_in, ns_t_txt, answer, sizeof answer);
  if (size < 0) {
    if (h_errno == HOST_NOT_FOUND || h_errno == NO_DATA) return fail(Code::not_found, "no such record", name);
    return fail(Code::unavailable, "DNS does not answer", name);
  }
  ns_msg message;
  if (ns_initparse(answer, size, &message) != 0) return fail(Code::bad_input, "DNS answered nonsense", name);
  std::vector<std::string> out;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0 || ns_rr_type(record) != ns_t_txt) continue;
    std::string text;
    const unsigned char* at = ns_rr_rdata(record);
    const unsigned char* const end = at + ns_rr_rdlen(record);
    while (at < end) {
      const std::size_t length = std::min<std::size_t>(*at, static_cast<std::size_t>(end - at - 1));
      text.append(reinterpret_cast<const char*>(at + 1), length);
      at += length + 1;
    }
    out.push_back(std::move(text));
  }
  return out;
}

TenantQuestions::TenantQuestions(Runtime& runtime, net::Client& client, const m365::Account& account)
    : runtime_(runtime),
      access_(
          std::make_shared<m365::Access>(runtime, client, runtime.queue({.name = "m365", .limit = 100'000}), account)),
      ask_([&runtime, access = access_](m365::Call call) -> m365::Answer {
        auto promise = std::make_shared<std::promise<m365::Answer>>();
        runtime.after(Duration{0}, access->queue(), [access, promise, call = std::move(call)]() mutable {
          access->send(std::move(call), [promise](m365::Answer a) { promise->set_value(std::move(a)); });
        });
        return promise->get_future().get();
      }) {}

TenantQuestions::~TenantQuestions() {
  std::promise<void> stopped;
  runtime_.after(Duration{0}, access_->queue(), [&] {
    access_->stop();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

Result<void> keep_duty_contact(const event::Scope& scope, Runtime& runtime, store::State& state,
                               MunicipalityId municipality, const DutyAnswers& who) {
  tenants::People people(runtime, state);
  BAVN_TRY(const auto there, people.duty_contacts(scope, municipality));
  if (std::any_of(there.begin(), there.end(), [&](const auto& p) { return p.name == who.name; })) return {};
  BAVN_TRY(
      const auto id,
      people.add(scope,
                 {.municipality = municipality, .name = who.name, .title = "duty contact", .language = who.language}));
  BAVN_CHECK(people.give_role(scope, id, tenants::Role::duty_contact));
  if (!who.phone.empty())
    BAVN_CHECK(
        people.add_way(scope, id, {.kind = tenants::WayKind::phone, .address = who.phone, .outside_tenant = true}));
  if (!who.mail.empty())
    BAVN_CHECK(people.add_way(
        scope, id, {.kind = tenants::WayKind::mail, .address = who.mail, .outside_tenant = true, .rank = 2}));
  if (who.webhook.starts_with("https://")) {
    std::string secret(24, '\0');
    runtime.random(std::as_writable_bytes(std::span(secret)));
    BAVN_CHECK(people.add_way(scope, id,
                              {.kind = tenants::WayKind::webhook,
                               .address = who.webhook,
                               .outside_tenant = true,
                               .rank = 3,
                               .webhook_secret = "whsec_" + to_base64(secret)}));
  }
  return {};
}

}  // namespace bavn::app
