#include "app/hub_notify.hpp"

#include <fmt/format.h>

#include "app/mail_out.hpp"
#include "app/warnings.hpp"
#include "base/files.hpp"
#include "base/log.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

constexpr Duration kCallHolds = std::chrono::hours(4);  // a call about a wave is pointless when the wave is over

}  // namespace

std::vector<Setting> HubNotify::settings_table() {
  const auto mail = mail_settings(), sms = notify::sms_settings();
  std::vector<Setting> all(mail.begin(), mail.end());
  all.insert(all.end(), sms.begin(), sms.end());
  return all;
}

Result<std::unique_ptr<HubNotify>> HubNotify::open(Runtime& runtime, store::State& state, net::Client& client,
                                                   const Catalogue& texts, const Settings* settings, std::string name,
                                                   notify::MailCarrier* mail) {
  std::unique_ptr<HubNotify> made(new HubNotify(state, texts, std::move(name)));
  notify::NotifyOptions options;
  if (settings != nullptr) {
    BAVN_TRY(made->mail_, mail_of(runtime, *settings));
    DiskFiles files;
    BAVN_TRY(made->sms_, notify::sms_of(files, client, *settings));
    options.sms = made->sms_.get();
  }
  BAVN_TRY(made->notify_,
           notify::Notify::open(runtime, state, client, mail != nullptr ? mail : made->mail_.get(), texts, options));
  state.subscribe("duty_calls", runtime.queue({.name = "duty_calls"}),
                  [h = made.get()](const store::DomainEvent& e) { return h->on_call(e); }, {"call.wanted"});
  return made;
}

warn::Remind HubNotify::remind() {
  return warning_reminder(*notify_);
}

/// Once for each thing and municipality, however often the event comes.
Result<void> HubNotify::on_call(const store::DomainEvent& e) {
  if (e.kind != "call.wanted") return {};
  BAVN_TRY(const auto detail, net::JsonDocument::parse(e.detail));
  const MunicipalityId of{static_cast<std::uint16_t>(e.municipality)};
  const auto* facts = municipalities_.find(of);
  const Language language = facts != nullptr ? language_of(facts->language()).value_or(Language::en) : Language::en;
  const std::string reason(detail.root()["reason"].text_or(""));
  const std::string about = fmt::format("{}.{:04}", detail.root()["about"].text_or("call"), of.value);
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    if (from_micros(e.at_us) + kCallHolds < tx.now()) return {};  // old news of a hub that was away
    BAVN_TRY(const auto before,
             tx.number("SELECT count(*) FROM notify_message WHERE about = :a", {{"a", "order:" + about}}));
    if (before > 0) return {};
    const auto called =
        notify_->call(tx, {.municipality = of,
                           .municipality_name = facts != nullptr ? facts->name : fmt::format("{:04}", of.value),
                           .people = {name_},
                           .reason = texts_.has(reason) ? texts_.say(language, reason) : reason,
                           .order = about,
                           .until = tx.now() + kCallHolds});
    if (called) return {};
    if (called.error().code != Code::not_found) return std::unexpected(called.error());
    log::warn("duty_contact_missing", {{"municipality", of.value}, {"reason", called.error().what}});
    return tx.emit("call.impossible", e.subject, e.detail, of);
  });
}

}  // namespace bavn::app
