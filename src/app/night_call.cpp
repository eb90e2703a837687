#include "app/night_call.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {
constexpr std::string_view kTimer = "mandate.test";
constexpr std::chrono::days kAgain{1};
}  // namespace

NightCall::NightCall(Runtime& runtime, store::State& state, const SigningKey& node_key, NightCallOptions options)
    : runtime_(runtime),
      state_(state),
      options_(std::move(options)),
      desk_(runtime, act::MandateFiles::in(options_.folder), options_.municipality, node_key,
            [this](store::Tx& tx, const act::CallMeAsk& ask) {
              return notify_->call(
                  tx, {ask.municipality, ask.municipality_name, ask.people, ask.reason, ask.order, ask.until});
            }) {}

Result<std::unique_ptr<NightCall>> NightCall::open(Runtime& runtime, store::State& state, net::Client& client,
                                                   notify::MailCarrier* mail, const Catalogue& texts,
                                                   const SigningKey& node_key, NightCallOptions options) {
  std::unique_ptr<NightCall> night(new NightCall(runtime, state, node_key, std::move(options)));
  BAVN_TRY(night->notify_, notify::Notify::open(runtime, state, client, mail, texts, night->options_.notify));
  NightCall* self = night.get();
  const QueueId queue = runtime.queue({.name = "night_call", .threads = 1, .limit = 1000});
  state.subscribe(
      "night_call", queue,
      [self](const store::DomainEvent& e) -> Result<void> {
        if (e.kind != "way.confirmed") return {};
        BAVN_TRY(const auto detail, net::JsonDocument::parse(e.detail));
        return self->state_.write_now([about = std::string(detail.root()["about"].text_or(""))](store::Tx& tx) {
          return act::OrderDesk::on_confirmed(tx, about);
        });
      },
      {"way.confirmed"});
  // Looked at daily: a test that nobody answered goes out again until somebody does.
  state.on_timer_tx(std::string(kTimer), [self](store::Tx& tx, const store::Timer&) -> Result<void> {
    BAVN_TRY(const auto tests, act::OrderDesk::tests(tx, tx.now()));
    if (tests.overdue && self->mandate().holds())
      if (const auto sent = self->test(tx); !sent) log::warn("mandate_test_not_sent", {{"reason", sent.error().what}});
    return tx.set_timer(std::max(tx.now() + kAgain, tests.due), kTimer, "monthly");
  });
  BAVN_CHECK(state.write_now([](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto set, tx.number("SELECT count(*) FROM timer WHERE kind = :kind", {{"kind", kTimer}}));
    return set > 0 ? Result<void>{} : tx.set_timer(tx.now() + kAgain, kTimer, "monthly");
  }));
  return night;
}

Result<std::size_t> NightCall::test(store::Tx& tx) {
  BAVN_TRY(const auto contacts,
           tenants::people_with_role(tx, options_.municipality, tenants::Role::duty_contact, tx.now()));
  if (contacts.empty()) return fail(Code::not_found, fmt::format("{} has no duty contact", options_.municipality_name));
  BAVN_TRY(const auto id, act::OrderDesk::start_test(tx));
  std::size_t sent = 0;
  for (const auto& person : contacts) {
    BAVN_TRY(const auto n, notify_->send_test(tx, person, options_.municipality_name, options_.zone,
                                              fmt::format("mandate_test:{}", id)));
    sent += n;
  }
  return sent;
}

Result<std::size_t> NightCall::test_now() {
  std::size_t sent = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(sent, test(tx));
    return {};
  }));
  return sent;
}

act::MandateCheck NightCall::mandate() const {
  return act::check_mandate(runtime_.files(), act::MandateFiles::in(options_.folder), options_.municipality,
                            runtime_.now());
}

}  // namespace bavn::app
